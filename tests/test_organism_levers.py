"""The organism's comparison of levers: the loss near the untrained model, equal gain, resuming, and verdicts."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

sys.path.insert(0, str(Path(__file__).parent.parent / "bin"))

import organism_levers
import organism_levers_results
from organism_arms import ITEMS, Measured, read_skills
from organism_lessons import rows_of, save_tokenizer
from organism_levers import (
    LEVERS,
    Asked,
    Lever,
    Line,
    arm,
    beside,
    chosen,
    compare_levers,
    loss_of,
    read_levers,
    steps_of,
    trained,
)
from organism_levers_results import levers_section
from organism_model import Making, answer_loss, new_model
from organism_regime import Start
from organism_skills import SKILLS, draw_items
from organism_targets import divided

from mixplan.errors import RunError

WORDS = ["SORT", "HAS", "MAX"]
TINY = Making(hidden=32, layers=2, heads=2)


@pytest.fixture
def model():
    return new_model(TINY).eval().requires_grad_(False)


@pytest.fixture
def asked(model, monkeypatch):
    monkeypatch.setattr(organism_levers, "CELL", (3e-3, 20))
    return Asked(Start(model, read_skills(model, WORDS, "evaluation"), read_skills(model, WORDS, "probe")), "first", 0)


def test_the_loss_near_the_untrained_model_is_that_of_each_token_by_itself(model):
    items = [*draw_items(SKILLS[0], "train", 16, "a test"), *draw_items(SKILLS[1], "train", 3, "a test")]
    other = next(one for step, one in enumerate(trained(model, Lever(rate=30.0), [items] * 3)) if step == 2).eval()
    tokens, answers = rows_of(items)
    losses, apart = [], []
    with torch.no_grad():
        for row in range(len(items)):
            now, before = (
                one(input_ids=tokens[row : row + 1]).logits[0].double().softmax(-1) for one in (other, model)
            )
            for place in range(1, tokens.shape[1]):
                if answers[row, place]:
                    losses.append(-float(now[place - 1, tokens[row, place]].log()))
                    p, q = before[place - 1], now[place - 1]
                    apart.append(float((p * (p / q).log()).sum()) if row >= 16 else 0.0)
        assert sum(apart) > 0.01
        for weight in (0.0, 1.0, 10.0):
            expected = (sum(losses) + weight * sum(apart)) / len(losses)
            assert float(loss_of(other, model, items, weight)) == pytest.approx(expected, rel=1e-4)
        assert float(loss_of(other, model, items, 0.0)) == pytest.approx(float(answer_loss(other, tokens, answers)))


def test_longer_trainings_go_over_the_same_rows_and_none_has_the_targets_alone(asked):
    once = steps_of(LEVERS["plain"], "first", 0, WORDS)
    assert [len(step) for step in once] == [17] * 20
    assert steps_of(LEVERS["half"], "first", 0, WORDS) == once * 2
    assert [step[:16] for step in once] == steps_of(LEVERS["none"], "first", 0, WORDS)
    assert [len(step) for step in steps_of(LEVERS["more"], "first", 0, WORDS)] == [18] * 20


def test_arms_are_taken_where_they_first_reach_the_bar(asked, monkeypatch):
    answers = iter([0.5, 0.8, 0.2, 0.3, 0.5])
    monkeypatch.setattr(Asked, "looked", lambda self, model: next(answers))
    plain, bar = arm(asked, "plain", None)  # looks after 10 and 20 steps, and before the first one
    assert bar == pytest.approx(0.2 + 0.9 * (0.8 - 0.2))
    assert (plain.step, plain.reached) == (20, True)
    assert plain.end == dataclasses.replace(plain.measured, seconds=plain.end.seconds)
    half, same = arm(asked, "half", 0.4)
    assert (half.step, half.reached, same, half.end) == (20, True, 0.4, None)


def test_an_adapter_trains_and_leaves_the_untrained_model_as_it_is(asked, model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    line, _ = arm(asked, "adapter", 2.0)
    assert (line.step, line.reached) == (80, False)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_comparison_goes_on_where_it_was_stopped(model, tmp_path, monkeypatch):
    model.save_pretrained(tmp_path / "model")
    save_tokenizer(tmp_path / "model")
    (tmp_path / "skills.json").write_text(json.dumps({"kept": WORDS}))
    monkeypatch.setattr(organism_levers, "CELL", (3e-3, 10))
    few = (divided()[0][:2], divided()[1][:2])
    for module in (organism_levers, organism_levers_results):
        monkeypatch.setattr(module, "divided", lambda: few)
    results, told = tmp_path / "study" / "levers.jsonl", []
    compare_levers(tmp_path, results, told=told.append)
    first, lines, _ = read_levers(results)
    assert len(lines) == len(told) == 2 * 8 + 2 * 2 * 5
    texts = results.read_text().splitlines(keepends=True)
    results.write_text("".join(texts[:7]) + texts[7][:20])
    compare_levers(tmp_path, results, told=told.append)
    again = read_levers(results)[1]
    assert [timeless(line) for line in again] == [timeless(line) for line in lines]
    names = {line.arm for line in lines if line.target == few[1][0].name}
    assert names == {"plain", "none", "more", *chosen(lines, first).values()}
    page = "\n".join(levers_section(results))
    assert "They choose `half` and `kl_1` for the held-out targets" in page
    assert page.count("| none | 2 |") == 2
    assert "4 of 4 pairs of held-out target and seed" in page
    results.write_text(texts[0].replace('"items": 200', '"items": 100'))
    with pytest.raises(RunError, match="another comparison"):
        compare_levers(tmp_path, results, told=told.append)


def timeless(line):
    parts = {"seconds": 0.0, "measured": dataclasses.replace(line.measured, seconds=0.0)}
    return dataclasses.replace(line, **parts, end=line.end and dataclasses.replace(line.end, seconds=0.0))


def left(worst: int, target: int) -> Measured:
    return Measured(target, {"SORT": (worst, 0, 0), "MAX": (200, 0, 0)}, {}, 0.0)


def test_an_arm_is_judged_beside_plain_over_targets():
    targets = [f"t{number}" for number in range(6)]
    first = {"untrained": {"targets": dict.fromkeys(targets, 20)}}
    apart = [10, 14, 8, 20, 12, 16]
    lines = [
        one
        for name, more in zip(targets, apart, strict=True)
        for seed in (0, 1)
        for one in (
            Line(name, seed, "plain", 40, True, 2.0, left(100, 180), left(90 - seed, 200)),
            Line(name, seed, "half", 60, seed == 0, 3.0, left(100 + more + (1 - 2 * seed), 172)),
        )
    ]
    found = beside(lines, first, targets, "half", 5)
    values = np.array(apart) / ITEMS
    half = stats.t.ppf(1 - 0.025 / 5, 5) * values.std(ddof=1) / 6**0.5
    assert (found.targets, found.trainings, found.reached) == (6, 12, 6)
    assert found.worst.mean == pytest.approx(values.mean())
    assert (found.worst.low, found.worst.high) == pytest.approx((values.mean() - half, values.mean() + half))
    assert found.mean.mean == pytest.approx(values.mean() / 2)
    assert found.kept == pytest.approx(152 / 160)
    assert (found.steps, found.seconds) == pytest.approx((1.5, 1.5))
    assert found.surely == (found.worst.low > 0)
    assert found.surely
    end = beside(lines, first, targets, "end", 5)
    assert end.worst.mean == pytest.approx(-10.5 / ITEMS)
    assert end.kept == pytest.approx(180 / 160)
    assert end.steps == pytest.approx(3.0)
    assert not end.surely
    assert beside(lines, first, targets, "kl_1", 5) is None


def test_development_chooses_among_arms_that_keep_the_gain():
    targets = [target.name for target in divided()[0]]
    first = {"untrained": {"targets": dict.fromkeys(targets, 0)}}

    def all_of(arm, worst, target):
        return [Line(name, 0, arm, 10, True, 1.0, left(worst, target)) for name in targets]

    lines = [
        *(dataclasses.replace(line, end=line.measured) for line in all_of("plain", 100, 180)),
        *all_of("half", 110, 180), *all_of("quarter", 150, 100), *all_of("adapter", 120, 175),
        *all_of("kl_1", 120, 20), *all_of("kl_10", 130, 20),
    ]  # fmt: skip
    assert chosen(lines, first) == {"weaker": "adapter", "kl": "kl_1"}
