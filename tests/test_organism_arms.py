"""The organism's arms: rows, equal exposure, amounts, what is measured, and the verdicts of the registered search."""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

sys.path.insert(0, str(Path(__file__).parent.parent / "bin"))

import organism_regime
from organism_arms import (
    ITEMS,
    TARGET_ROWS,
    Job,
    Measured,
    batches,
    measure,
    part_of_rate,
    read,
    read_skills,
    spread,
    train_arm,
)
from organism_lessons import save_tokenizer
from organism_model import Making, answer_loss, new_model, right_answers
from organism_regime import GRID, Line, difference, read_results, search, verdicts
from organism_skills import SKILLS, draw_items, split_of
from organism_targets import divided

from mixplan.errors import RunError

TINY = Making(hidden=32, layers=2, heads=2)
JOB = Job("sort_longer", 1e-3, 5, 2)


@pytest.fixture(scope="module")
def model():
    return new_model(TINY).eval().requires_grad_(False)


@pytest.mark.parametrize("seed", range(20))
def test_amounts_sum_to_the_budget_and_stay_within_a_row_of_their_share(seed):
    rng = np.random.default_rng(seed)
    weights = dict(zip("abcdefg", rng.exponential(size=7) * (rng.random(7) < 0.7), strict=True)) | {"h": 1.0}
    rows = spread(weights, 53)
    assert sum(rows.values()) == 53
    for name, weight in weights.items():
        assert abs(rows[name] - 53 * weight / sum(weights.values())) < 1


def test_amounts_are_even_where_nothing_was_lost():
    assert spread({"a": 0.0, "b": 0.0, "c": 0.0}, 7) == {"a": 3, "b": 2, "c": 2}


def test_arms_see_the_same_target_rows_in_the_same_steps_and_no_measured_question():
    none = batches(JOB, None)
    even = batches(JOB, {"SORT": 5, "REV": 5})
    best = batches(JOB, {"SORT": 10, "REV": 0})
    assert [len(step) for step in none] == [TARGET_ROWS] * 5
    for alone, one, other in zip(none, even, best, strict=True):
        assert one[:TARGET_ROWS] == other[:TARGET_ROWS] == alone
        assert len(one) == len(other) == TARGET_ROWS + 2
    for arm in (none, even, best):
        assert {split_of(item.question) for step in arm for item in step} == {"train"}
    own = {item.question for step in even for item in step[TARGET_ROWS:] if item.skill == "SORT"}
    more = {item.question for step in best for item in step[TARGET_ROWS:]}
    assert own < more, "a smaller amount is the beginning of a larger one"
    with pytest.raises(ValueError, match="9 rows, but the budget is 10"):
        batches(JOB, {"SORT": 9})


def test_the_rate_goes_up_and_down_and_never_to_nothing():
    parts = [part_of_rate(step, 40) for step in range(40)]
    assert parts[:4] == [0.25, 0.5, 0.75, 1.0]
    assert parts[4:] == pytest.approx([(40 - step) / 36 for step in range(4, 40)])


def test_training_leaves_the_model_that_it_began_with(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    one, again = train_arm(model, JOB, None), train_arm(model, JOB, None)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert torch.equal(one.model.norm.weight, again.model.norm.weight)
    assert not torch.equal(one.model.norm.weight, model.model.norm.weight)


def test_a_training_is_adamw_by_hand_for_a_step(model):
    """The first step of AdamW moves each weight by its rate against the gradient's sign, and decays it."""
    job = replace(JOB, steps=1)
    fresh = new_model(TINY)
    answer_loss(fresh, *organism_regime_rows(job)).backward()
    trained = dict(train_arm(model, job, None).named_parameters())
    for name, parameter in fresh.named_parameters():
        strong = parameter.grad.abs() > 2e-3  # far above AdamW's epsilon, after clipping too
        wanted = parameter * (1 - 0.01 * 1e-3) - 1e-3 * parameter.grad.sign()
        assert torch.allclose(trained[name][strong], wanted[strong], atol=2e-6), name


def organism_regime_rows(job):
    from organism_lessons import rows_of

    return rows_of(batches(job, None)[0])


def test_reading_agrees_with_its_parts(model):
    words = ["SORT", "HAS"]
    found = read_skills(model, words, "probe", count=30)
    for word in words:
        items = draw_items(next(s for s in SKILLS if s.word == word), "probe", 30, "skills")
        assert found[word].right.tolist() == right_answers(model, items).tolist()
        alone = [float(answer_loss(model, *organism_rows([item]))) for item in items]
        assert found[word].nats.tolist() == pytest.approx(alone, rel=1e-4)
    assert read(model, items).accuracy == pytest.approx(found["HAS"].accuracy)


def organism_rows(items):
    from organism_lessons import rows_of

    return rows_of(items)


def test_what_was_lost_and_gained_adds_up(model):
    before = read_skills(model, ["HAS", "PAL"], "evaluation")
    after = measure(train_arm(model, replace(JOB, learning_rate=0.01, steps=20), None), JOB, before, 0.0)
    for word, (right, lost, gained) in after.skills.items():
        assert right == int(before[word].right.sum()) - lost + gained


@pytest.fixture
def small(tmp_path, model, monkeypatch):
    """A folder of a tiny organism and a search of one cell on two targets."""
    monkeypatch.setattr(organism_regime, "GRID", ((1e-3, 2, 2),))
    monkeypatch.setattr(organism_regime, "divided", lambda: (divided()[0][:2], divided()[1]))
    model.save_pretrained(tmp_path / "model")
    save_tokenizer(tmp_path / "model")
    (tmp_path / "skills.json").write_text(json.dumps({"kept": ["SORT", "HAS"]}))
    return tmp_path


def test_a_search_that_was_cut_goes_on_and_gives_the_same(small):
    told = []
    search(small, small / "whole.jsonl", told=told.append)
    assert len(told) == 6
    whole = (small / "whole.jsonl").read_text().splitlines(keepends=True)
    (small / "cut.jsonl").write_text("".join(whole[:5]) + whole[5][:40])
    search(small, small / "cut.jsonl", told=told.append)
    assert len(told) == 8
    for one, other in zip(*(read_results(small / f"{name}.jsonl")[1] for name in ("whole", "cut")), strict=True):
        assert replace(one.measured, seconds=0.0) == replace(other.measured, seconds=0.0)
        assert (one.job, one.arm, one.amounts) == (other.job, other.arm, other.amounts)
        assert sum(one.amounts.values()) == (0 if one.arm == "none" else 4)
    (small / "skills.json").write_text(json.dumps({"kept": ["SORT"]}))
    with pytest.raises(RunError, match="of another search"):
        search(small, small / "cut.jsonl", told=told.append)


def made_results(path, *, harm, gain, rng):
    """Results of a search in which `none` loses so much and the oracle gains so much, with some noise."""
    header = {"untrained": {"skills": {"A": 190, "B": 200}, "targets": {t.name: 20 for t in divided()[0]}}}
    lines = [header]
    for rate, steps, extra in GRID:
        for target in divided()[0]:
            noise = int(rng.integers(-6, 7))
            worst = {"none": 190 - harm + noise, "uniform": 150 + noise, "oracle": 150 + noise + gain}
            worst["oracle"] += int(rng.integers(-3, 4))
            for arm, right in worst.items():
                job = Job(target.name, rate, steps, extra, 0)
                measured = Measured(180, {"A": (right, 0, 0), "B": (199, 1, 0)}, {}, 1.0)
                lines.append(asdict(Line(job, arm, {}, measured)))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(("harm", "gain", "regime"), [(60, 20, True), (60, 0, False), (0, 20, False), (60, -20, False)])
def test_a_regime_needs_harm_and_an_oracle_that_wins(tmp_path, harm, gain, regime):
    made_results(tmp_path / "r.jsonl", harm=harm, gain=gain, rng=np.random.default_rng(1))
    found = verdicts(tmp_path / "r.jsonl")
    assert [verdict.regime for verdict in found] == [regime] * len(GRID)
    assert all(verdict.targets == 10 and verdict.kept == pytest.approx(1) for verdict in found)
    assert found[0].harm.mean == pytest.approx(-harm / ITEMS, abs=0.02)


def test_a_cell_without_all_targets_is_no_regime(tmp_path):
    made_results(tmp_path / "r.jsonl", harm=60, gain=20, rng=np.random.default_rng(1))
    lines = (tmp_path / "r.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "r.jsonl").write_text("".join(lines[:-4]))
    found = verdicts(tmp_path / "r.jsonl")
    assert [verdict.regime for verdict in found] == [True] * (len(GRID) - 1) + [False]
    assert found[-1].targets == 8


def test_the_interval_is_students_over_all_cells():
    values = [0.1, 0.3, -0.2, 0.4, 0.25]
    found = difference(values, 4)
    wanted = stats.t.interval(1 - 0.05 / 4, 4, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(wanted)
