"""The second search of taught skills gives rows where they help, and judges as the first one did."""

import json
import sys
from dataclasses import asdict, astuple
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "recipes" / "studies" / "smollm2-135m-responses"))

import responses
import responses_page
from taught import Line
from taught_skills import TARGETS

EVEN = {"gcd": 10, "needle": 10}
FIRST = {
    "kept": ["gcd", "needle"],
    "taught": {"gcd": 160, "needle": 180} | {target.name: 20 for target in TARGETS},
    "probe": {"gcd": 160, "needle": 180},
    "sha256": {"responses.py": "0"},
    "versions": {"torch": "2"},
}


def lines(job, none, uniform, oracle):
    """The three arms of a job, by right answers in gcd and needle."""
    arms = {"none": none, "uniform": uniform, "oracle": oracle}
    found = {arm: dict(zip(FIRST["kept"], right, strict=True)) for arm, right in arms.items()}
    return [Line(job, arm, EVEN, 40, right, right, 1.0) for arm, right in found.items()]


def test_rows_are_those_that_make_the_largest_expected_loss_least():
    # Of 100 lost, 10 rows leave 50 (half by 10 rows) or 10 (half by 10 / 9): equal losses L need
    # 10 (100 / L - 1) + 10 / 9 (100 / L - 1) = 20 rows, so 100 / L - 1 = 1.8 and 18 rows beside 2.
    found = responses.least_loss(
        {"a": 150, "b": 200}, {"a": 50, "b": 100}, {"a": 100, "b": 190}, {"a": 10, "b": 10}, 20
    )
    assert found == {"a": 18, "b": 2}


@pytest.mark.parametrize(
    ("none", "even", "rows"),
    [
        ((160, 180), (160, 180), {"gcd": 10, "needle": 10}),  # nothing lost: even
        ((100, 180), (130, 180), {"gcd": 20, "needle": 0}),  # one alone lost
        ((100, 185), (90, 180), {"gcd": 20, "needle": 0}),  # rows made it worse: the slowest to come back
        ((100, 120), (160, 180), {"gcd": 10, "needle": 10}),  # all came back, equally fast
    ],
)
def test_rows_go_nowhere_that_lost_nothing(none, even, rows):
    named = [dict(zip(FIRST["kept"], right, strict=True)) for right in (none, even)]
    assert responses.least_loss(FIRST["probe"], *named, EVEN, 20) == rows


def test_the_oracle_meets_even_rows_half_way(monkeypatch):
    job, *_ = responses.jobs()
    asked = []
    monkeypatch.setattr(responses, "train_arm", lambda model, chats, job, amounts: asked.append(amounts))
    monkeypatch.setattr(responses, "counted", lambda model, chats, names, split: dict.fromkeys(names, 1))
    none, uniform, _ = lines(job, (60, 80), (60, 170), (0, 0))
    done = {(job, "none"): none, (job, "uniform"): uniform}
    line = responses.trained(None, None, job, "oracle", FIRST, done)
    fitted = responses.least_loss(FIRST["probe"], none.probe, uniform.probe, EVEN, job.budget)
    assert sum(asked[0].values()) == job.budget == 80
    assert asked[0]["gcd"] == pytest.approx(80 * (fitted["gcd"] + 10) / 100, abs=1)
    assert (line.amounts, line.probe) == (asked[0], {})  # what judges is not looked at before


def test_a_cell_is_judged_over_the_cells_of_both_searches(tmp_path, monkeypatch):
    sure = [
        line
        for number, job in enumerate(responses.jobs())
        for line in lines(job, (80 + number % 8, 100), (100 - number % 8, 170), (150, 170))
    ]
    found = list(responses.verdicts(FIRST, sure))
    assert [(one.cell, one.targets, one.regime) for one in found] == [(cell, 8, True) for cell in responses.GRID]
    wanted = responses.difference([(50 + number) / 200 for number in range(8)], 5)
    assert astuple(found[0].gain) == pytest.approx(astuple(wanted))
    part = [line for line in sure if line.job.target != "weekdays"]
    assert not any(one.regime for one in responses.verdicts(FIRST, part))  # not all targets
    monkeypatch.setattr(responses, "RESULTS", tmp_path / "results.jsonl")
    needed = {line.job for line in responses.earlier()}
    old = [line for line in sure if line.arm == "none" and line.job in needed]
    for module in (responses, responses_page):
        monkeypatch.setattr(module, "earlier", lambda: old)
    new = [line for line in sure if line not in old]
    text = "".join(json.dumps(one) + "\n" for one in (FIRST, *map(asdict, new)))
    responses.RESULTS.write_text(text + '{"job": {"tar')  # cut by a kill
    page = responses_page.report(*responses.read_results())
    assert "64 trainings of 64 registered, beside 8 of the first search; 64 processor seconds." in page
    assert "**Regimes found: 3 of 3 cells (" in page
    assert "| `decimals` | LoRA, 0.002, 20 steps, 1 extra a step | -40.0 gcd | " in page


def test_results_of_other_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(responses, "RESULTS", tmp_path / "results.jsonl")
    monkeypatch.setattr(responses, "marks", lambda folder: {"responses.py": "1"})
    responses.RESULTS.write_text(json.dumps(FIRST) + "\n")
    with pytest.raises(SystemExit, match="Move it away"):
        responses.search(tmp_path, backwards=False)
