"""Pass, fail or undecided by the interval of what was lost, and about how many rows would decide it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import saved_run
from as_saved import filled
from evaluated import choice_rows
from tolerated import load_with

from mixplan.evaluate.compare import change, changes
from mixplan.evaluate.intervals import graded_interval
from mixplan.outcome.arms_table import arms_table
from mixplan.outcome.summary import summarise
from mixplan.outcome.tolerances import gate, over_seeds, with_gate, with_gates, with_gates_of
from mixplan.recipe.tolerances import Tolerance
from mixplan.saved.evaluation import EvaluatedModel, Evaluation, Measured
from mixplan.saved.outcome import Change
from mixplan.saved.tolerances import Gate

KINDS = {
    "pp": ("exact", "score"),
    "bits": ("likelihood", "bits_per_byte"),
    "nats": ("behaviour", "kl"),
}
WORSE = {"pp": -0.01, "bits": 1.0, "nats": 1.0}
"""What a loss of 1 is as a change."""


def evaluation(values, *, name="law", measure="exact", quantity="score"):
    rows = tuple(f"r:{number}" for number in range(len(values)))
    measured = Measured(measure, rows, {quantity: tuple(map(float, values))}, {})
    model = EvaluatedModel(name="tiny", hash="a", dtype="float32", device="cpu")
    return Evaluation(model, {name: {measure: measured}}, {name: measure})


def held(text, moved: Change | None, *, before=None, rows=(), seeds=1):
    """The verdict on one tolerance of the domain `law`, before training right in every second of its rows."""
    amount, unit = text.split()
    measure, quantity = KINDS[unit]
    items = moved.items if moved else 100
    before = before or evaluation([number % 2 for number in range(items)], measure=measure, quantity=quantity)
    found = {"law": {measure: {quantity: moved}}} if moved else {}
    (one,) = gate({"law": [Tolerance(float(amount), unit, measure)]}, found, before, {"law": rows}, seeds=seeds).held
    return one


def lost(unit, value, low, high, **more):
    """A change of which so much is lost, in the tolerance's unit."""
    ends = sorted(WORSE[unit] * end for end in (low, high))
    return filled(Change, {"change": WORSE[unit] * value, "low": ends[0], "high": ends[1], **more})


@pytest.mark.parametrize("unit", KINDS)
@pytest.mark.parametrize(
    ("loss", "verdict"),
    [
        ((1.0, 0.5, 2.0), "pass"),
        ((-3.0, -4.0, -2.0), "pass"),
        ((4.0, 2.5, 5.5), "fail"),
        ((4.0, 2.0, 6.0), "undecided"),
        ((1.0, -0.5, 2.5), "undecided"),
        ((3.0, 1.0, 5.0), "undecided"),
    ],
)
def test_the_interval_decides(unit, loss, verdict):
    found = held(f"2 {unit}", lost(unit, *loss))
    assert found.verdict == verdict
    assert (found.loss.value, found.loss.low, found.loss.high) == pytest.approx(loss)
    assert (found.measure, found.items) == (KINDS[unit][0], 100)
    assert (found.reason is None) == (verdict != "undecided")


def test_what_chance_gives_as_often_is_no_failure():
    found = held("2 pp", lost("pp", 4.0, 2.5, 5.5, changed=False))
    assert (found.verdict, found.reason, found.rows) == ("undecided", "Chance alone gives as much over 100 rows.", None)


def test_no_tolerance_at_all_fails_what_changed_for_the_worse():
    """With 0 pp the gate is the outcome's own word: a loss beyond noise."""
    draw = np.random.default_rng(0)
    for shift in (0.0, 0.1, 0.3):
        before = (draw.random(200) < 0.6).astype(float)
        after = np.where(draw.random(200) < shift, 0.0, before)
        moved = change(before, after, quality=1, resamples=200, seed=0)
        assert (held("0 pp", moved, before=evaluation(before)).verdict == "fail") == (moved.direction == "loss")


def test_few_rows_decide_nothing():
    found = held("50 pp", lost("pp", 0.0, -1.0, 1.0, items=5), before=evaluation([1, 1, 1, 1, 1]))
    assert found.verdict == "undecided"
    assert found.reason == "Accuracy cannot show a loss: before training 5 of 5 rows were right."
    found = held("5 nats", lost("nats", 1.0, 0.5, 1.5, items=5))
    assert (found.verdict, found.reason, found.rows) == ("undecided", "5 rows cannot decide it; about 6 rows would.", 6)


def test_an_accuracy_that_cannot_fall_passes_nothing():
    nothing_right = evaluation([0] * 100)
    found = held("2 pp", lost("pp", 0.0, -0.5, 0.5), before=nothing_right)
    assert found.verdict == "undecided"
    assert found.reason == "Accuracy cannot show a loss: before training 0 of 100 rows were right."
    rows = choice_rows(90)  # of 3, 2 and 4 options: guessing gives 36 %
    guessed = Measured("choice", tuple(row.id for row in rows), {"correct": (1.0, 0.0, 0.0) * 30}, {})
    before = replace(nothing_right, domains={"law": {"choice": guessed}}, headlines={"law": "choice"})
    moved = filled(Change, {"items": 90, "low": -0.01, "high": 0.01})
    (one,) = gate({"law": [Tolerance(2.0, "pp", "choice")]}, {"law": {"choice": {"correct": moved}}}, before,
                  {"law": rows}).held  # fmt: skip
    said = "Accuracy cannot show a loss: before training 30 of 90 rows were right, and guessing gives 36.1 %."
    assert (one.verdict, one.reason) == ("undecided", said)


def test_a_task_s_metric_may_be_no_share():
    before = Evaluation(
        EvaluatedModel(name="tiny", hash="a", dtype="float32"),
        {"law": {"lm_eval": Measured("lm_eval", ("a",) * 20, {"perplexity": (3.0,) * 20}, {})}},
        {"law": "lm_eval"},
    )
    found = {"law": {"lm_eval": {"perplexity": filled(Change, {"items": 20})}}}
    (one,) = gate({"law": [Tolerance(2.0, "pp", "lm_eval")]}, found, before, {}).held
    assert (one.verdict, one.reason) == (
        "undecided",
        "The task's metric perplexity is no share of right answers, which `pp` is of.",
    )


def test_what_was_not_measured_is_undecided():
    found = held("2 pp", None)
    assert (found.verdict, found.loss, found.items) == ("undecided", None, 0)
    assert found.reason == "`exact` was not measured."
    assert gate({}, {}, evaluation([1]), {}) is None


@pytest.mark.parametrize(("share", "amount"), [(0.05, 8.0), (0.05, 2.0), (0.0, 1.0), (0.2, 12.0)])
def test_so_many_rows_decide_it(share, amount):
    """The same share of flips on as many rows as were said and a few more: decided; on fewer: not yet."""

    def measured(count):
        after = np.ones(count)
        after[: round(share * count)] = 0.0
        after[round(share * count) : round(2 * share * count)] = 1.0
        return change(np.ones(count), after, quality=1, resamples=100, seed=0)

    first = held(f"{amount} pp", measured(100), before=evaluation([1] * 100))
    assert first.verdict == "undecided"
    assert first.reason.endswith(f"about {first.rows:,} rows would.")
    enough = held(f"{amount} pp", measured(round(1.15 * first.rows)), before=evaluation([1] * 100))
    assert enough.verdict == ("pass" if 100 * share < amount else "fail")
    short = held(f"{amount} pp", measured(round(0.85 * first.rows)), before=evaluation([1] * 100))
    assert short.verdict == "undecided"


def test_so_many_rows_decide_what_is_not_graded():
    """Bits of the same spread: the interval's half-width goes with the root of the number of rows."""
    found = held("2 bits", lost("bits", 1.0, -1.0, 3.0))
    assert found.rows == 400
    assert held("2 bits", lost("bits", 3.0, 1.5, 7.0)).rows == 226  # (1.5 / 1)² · 100, and one more to be beyond it


def test_a_loss_that_is_the_tolerance_is_decided_by_no_number_of_rows():
    found = held("2 pp", lost("pp", 2.0, 1.0, 3.0))
    assert (found.rows, found.reason) == (None, "The interval over 100 rows holds the tolerance.")
    assert held("2 nats", lost("nats", 2.001, -20.0, 24.0)).rows is None


@pytest.mark.parametrize("count", [40, 100, 400])
@pytest.mark.parametrize(("losses", "gains"), [(0.02, 0.0), (0.05, 0.03), (0.12, 0.1), (0.1, 0.0)])
def test_a_domain_that_loses_just_its_tolerance_seldom_fails_or_passes(count, losses, gains):
    """As docs/gating.md has it: drawn 4,000 times, of which 0.4 % either way are chance."""
    flips = np.random.default_rng(0).multinomial(count, [losses, gains, 1 - losses - gains], size=4000)
    low, high = graded_interval(flips[:, 1] - flips[:, 0], flips[:, 1] + flips[:, 0], count)
    tolerance = losses - gains + 1e-12
    assert (-high > tolerance).mean() <= 0.025 + 0.005
    assert (-low <= tolerance).mean() <= 0.059 + 0.01


def flipped(before, count):
    after = np.array(before, dtype=float)
    after[:count] = 0.0
    return after


def test_several_seeds_are_judged_by_their_mean_and_by_how_they_differ():
    before = [1.0] * 60
    trained = [evaluation(flipped(before, count)) for count in (6, 9, 12)]
    tolerances = {"law": [Tolerance(2.0, "pp", "exact")]}
    found = over_seeds(tolerances, evaluation(before), trained, resamples=400, seed=0)["law"]["exact"]["score"]
    means = np.array([-0.10, -0.15, -0.20])
    assert found.change == pytest.approx(means.mean())
    items = change(before, np.mean([flipped(before, n) for n in (6, 9, 12)], axis=0), quality=1, resamples=400, seed=0)
    between = 4.302653 * means.std(ddof=1) / math.sqrt(3)  # Student's 97.5 % with two degrees of freedom
    assert found.change - found.low == pytest.approx(math.hypot(items.change - items.low, between), rel=1e-5)
    assert found.high - found.change == pytest.approx(math.hypot(items.high - items.change, between), rel=1e-5)
    one = gate(tolerances, {"law": {"exact": {"score": found}}}, evaluation(before), {}, seeds=3).held[0]
    assert (one.verdict, one.rows) == ("undecided", None)
    assert one.reason == "The interval over 60 rows and 3 seeds holds the tolerance."
    # Seeds that agree leave what one alone is judged by.
    alike = over_seeds(tolerances, evaluation(before), [trained[0]] * 3, resamples=400, seed=0)
    alone = changes(evaluation(before), trained[0], resamples=400, seed=0)["law"]
    assert alike["law"]["exact"]["score"] == alone["exact"]["score"]
    assert over_seeds(tolerances, evaluation(before), [evaluation(before, name="other")], resamples=100, seed=0) == {}


def test_each_arm_is_judged(tmp_path, monkeypatch):
    asked = load_with(tmp_path, monkeypatch, "{sums: 10 pp}")
    before = evaluation([1.0] * 100, name="sums")
    after = {arm: {0: evaluation(flipped([1.0] * 100, lost), name="sums")}
             for arm, lost in {"none": 40, "uniform": 12, "plan": 0}.items()}  # fmt: skip
    table = arms_table(after, before, rows={}, steps=3)
    found = with_gates(table, after, before, asked, {})
    verdicts = {arm: one.tolerances.verdict for arm, one in found.arms.items()}
    assert verdicts == {"none": "fail", "uniform": "undecided", "plan": "pass"}
    without = with_gates(table, after, before, load_with(tmp_path, monkeypatch, "{}"), {})
    assert without == table
    # Once other tolerances hold, these verdicts are gone.
    same = gate({"sums": [Tolerance(10.0, "pp", "exact")]}, {}, before, {})
    assert with_gates_of(found, same) == found
    others = gate({"sums": [Tolerance(5.0, "pp", "exact")]}, {}, before, {})
    assert with_gates_of(found, others).values() == with_gates_of(found, None).values() == table.values()


@pytest.mark.parametrize(("planned", "given"), [("2 pp", "plan"), ("1 pp", "eval"), (None, "eval")])
def test_it_is_said_where_tolerances_are_from_and_that_they_changed(planned, given):
    plan, outcome = saved_run.sample(0)
    expected = {"domain": "law", "unit": "pp", "measure": "exact", "loss": None, "breaks": None, "breaks_without": None}
    if planned:
        amount = float(planned.split()[0])
        said = {"expected": [expected | {"amount": amount}], "kept": [], "most": 9, "rows_save": {}, "assumed": []}
        plan = type(plan).model_validate(plan.model_dump() | {"tolerances": said})

    def judged(amount, earlier):
        tolerances = {"law": [Tolerance(amount, "pp", "exact")]}
        found = gate(tolerances, {"law": {"exact": {"score": lost("pp", 1.0, 0.5, 1.5)}}}, evaluation([1.0] * 99), {})
        return with_gate(outcome, plan, found, earlier)

    first = judged(2.0, None)
    assert (first.tolerances.given, first.tolerances.first, first.tolerances.verdict) == (given, None, "pass")
    assert first.summary[-1] == "Tolerances: pass. 1 domain kept to what may be lost."
    assert first.summary == summarise(first)
    later = "The tolerances are not those of the plan: they were given with `mixplan eval`."
    assert (later in first.warnings) == (given == "eval")
    # Measured again by the same, nothing is added; by others, what it was first held to stays known.
    assert judged(2.0, first).tolerances == first.tolerances
    loosened = judged(0.2, first)
    assert loosened.tolerances.first == {"law": ["2 pp"]}
    assert judged(0.3, loosened).tolerances.first == {"law": ["2 pp"]}
    assert judged(2.0, loosened).tolerances.first is None
    said = "The tolerances were changed after this model had been measured: law 2 pp, now 0.2 pp."
    assert loosened.warnings[-1] == said
    assert judged(2.0, outcome).warnings[-1] == "The tolerances were set after this model had been measured."
    other = outcome.model_copy(update={"hashes": {**outcome.hashes, "trained": "another"}})
    assert judged(2.0, other).tolerances.first is None


def test_the_sentence_names_who_lost_too_much_and_what_is_open():
    _, outcome = saved_run.sample(0)
    several = [
        held("2 pp", lost("pp", 4.0, 2.5, 5.5)),
        held("9 pp", lost("pp", 4.0, 2.5, 5.5)),
        held("0.5 nats", lost("nats", 0.4, 0.1, 0.7)),
    ]
    names = [one.model_copy(update={"domain": name}) for one, name in zip(several, ("law", "art", "art"), strict=True)]
    found = outcome.model_copy(update={"tolerances": Gate(held=names)})
    assert summarise(found)[-1] == (
        "Tolerances: fail. 1 of 2 domains lost more than may be lost: law (4 pp [2.5, 5.5], may lose 2 pp). "
        "1 of 2 domains undecided: art (0.4 nats [0.1, 0.7], may lose 0.5 nats)."
    )


@pytest.mark.parametrize(("way", "after", "verdict"), [
    ({}, 0.9, "pass"), ({"acc": 0}, 0.9, "pass"), ({"acc": 0}, 0.2, "fail"), ({"acc": -1}, 0.9, "fail"),
])  # fmt: skip
def test_an_accuracy_of_which_its_harness_does_not_say_that_more_is_better_is_lost_where_it_falls(way, after, verdict):
    """A quantity of a known name has a known side; only one that is said to be better where it is less turns."""
    draw = np.random.default_rng(0)
    early, late = ((draw.random(400) < share).astype(float) for share in (0.6, after))
    before = evaluation(early, measure="lm_eval", quantity="acc")
    measured = replace(before.domains["law"]["lm_eval"], better=way)
    before = replace(before, domains={"law": {"lm_eval": measured}})
    moved = change(early, late, quality=measured.quality("acc"), resamples=200, seed=0)
    (one,) = gate({"law": [Tolerance(2.0, "pp", "lm_eval")]}, {"law": {"lm_eval": {"acc": moved}}}, before, {}).held
    assert one.verdict == verdict
    assert one.loss.value == pytest.approx(100 * (early.mean() - late.mean()) * (-1 if way == {"acc": -1} else 1))


def test_scores_beyond_one_are_no_share_of_right_answers():
    before = evaluation([5, 7] * 50, measure="lm_eval")
    moved = filled(Change, {"change": -0.1, "low": -0.2, "high": 0.0})
    (one,) = gate({"law": [Tolerance(2.0, "pp", "lm_eval")]}, {"law": {"lm_eval": {"score": moved}}}, before, {}).held
    said = "The task's metric score is no share of right answers, which `pp` is of."
    assert (one.verdict, one.reason) == ("undecided", said)
