"""Rows that halve a loss by arms compared earlier: found again, used where they predict better, with the reason."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import saved_outcome

from mixplan.domains.content_sketch import Content
from mixplan.forecast import Halving, Kind, halving_rows
from mixplan.forecast.halving import compared_earlier, learned_from
from mixplan.saved.evidence import Evidence
from mixplan.saved.outcome import Settings

SETTINGS = {"method": "sft", "features": 100, "drift_demonstrations": 2, "sts_demonstrations": 2}
KIND = Kind("m" * 64, "s" * 64, Settings(**SETTINGS))
HASHES = {"model": KIND.model, "sae": KIND.sae}


def columns(half: float, seed: int, shared: float = math.inf) -> dict[str, list[float]]:
    """Losses without and with rows, by the rule."""
    generator = np.random.default_rng(seed)
    without, rows = generator.uniform(0.05, 0.4, 12), generator.integers(0, 60, 12)
    total = [int(rows.sum())] * 12
    after = without / (1 + rows / half + rows.sum() / shared)
    return {"without": without.tolist(), "after": after.tolist(), "rows": rows.tolist(), "total": total}


def lay_study(folder: Path, targets: dict[str, dict[str, object]], **head: str) -> None:
    """A study's evidence, as its type writes it."""
    folder.mkdir(parents=True)
    value = Evidence.model_validate(
        {"version": 1, "title": "arms", "hashes": HASHES, "settings": SETTINGS, "seeds": [0], "told": {}, "targets": {}}
        | {"compared": targets}
        | head
    )
    (folder / "evidence.json").write_text(json.dumps(value.values()))


def lay_run(
    folder: Path, half: float, seed: int, *, draws: int = 2, target: str | None = None, settings=SETTINGS
) -> None:
    """A run whose arms were compared; `random` does not follow the rule, and its rows are one seed's of `draws`."""
    own = columns(half, seed)
    names = [f"d{number}" for number in range(12)]
    arms = {
        "none": {"seeds": 2, "losses": dict(zip(names, own["without"], strict=True)), "rows": dict.fromkeys(names, 0)},
        "plan": {
            "seeds": 2,
            "losses": dict(zip(names, own["after"], strict=True)),
            "rows": dict(zip(names, own["rows"], strict=True)),
        },
        "random": {"seeds": draws, "losses": dict.fromkeys(names, 9.0), "rows": dict.fromkeys(names, 5)},
    }
    value = saved_outcome.sample(seed)
    table = value["arms"] | {"quantity": "correct"}
    table["arms"] = {name: table["arms"]["none"] | arm for name, arm in arms.items()}
    hashes, settings = value["hashes"] | HASHES, value["settings"] | settings
    content = {} if target is None else {"content": {"target": Content(target, 12, ()).as_json(), "domains": {}}}
    saved_outcome.save(folder, value | {"hashes": hashes, "settings": settings, "arms": table} | content)


def learned(folder: Path, patterns: list[str] | None = None, kind: Kind = KIND):
    return halving_rows(patterns, folder=folder, run=folder / "runs" / "own", kind=kind, usual=100.0)


def test_a_study_s_targets_teach_and_the_reason_is_told(tmp_path):
    targets = {name: {"unit": "bits_per_byte", **columns(12.0, seed)} for seed, name in enumerate(("a", "b", "c"))}
    lay_study(tmp_path / "runs" / "arms", targets)
    found = learned(tmp_path)
    assert (found.rows.half, found.rows.shared) == (pytest.approx(12, rel=1e-3), math.inf)
    assert found.text.startswith(
        "12 [12, 12] rows of its own halve a domain's loss, learned from arms of 3 targets with 313 to 486 extra rows: "
    )


def test_rows_that_protect_other_domains_are_learned_too(tmp_path):
    targets = {name: {"unit": "kl", **columns(math.inf, seed, 200.0)} for seed, name in enumerate(("a", "b", "c"))}
    lay_study(tmp_path / "runs" / "arms", targets)
    found = learned(tmp_path)
    assert (found.rows.half, found.rows.shared) == (math.inf, pytest.approx(200, rel=1e-3))
    assert found.text.startswith(
        "200 [200, 200] rows of any domains halve a domain's loss, and its own do no more than others', learned from "
    )


def test_a_person_s_own_comparisons_teach_and_rows_drawn_anew_each_seed_do_not(tmp_path):
    for seed in range(2):
        lay_run(tmp_path / "runs" / f"run{seed}", 30.0, seed)
    found = learned(tmp_path)
    assert found.rows.half == pytest.approx(30, rel=1e-3)
    assert found.text.startswith(
        "30 rows of its own halve a domain's loss, learned from arms of 2 targets with 313 to 346 extra rows: "
    )
    lay_run(tmp_path / "once" / "run", 30.0, 0, draws=1)
    assert learned(tmp_path, ["runs/run0", "once/run"]).rows == Halving(100.0), "an arm of one seed counts"
    assert learned(tmp_path, ["runs/run0"]).text == (
        "100 rows are taken to halve a domain's loss: the arms of one target alone teach nothing."
    )


def test_runs_of_one_target_are_left_out_together(tmp_path):
    """Two targets whose rows do otherwise: what one run of a target says of its other run says nothing of others."""
    for number, (half, target) in enumerate(((2.0, "sums"), (2.0, "sums"), (400.0, "prose"), (400.0, "prose"))):
        lay_run(tmp_path / "runs" / f"run{number}", half, number, target=target)
    found = learned(tmp_path)
    assert "2 targets" in found.text
    lay_run(tmp_path / "one" / "run", 2.0, 0, target="sums")
    lay_run(tmp_path / "one" / "again", 2.0, 1, target="sums")
    assert learned(tmp_path, ["one/*"]).text == (
        "100 rows are taken to halve a domain's loss: the arms of one target alone teach nothing."
    )
    known = compared_earlier(None, folder=tmp_path, run=tmp_path / "runs" / "own", kind=KIND)
    # Each target's error is the mean over both its runs, by what the other target's two runs taught.
    (unit, count, response), parts = learned_from(known, 100.0), [one.losses for one in known]
    assert (unit, count, [len(part.rows) for part in parts]) == ("accuracy", 2, [24, 24])
    nothing = [np.square(part.after - part.without).mean() for part in parts]
    assert response.error_nothing == pytest.approx(math.sqrt(np.mean(nothing)))


def test_a_study_counts_once_however_often_its_evidence_was_written(tmp_path):
    targets = {name: {"unit": "kl", **columns(12.0, seed)} for seed, name in enumerate(("a", "b"))}
    other = {name: {"unit": "kl", **columns(12.5, seed)} for seed, name in enumerate(("a", "b"))}
    lay_study(tmp_path / "runs" / "arms", targets, study="r" * 64)
    lay_study(tmp_path / "runs" / "restated", other, study="r" * 64)
    found = learned(tmp_path)
    assert found.rows.half == pytest.approx(12, rel=1e-3)
    assert "learned from arms of 2 targets with" in found.text


def test_what_foretells_no_better_is_not_used(tmp_path):
    for seed, half in enumerate((1.0, 1e4, 1.0, 1e4)):
        lay_run(tmp_path / "runs" / f"run{seed}", half, seed)
    found = learned(tmp_path)
    assert found.rows == Halving(100.0)
    assert found.text.startswith(
        "100 rows are taken to halve a domain's loss, because arms of 4 targets teach nothing that predicts better; "
    )


@pytest.mark.parametrize(
    "kind",
    [
        Kind("x" * 64, KIND.sae, KIND.settings),
        *(
            Kind(KIND.model, KIND.sae, Settings(**SETTINGS | other))
            for other in ({"method": "grpo"}, {"replay_kl": 10.0}, {"target_answers": "own_voice"})
        ),
    ],
)
def test_arms_of_another_model_method_or_lever_teach_nothing(tmp_path, kind):
    for seed in range(2):
        lay_run(tmp_path / "runs" / f"run{seed}", 30.0, seed)
    targets = {name: {"unit": "kl", **columns(12.0, seed)} for seed, name in enumerate(("a", "b"))}
    lay_study(tmp_path / "runs" / "arms", targets)
    assert learned(tmp_path, kind=kind).text == (
        "100 rows are taken to halve a domain's loss: no arms were compared earlier."
    )


def test_arms_with_a_lever_teach_jobs_with_it_alone(tmp_path):
    """Rows that KL from the untrained model acts on save more than such rows save without it."""
    for seed, settings in enumerate((SETTINGS, SETTINGS | {"replay_kl": 10.0}) * 2):
        lay_run(tmp_path / "runs" / f"run{seed}", 90.0 if settings is SETTINGS else 5.0, seed, settings=settings)
    assert learned(tmp_path).rows.half == pytest.approx(90, rel=1e-3)
    levered = Kind(KIND.model, KIND.sae, Settings(**SETTINGS | {"replay_kl": 10.0}))
    assert learned(tmp_path, kind=levered).rows.half == pytest.approx(5, rel=1e-3)


def test_losses_of_the_unit_that_most_targets_have_count_and_damaged_files_are_passed_over(tmp_path):
    for seed in range(2):
        lay_run(tmp_path / "runs" / f"run{seed}", 30.0, seed)
    lay_study(tmp_path / "runs" / "other", {"a": {"unit": "kl", **columns(2.0, 5)}})
    lay_study(
        tmp_path / "runs" / "short", {"a": {"unit": "kl", "without": [0.1], "after": [], "rows": [1], "total": [1]}}
    )
    (tmp_path / "runs" / "torn").mkdir()
    (tmp_path / "runs" / "torn" / "outcome.json").write_text('{"hashes": ')
    assert learned(tmp_path).rows.half == pytest.approx(30, rel=1e-3)
