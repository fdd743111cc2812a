"""The study of taught skills judges a regime by questions apart, and draws splits that share none."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "recipes" / "studies" / "smollm2-135m-skills"))

import taught
import taught_backwards
import taught_page
from taught_skills import SKILLS, TARGETS, draw_items, split_of

FIRST = {
    "kept": ["gcd", "needle"],
    "taught": {"gcd": 160, "needle": 180} | {target.name: 20 for target in TARGETS},
    "probe": {"gcd": 150, "needle": 190},
    "untaught": {"gcd": 0, "needle": 0},
    "frequent": {"gcd": 0.3, "needle": 0.01},
    "teaching": {"rows": 9, "r": 4, "learning_rate": 1e-3},
    "sha256": {"taught.py": "0"},
    "versions": {"torch": "2"},
}


def lines(job, none, uniform, oracle, probe):
    """The three arms of a job, by right answers in gcd and needle."""
    arms = {"none": none, "uniform": uniform, "oracle": oracle}
    return [
        taught.Line(
            job, arm, {"gcd": 80} if arm == "oracle" else {}, 40, dict(zip(FIRST["kept"], right, strict=True)),
            dict(zip(FIRST["kept"], probe, strict=True)) if arm == "none" else {}, 1.0,
        )
        for arm, right in arms.items()
    ]  # fmt: skip


def test_harm_is_judged_on_other_questions_than_the_skill_is_found_on():
    (job, *_) = taught.jobs()
    none, *_ = lines(job, (100, 60), (0, 0), (0, 0), probe=(50, 150))
    # On `probe` gcd lost most; on the judged questions needle did, which counts for the value alone.
    assert taught.harm_of(none, FIRST) == ((100 - 160) / 200, "gcd")
    assert taught.value(none, FIRST) == ((60 - 180) / 200, "needle")


def test_a_cell_is_a_regime_where_harm_and_gain_are_sure_over_all_targets():
    sure = [
        line
        for number, job in enumerate(taught.jobs())
        for line in lines(job, (90 + number, 100), (120 - number, 170), (150, 170), probe=(60, 150))
    ]
    found = list(taught.verdicts(FIRST, sure))
    assert [(one.cell, one.targets, one.regime) for one in found] == [(cell, 8, True) for cell in taught.GRID]
    assert found[0].harm.mean == pytest.approx(sum(90 + number - 160 for number in range(8)) / 8 / 200)
    assert found[0].gain.mean == pytest.approx(sum(30 + number for number in range(8)) / 8 / 200)
    assert found[0].learnt == {arm: pytest.approx(0.1) for arm in taught.ARMS}
    part = [line for line in sure if line.job.target != "weekdays"]
    assert [one.regime for one in taught.verdicts(FIRST, part)] == [False, False]  # not all targets
    evens = [line for job in taught.jobs() for line in lines(job, (90, 100), (150, 170), (150, 170), probe=(60, 150))]
    assert [one.regime for one in taught.verdicts(FIRST, evens)] == [False, False]


def test_the_page_says_how_far_the_search_is(tmp_path, monkeypatch):
    job, *_ = taught.jobs()
    monkeypatch.setattr(taught, "RESULTS", tmp_path / "results.jsonl")
    found = lines(job, (90, 100), (120, 170), (150, 170), probe=(60, 150))
    text = "".join(json.dumps(one) + "\n" for one in (FIRST, *map(asdict, found)))
    taught.RESULTS.write_text(text + '{"job": {"tar')  # cut by a kill
    first, read = taught.read_results()
    assert (first, read) == (FIRST, found)
    page = taught_page.report(first, read)
    assert "3 trainings of 48 registered, 1 jobs begun, 3 processor seconds. **Regimes found: 0 of 2 cells.**" in page
    assert (
        f"| `{job.target}` | all weights, 0.0002, 40 steps, 2 extra a step | -40.0 needle | -20.0 gcd | -5.0 gcd |"
        in page
    )


def test_a_search_from_the_end_has_the_registered_jobs():
    assert list(taught_backwards.backwards()) == [*taught.jobs()][::-1]


@pytest.mark.parametrize("skill", [SKILLS[0].name, TARGETS[4].name])
def test_no_question_stands_in_two_splits(skill):
    drawn = {split: draw_items(skill, split, 20, 7) for split in ("evaluation", "probe", "train")}
    texts = {split: {item.question for item in items} for split, items in drawn.items()}
    assert all(len(one) == 20 for one in texts.values())
    assert len(set.union(*texts.values())) == 60
    mark = next(one.mark for one in (*SKILLS, *TARGETS) if one.name == skill)
    assert all(split_of(text.removeprefix(mark)) == split for split, one in texts.items() for text in one)
