"""The organism's comparison on held-out targets: what each arm gives its rows, verdicts, the page of results."""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "bin"))

import organism_heldout
from organism import write_rows
from organism_arms import Job, Measured, read_skills, spread
from organism_heldout import ARMS, BUDGETS, CELL, PLANS, SEEDS, Asked, compare, judged, weights_of
from organism_lessons import save_tokenizer
from organism_model import Making, new_model
from organism_regime import Line, Start, read_results
from organism_results import met, write_results
from organism_targets import TARGETS, divided

WORDS = ["SORT", "HAS", "MAX"]
TINY = Making(hidden=32, layers=4, heads=2)


@pytest.fixture
def folder(tmp_path, tiny_sae, monkeypatch):
    """The folder of a tiny organism with an SAE, and a job of a few steps on two targets and two seeds."""
    new_model(TINY).save_pretrained(tmp_path / "model")
    save_tokenizer(tmp_path / "model")
    write_rows(tmp_path, rows=80)
    tiny_sae("jumprelu", 32, 128, "blocks.2.hook_resid_post", tmp_path / "sae")
    (tmp_path / "skills.json").write_text(json.dumps({"kept": WORDS}))
    monkeypatch.setattr(organism_heldout, "CELL", (3e-3, 10))
    monkeypatch.setattr(organism_heldout, "SEEDS", (0, 1))
    monkeypatch.setattr(organism_heldout, "SPLIT", {"evaluation": 8, "query": 30, "demonstration": 12})
    monkeypatch.setattr(organism_heldout, "divided", lambda: (divided()[0], divided()[1][:1]))
    return tmp_path


def asked_of(folder, **changes):
    model = new_model(TINY).eval().requires_grad_(False)
    start = Start(model, read_skills(model, WORDS, "evaluation"), read_skills(model, WORDS, "probe"))
    return Asked(folder, start, replace(Job(TARGETS[0].name, 3e-3, 10, 2), **changes))


def test_what_each_arm_gives_its_rows(folder):
    asked = asked_of(folder)
    given = {arm: weights_of(arm, asked, {"SORT": 0.5, "HAS": 0.0, "MAX": 0.1}) for arm in ARMS[1:]}
    assert all(list(weights) == WORDS and min(weights.values()) >= 0 for weights in given.values())
    assert given["uniform"] == {"SORT": 1, "HAS": 1, "MAX": 1}
    assert spread(given["oracle"], 12) == {"SORT": 10, "HAS": 0, "MAX": 2}
    plan = json.loads((folder / "plans" / TARGETS[0].name / "plan.json").read_bytes())
    scores = {name.upper(): domain["sts_icl"]["value"] for name, domain in plan["domains"].items()}
    assert given["sts"] == pytest.approx(scores)
    assert given["planned"] == {name.upper(): rows for name, rows in plan["allocation"]["rows"].items()}
    assert plan["drift"]["from"] == "icl"
    piloted = json.loads((folder / "plans" / f"{TARGETS[0].name}-pilot" / "plan.json").read_bytes())
    assert piloted["drift"]["from"] == "checkpoint"
    assert sum(given["planned_pilot"].values()) == 10 * max(BUDGETS)
    assert weights_of("random", asked, {}) == given["random"]
    assert weights_of("random", asked_of(folder, seed=1), {}) != given["random"]
    assert 100 <= min(given["size"].values()) < max(given["size"].values()) <= 3000


def test_a_comparison_trains_each_arm_once_and_goes_on(folder, monkeypatch):
    monkeypatch.setattr(organism_heldout, "planned", lambda *_: organism_heldout.Planned(
        {"SORT": 2.0, "HAS": 1.0, "MAX": 1.0}, {"SORT": 10, "HAS": 5, "MAX": 5}))  # fmt: skip
    told = []
    compare(folder, folder / "heldout.jsonl", told=told.append)
    assert len(told) == 2 * (len(ARMS) * len(BUDGETS) - 1)  # seeds
    first, lines = read_results(folder / "heldout.jsonl")
    assert first["skills"] == WORDS
    assert {line.arm for line in lines if line.job.extra_rows == BUDGETS[1]} == set(ARMS) - {"none"}
    assert all(sum(line.amounts.values()) == line.job.budget for line in lines if line.arm != "none")
    text = (folder / "heldout.jsonl").read_text().splitlines(keepends=True)
    (folder / "heldout.jsonl").write_text("".join(text[:-3]))
    compare(folder, folder / "heldout.jsonl", told=told.append)
    again = read_results(folder / "heldout.jsonl")[1]
    assert [replace(line.measured, seconds=0) for line in again] == [replace(x.measured, seconds=0) for x in lines]


def made(path, gains, *, kept=190):
    """Results on all held-out targets in which arms differ from `uniform` by so many right answers, with some noise."""
    rng = np.random.default_rng(2)
    untrained = {"skills": {"A": 195, "B": 200}, "targets": {target.name: 10 for target in divided()[1]}}
    lines = [{"untrained": untrained, "sha256": {}}]
    for seed in SEEDS[:2]:
        for target in divided()[1]:
            for extra in BUDGETS:
                for arm in ARMS:
                    right = 120 + gains.get(arm, 0) + int(rng.integers(-5, 6))
                    learnt = 190 if arm == "none" else kept
                    measured = Measured(learnt, {"A": (right, 0, 0), "B": (199, 1, 0)}, {}, 2.0)
                    if arm != "none" or extra == BUDGETS[0]:
                        lines.append(asdict(Line(Job(target.name, *CELL, extra, seed), arm, {}, measured)))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_the_mark_needs_a_sure_gain_and_the_targets_own(tmp_path):
    made(tmp_path / "r.jsonl", {"sts": 20, "planned": 0, "planned_pilot": -20, "pilot": 20, "oracle": 40})
    found = {(mark.arm, mark.budget): mark for mark in judged(tmp_path / "r.jsonl")}
    assert len(found) == len(BUDGETS) * (len(ARMS) - 2)
    for extra in BUDGETS:
        of = {arm: found[arm, extra * CELL[1]] for arm in ARMS[2:]}
        assert [of[arm].met for arm in PLANS] == [True, False, False, True]
        assert of["oracle"].met is None
        assert of["oracle"].worst.mean == pytest.approx(0.2, abs=0.02)
        assert (of["sts"].targets, of["sts"].trainings, of["sts"].kept) == (20, 40, pytest.approx(1.0))
    made(tmp_path / "r.jsonl", {"sts": 20}, kept=178)  # 168 of 180 gained answers are 93 %
    found = [mark for mark in judged(tmp_path / "r.jsonl") if mark.arm == "sts"]
    assert [mark.met for mark in found] == [False, False]
    assert found[0].kept == pytest.approx(168 / 180)


def test_a_comparison_that_is_not_done_meets_no_mark(tmp_path):
    made(tmp_path / "r.jsonl", {"sts": 20})
    lines = (tmp_path / "r.jsonl").read_text().splitlines(keepends=True)
    last = divided()[1][-1].name
    (tmp_path / "r.jsonl").write_text("".join([lines[0], *(x for x in lines[1:] if last not in x)]))
    found = judged(tmp_path / "r.jsonl")
    assert not any(mark.met for mark in found)
    assert {met(mark) for mark in found} == {"", "targets are missing"}


def test_the_page_holds_each_figure(tmp_path):
    about = {"parameters": 900_000, "weights": "abc", "steps": 5, "processor_seconds": 61.2, "items": 300, "good": 0.9,
             "accuracy": {"A": 0.975, "B": 0.5}, "kept": ["A"],
             "sae": {"hook_name": "h", "kind": "topk", "d_sae": 64, "tokens": 5000, "tokens_heldout": 700, "fvu": 0.031,
                     "l0": 4.06, "dead_share": 0.125}}  # fmt: skip
    (tmp_path / "organism.json").write_text(json.dumps(about))
    made(tmp_path / "heldout.jsonl", {"sts": 20, "oracle": 40})
    write_results(tmp_path)
    page = (tmp_path / "RESULTS.md").read_text()
    assert "| A | 97.5% | yes |" in page
    assert "| B | 50.0% | no |" in page
    assert "leaves 3.1% of the variance unexplained on 700 tokens held out, with 4.1 features a token; 12.5%" in page
    mark = next(mark for mark in judged(tmp_path / "heldout.jsonl") if mark.arm == "sts")
    assert f"| {mark.budget} | sts | 20 | 40 | {100 * mark.worst.mean:+.1f} [" in page
    assert "680 trainings, 1,360 processor seconds; 40 of 100 pairs" in page
