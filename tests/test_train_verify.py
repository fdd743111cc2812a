"""Trains nothing on a plan that no longer describes what is there: says which part, and the command that mends it."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from small_jobs import lay_run

from mixplan.errors import RunError
from mixplan.model.load import settings_now
from mixplan.recipe import load_recipe
from mixplan.train.verify import settings_hash, verify


@pytest.fixture
def planned(tmp_path, tiny_model):
    return lay_run(tmp_path, tiny_model)


def refusal(run: Path, loaded, plan, **options) -> str:
    with pytest.raises(RunError) as error:
        verify(run, loaded, plan, **options)
    return str(error.value)


def again(run: Path, loaded) -> str:
    return f"Plan again: `mixplan plan {loaded.path} --run {run}`."


def test_what_was_planned_is_given_back(planned):
    run, loaded, plan = planned
    found = verify(run, loaded, plan)
    assert {part.name: part.rows for part in found.parts} == {"target": 7, "law": 5, "fox": 4}
    assert found.hash == plan.mixture


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["train.args.learning_rate=0.5"], ": train.args.learning_rate changed"),
        (["seed=3", "budget.rows=10"], ": budget.rows, seed changed"),
        (
            [f"drift.{key}=7" for key in ("draws", "query_tokens", "features", "demonstrations")]
            + ["sts.draws=9", "sts.resamples=500", "seed=1"],
            ": drift.demonstrations, drift.draws, drift.features, drift.query_tokens, seed and 2 more changed",
        ),
    ],
)
def test_another_recipe_is_refused_by_its_changed_keys(planned, changes, told):
    run, loaded, plan = planned
    # drift.demonstrations=7 needs rows for it.
    other = load_recipe(loaded.path, [*changes, *(["target.split.demonstration=7"] * ("drift.draws=7" in changes))])
    if "drift.draws=7" in changes:
        told = told.replace("and 2 more", "and 3 more")
    assert refusal(run, other, plan) == f"{run}: the recipe is not the one that was planned{told}. {again(run, other)}"


def test_the_run_s_own_copy_of_the_recipe_is_the_same_recipe(planned, tmp_path):
    from mixplan.plan.make import recipe_text

    run, loaded, plan = planned
    (run / "recipe.yaml").write_text(recipe_text(loaded))
    assert verify(run, load_recipe(run / "recipe.yaml"), plan).hash == plan.mixture
    value = yaml.safe_load((run / "recipe.yaml").read_text())
    value["target"]["data"]["file"] = str(tmp_path / "law.jsonl")
    (run / "recipe.yaml").write_text(yaml.safe_dump(value))
    edited = load_recipe(run / "recipe.yaml")
    text = refusal(run, edited, plan)
    assert text.startswith(f"{run}: the recipe is not the one that was planned: domains.fox.data.file, ")


def test_a_changed_or_missing_mixture_is_refused(planned):
    run, loaded, plan = planned
    shard = run / "mixture" / "train-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-1])
    text = f"{run / 'mixture'}: the mixture is missing, or a file in it was changed. {again(run, loaded)}"
    assert refusal(run, loaded, plan) == text


def test_another_mixture_is_refused_unless_it_is_an_arm_s_own(planned):
    run, loaded, plan = planned
    other = replace(plan, mixture="0" * 64)
    text = f"{run / 'mixture'}: the mixture's rows are not those of {run / 'plan.json'}. {again(run, loaded)}"
    assert refusal(run, loaded, other) == text
    assert verify(run, loaded, other, mixture=run / "mixture").rows == 16


def test_another_model_is_refused(planned, build_model, monkeypatch):
    run, loaded, plan = planned
    assert verify(run, loaded, plan)
    build_model("llama", Path(loaded.recipe.model.name).parent / "other", seed=1)
    other = load_recipe(loaded.path)
    files = Path(loaded.recipe.model.name)
    kept = (files / "model.safetensors").read_bytes()
    try:
        (files / "model.safetensors").write_bytes((files.parent / "other" / "model.safetensors").read_bytes())
        assert refusal(run, other, plan) == (
            f"{run}: the model '{files}' has other weights than the one that was planned with. {again(run, other)}"
        )
    finally:
        (files / "model.safetensors").write_bytes(kept)


def test_the_model_is_hashed_without_loading_it_in_whatever_type_it_was_planned(planned, monkeypatch):
    run, loaded, plan = planned
    monkeypatch.setattr("mixplan.model.load_model", None)
    assert verify(run, loaded, plan)


def test_a_mixture_for_the_other_method_is_refused(planned, tmp_path, tiny_model):
    run, loaded, plan = planned
    (tmp_path / "grpo").mkdir()
    other, _, _ = lay_run(tmp_path / "grpo", tiny_model, method="grpo", args={})
    text = refusal(run, loaded, plan, mixture=other / "mixture")
    assert text == (
        f"{other / 'mixture'}: the mixture is for grpo, but the recipe trains with sft. {again(run, loaded)}"
    )


def test_a_model_with_another_config_or_template_is_refused(planned):
    run, loaded, plan = planned
    config, template = settings_now(loaded.recipe.model, Path())
    plan = replace(plan, config=config, chat_template=template)
    assert verify(run, loaded, plan)
    for part, what in (("config", "config.json"), ("chat_template", "chat template")):
        other = replace(plan, **{part: "0" * 64})
        assert refusal(run, loaded, other) == (
            f"{run}: the {what} of the model '{loaded.recipe.model.name}' is not the one that was planned with. "
            f"{again(run, loaded)}"
        )


def test_a_named_template_is_among_the_settings(planned, tmp_path, monkeypatch):
    _, loaded, _ = planned
    monkeypatch.setattr("mixplan.train.verify.model_folder", lambda loaded: tmp_path)
    (tmp_path / "additional_chat_templates").mkdir()
    found = []
    for text in ("{{ tools }}", "{{ tools | tojson }}"):
        (tmp_path / "additional_chat_templates" / "tool_use.jinja").write_text(text)
        found.append(settings_hash(loaded))
    assert found[0] != found[1]
