"""A study of arms from end to end on a tiny random model: planned, compared, shared, judged and resumed."""

import json
from pathlib import Path

import pytest
import yaml
from small_jobs import fork_training
from small_study import TARGETS, lay, study

from mixplan.errors import RecipeError, RunError
from mixplan.report.study_arms import arms_markdown
from mixplan.study.spec import load_study

ARMS = {"names": ["none", "uniform", "proportional_to_sts", "plan", "oracle"], "budgets": [3, 6]}
MARK = {"text": "Worst.", "quantity": "avoided/uniform/plan/bits_per_byte/worst/both", "at_least": 0, "low_above": 0}


def laid(folder: Path, tiny_model, tiny_sae, **changes) -> Path:
    """The small study with arms in the place of what judges forecasts."""
    path = lay(folder, tiny_model, tiny_sae, arms=ARMS, marks=[MARK], seeds=[3, 7], **changes)
    values = yaml.safe_load(path.read_text())
    for key in ("development", "kinds", "reading", "preview"):
        del values[key]
    values["recipe"]["sts"] = {"demonstrations": 2, "draws": 2, "query_tokens": 60, "resamples": 100}
    values["recipe"]["drift"] |= {"draws": 2, "query_tokens": 60}
    values["recipe"]["allocate"] = {"objective": "diminishing", "half_rows": 2.0}
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def arms_study(tmp_path_factory, tiny_model, tiny_sae) -> Path:
    """A folder with a study of arms, run once to its end, and its cache."""
    folder = tmp_path_factory.mktemp("arms")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIXPLAN_CACHE", str(folder / "cache"))
        fork_training(patch)
        study(laid(folder, tiny_model, tiny_sae), folder / "run")
    return folder


def test_every_target_is_planned_and_every_arm_trained(arms_study):
    run = arms_study / "run"
    results = json.loads((run / "results.json").read_bytes())
    assert results["study"] == load_study(arms_study / "study.yaml").hash
    assert (results["targets"], results["budgets"], results["seeds"]) == (list(TARGETS), ["3", "6"], [3, 7])
    assert results["arms"] == ARMS["names"]
    for target in TARGETS:
        for budget in ARMS["budgets"]:
            folder = run / "arms" / f"{target}-{budget}"
            plan = json.loads((folder / "plan.json").read_bytes())
            assert plan["allocation"]["objective"] == "diminishing"
            own = results["by_target"][target][str(budget)]
            assert own["plan"]["rows"] == plan["allocation"]["rows"]
            assert {sum(own[arm]["rows"].values()) for arm in ARMS["names"]} == {0, budget}
            # The arm none is trained once for each target and seed, and lies beside the comparisons.
            assert not (folder / "arms" / "none-3").exists()
        jobs = [*run.glob(f"arms/{target}-*/training/done.json"), *run.glob(f"arms/{target}-*/*/training/done.json")]
        jobs += run.glob(f"arms/{target}-*/arms/*/training/done.json")
        done = [json.loads(path.read_bytes()) for path in jobs]
        assert len(done) == 2 * (1 + 2 * (len(ARMS["names"]) - 1))
        assert {job["steps"] for job in done} == {2}
        assert {job["consumption"]["target"]["rows"] for job in done} == {8}


def test_the_same_command_again_trains_nothing_and_ends_with_the_same_bytes(arms_study, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(arms_study / "cache"))
    before = (arms_study / "run" / "results.json").read_bytes()
    said = study(arms_study / "study.yaml", arms_study / "run").said
    assert (arms_study / "run" / "results.json").read_bytes() == before
    assert not any(text.startswith("starting training") for text in said)


def test_too_few_targets_have_no_interval_so_no_mark_is_reached(arms_study):
    results = json.loads((arms_study / "run" / "results.json").read_bytes())
    (mark,) = results["marks"]
    assert (mark["low"], mark["reached"]) == (None, False)
    own = results["by_target"]
    for base, quantity in (("none", "kl"), ("uniform", "bits_per_byte")):
        found = results["avoided"][base]["plan"][quantity]["mean"]["6"]
        by_hand = [
            own[target]["6"][base]["loss"][quantity]["mean"]["value"]
            - own[target]["6"]["plan"]["loss"][quantity]["mean"]["value"]
            for target in TARGETS
        ]
        assert found["value"] == pytest.approx(sum(by_hand) / 2)


def test_results_can_be_read(arms_study):
    run = arms_study / "run"
    registered, judged = (json.loads((run / name).read_bytes()) for name in ("registered.json", "results.json"))
    text = arms_markdown({**registered, "command": "mixplan study x.yaml"}, judged)
    assert f"`{registered['hash']}`" in text
    assert "**0 of 1 marks were reached.**" in text


def test_a_mark_of_no_figure_is_refused_before_anything_is_trained(tmp_path, tiny_model, tiny_sae):
    path = laid(tmp_path, tiny_model, tiny_sae)
    path.write_text(path.read_text().replace("bits_per_byte/worst", "bits_per_byte/least"))
    with pytest.raises(RunError) as refused:
        study(path, tmp_path / "run")
    assert str(refused.value) == (
        "study mark 'avoided/uniform/plan/bits_per_byte/least/both': there is no 'least' in the judgement. "
        "Known: 'mean', 'worst'."
    )
    assert not list(tmp_path.glob("run/arms/**/job.json"))


@pytest.mark.parametrize("asked", ["cells_only", "so_far"])
def test_what_only_cells_have_is_refused(tmp_path, tiny_model, tiny_sae, asked):
    path = laid(tmp_path, tiny_model, tiny_sae)
    with pytest.raises(RunError) as refused:
        study(path, tmp_path / "run", **{asked: True})
    assert str(refused.value) == (
        f"{path}: a study of arms has no cells. Leave --cells-only and --so-far out; `--jobs N` trains several arms at "
        "once."
    )


def test_a_study_of_forecasts_is_no_study_of_arms(tmp_path, tiny_model, tiny_sae):
    path = lay(tmp_path, tiny_model, tiny_sae, arms={"names": ["none", "uniforn", "plan", "plan"], "budgets": [3, 3]})
    with pytest.raises(RecipeError) as refused:
        load_study(path)
    said = {line.split(": ", 1)[1] for line in str(refused.value).splitlines()}
    assert said == {
        "development: a study of arms judges no forecast. Leave the key out.",
        "kinds: a study of arms judges no forecast. Leave the key out.",
        "arms.names: found 'uniforn', expected one of none, uniform, proportional_to_size, proportional_to_sts, "
        "random, oracle, plan. Did you mean 'uniform'?",
        "arms.names: 'plan' is named twice. Take it out once.",
        "arms.names: 'uniform' is missing, but every other arm is held against it. Add it.",
        "arms.budgets: 3 is given twice. Take it out once.",
    }
