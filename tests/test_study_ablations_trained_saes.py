"""SAEs that a study's ablations train: each once, through its own model, and every refusal in full."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from small_study import bench, lay

from mixplan.errors import RecipeError, SaeError
from mixplan.runs import locked
from mixplan.sae import train as reader
from mixplan.study import jobs
from mixplan.study.ablations import trained_saes as module
from mixplan.study.ablations.ablate import by_sae
from mixplan.study.ablations.trained_saes import train_saes, trained_saes, trainings

WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "patient", "fever", "sum", "answer")


@pytest.fixture
def asked(tmp_path, tiny_model, tiny_sae):
    """Lays a study whose ablations train SAEs over a config of another model."""
    rng = np.random.default_rng(0)
    rows = [{"text": " ".join(rng.choice(WORDS, 40)) + f" {n}"} for n in range(120)]
    folder = tmp_path / "configs" / "saes"
    folder.mkdir(parents=True)
    (folder / "text.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {
        "model": "embedded", "hook_name": "blocks.1.hook_resid_post", "context_tokens": 32, "batch_contexts": 8,
        "buffer_contexts": 24, "heldout_tokens": 300,
        "corpus": {"prose": {"tokens": 1500, "texts": [{"data": {"file": "text.jsonl"}, "text": "text",
                                                       "licence": "MIT"}]}},
        "trainer": {"d_sae": 64, "k": 4, "batch_tokens": 128, "learning_rate": 0.01},
    }  # fmt: skip
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))

    def laid(**trained) -> Path:
        return lay(tmp_path, tiny_model, tiny_sae, ablations={"features": [5], "trained": trained})

    return laid


def refused(place: Path) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        trainings(bench(place, place.parent / "run").study)
    return str(caught.value).splitlines()


def test_each_is_trained_once_on_the_study_s_model_with_its_keys_over_the_config(asked, tmp_path, monkeypatch):
    place = asked(
        wide={"config": "tiny", "trainer": {"d_sae": 96}},
        deep={"config": "tiny", "hook_name": "blocks.2.hook_resid_post", "train_tokens": 900},
    )
    ours = bench(place, tmp_path / "run")
    saes = trained_saes(ours)
    assert {name: (sae.d_sae, sae.depth, sae.hook_name) for name, sae in saes.items()} == {
        "wide": (96, 2, "blocks.1.hook_resid_post"),
        "deep": (64, 3, "blocks.2.hook_resid_post"),
    }
    card = json.loads((tmp_path / "run" / "saes" / "deep" / "card.json").read_bytes())
    assert card["model"] == ours.study.whole.recipe.model.name
    assert card["training"]["trainer"] == {**card["training"]["trainer"], "d_sae": 64, "k": 4}
    assert card["tokens"] < json.loads((tmp_path / "run" / "saes" / "wide" / "card.json").read_bytes())["tokens"]
    assert card["command"] == f"mixplan study run {place} --run {tmp_path / 'run'}"
    assert "SAE wide: reading the corpus" in ours.watcher.said

    monkeypatch.setattr(module, "make_sae", None)
    again = trained_saes(bench(place, tmp_path / "run"))
    assert {name: sae.fingerprint for name, sae in again.items()} == {
        name: sae.fingerprint for name, sae in saes.items()
    }


def test_saes_of_one_hook_point_share_what_is_read(asked, tmp_path, monkeypatch):
    depths = []
    real = reader.read_activations

    def counted(model, depth, *rest):
        depths.append(depth)
        return real(model, depth, *rest)

    monkeypatch.setattr(reader, "read_activations", counted)
    wide = {"config": "tiny", "trainer": {"d_sae": 96}}
    deep = {"config": "tiny", "hook_name": "blocks.2.hook_resid_post"}
    saes = trained_saes(bench(asked(narrow={"config": "tiny"}, wide=wide, deep=deep), tmp_path / "run"))
    assert depths.count(2) == depths.count(3) == len(depths) / 2 > 1
    assert not (tmp_path / "run" / "saes" / "activations").exists()
    alone = trained_saes(bench(asked(wide=wide), tmp_path / "alone"))
    assert alone["wide"].fingerprint == saes["wide"].fingerprint


def test_processes_share_the_saes_and_wait_for_each_other_s(asked, tmp_path, monkeypatch):
    place = asked(one={"config": "tiny"}, two={"config": "tiny", "trainer": {"d_sae": 96}})
    ours, saes = bench(place, tmp_path / "run"), tmp_path / "run" / "saes"
    other = locked(saes / "one" / "work")
    other.__enter__()  # as a process beside this one holds what it trains
    train_saes(ours)
    assert [(saes / name / "card.json").exists() for name in ("one", "two")] == [False, True]
    assert (saes / "activations").exists()  # the other process may need them
    waited = []

    def end(seconds):
        waited.append(seconds)
        other.__exit__(None, None, None)

    monkeypatch.setattr(jobs.time, "sleep", end)
    assert [sae.d_sae for sae in trained_saes(ours).values()] == [64, 96]
    assert waited == [jobs.WAIT_SECONDS]
    assert ours.watcher.said.count("waiting for other processes that still train SAEs") == 1
    assert not (saes / "activations").exists()


def test_a_changed_training_is_not_taken_for_what_was_trained(asked, tmp_path):
    ours = bench(asked(wide={"config": "tiny"}), tmp_path / "run")
    trained_saes(ours)
    (training,) = trainings(ours.study).values()
    assert module.is_made(training.spec, tmp_path / "run" / "saes" / "wide")
    changed = trainings(bench(asked(wide={"config": "tiny", "seed": 3}), tmp_path / "run").study)["wide"]
    assert not module.is_made(changed.spec, tmp_path / "run" / "saes" / "wide")
    (tmp_path / "run" / "saes" / "wide" / "card.json").write_text("damaged")
    assert not module.is_made(training.spec, tmp_path / "run" / "saes" / "wide")


def test_what_is_wrong_is_told_with_its_line(asked):
    place = asked(
        none={"trainer": {"k": 3}},
        other={"config": "tynny"},
        own={"config": "tiny", "model": "embedded"},
        bad={"config": "tiny", "trainer": {"k": 0, "d_sea": 5}},
    )
    lines = {line.strip(): n for n, line in enumerate(place.read_text().splitlines(), 1)}
    told = refused(place)
    assert [line.split(": ", 1)[1] for line in told] == [
        "ablations.trained.none: no config is named. Add `config: NAME`, one of configs/saes.",
        "ablations.trained.other: no SAE training is named 'tynny'. Did you mean 'tiny'?",
        "ablations.trained.own.model: the study's model settles this. Leave the key out.",
        "ablations.trained.bad.trainer.k: found the number 0, expected a whole number of at least 1.",
        "ablations.trained.bad.trainer.d_sea: unknown key. Did you mean 'd_sae'?",
    ]
    assert f":{lines['config: tynny']}: " in told[1]


def test_a_hook_point_that_is_none_is_refused(asked):
    place = asked(odd={"config": "tiny", "hook_name": "blocks.x.hook"})
    with pytest.raises(SaeError, match="which is not the residual stream"):
        trainings(bench(place, place.parent / "run").study)


def test_two_saes_have_two_names(asked, tmp_path):
    place = asked(wide={"config": "tiny"})
    values = yaml.safe_load(place.read_text())
    values["ablations"]["saes"] = {"wide": {"path": "sae"}}
    place.write_text(yaml.safe_dump(values, sort_keys=False))
    (line,) = refused(place)
    assert line.endswith("ablations.trained.wide: ablations.saes has this name already. Choose another one.")


def test_without_any_nothing_is_read(tmp_path, tiny_model, tiny_sae):
    assert trainings(bench(lay(tmp_path, tiny_model, tiny_sae), tmp_path / "run").study) == {}


def test_ablations_are_judged_through_them(asked, tmp_path, monkeypatch):
    ours = bench(asked(wide={"config": "tiny", "trainer": {"d_sae": 96}}), tmp_path / "run")
    seen = {}
    monkeypatch.setattr("mixplan.study.ablations.ablate.through", lambda bench, saes, moved: seen.update(saes) or {})
    assert by_sae(ours, [], None, ours.study.spec.ablations, 10) == []
    assert {name: sae.d_sae for name, sae in seen.items()} == {"wide": 96}
