"""The arms' table against paired t tests in closed form, simulations with known truth, and every message in full."""

from dataclasses import replace

import numpy as np
import pytest
from as_saved import plain
from scipy import stats

from mixplan.errors import RunError
from mixplan.evaluate.intervals import graded_interval
from mixplan.outcome.arms_table import arms_table, domain_interval, item_variance, mean_interval, verdict
from mixplan.saved.base_types import Interval
from mixplan.saved.evaluation import EvaluatedModel, Evaluation, Measured


def test_one_seed_is_a_paired_t_interval_over_items():
    differences = np.random.default_rng(0).standard_normal(40)
    expected = stats.ttest_1samp(differences, 0).confidence_interval()
    found = mean_interval([differences[None]])
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.value == pytest.approx(differences.mean())


def test_one_seed_of_two_domains_is_welchs_interval_of_their_mean():
    rng = np.random.default_rng(1)
    one, other = rng.standard_normal(12), 3 * rng.standard_normal(30)
    # The mean of two domains is half the difference of the one and the other with its sign turned.
    expected = stats.ttest_ind(one, -other, equal_var=False).confidence_interval()
    found = mean_interval([one[None], other[None]])
    assert (found.low, found.high) == pytest.approx((expected.low / 2, expected.high / 2))


def test_items_that_agree_leave_a_t_interval_over_seeds():
    by_seed = np.array([0.1, 0.3, -0.2])
    expected = stats.ttest_1samp(by_seed, 0).confidence_interval()
    found = mean_interval([np.repeat(by_seed[:, None], 20, axis=1)])
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_no_spread_is_no_width():
    assert mean_interval([np.full((2, 5), 0.25)]) == Interval(value=0.25, low=0.25, high=0.25)


def test_what_seeds_leave_in_the_items_is_taken_out():
    rng = np.random.default_rng(2)
    found = [item_variance(rng.standard_normal((3, 60)) + 2 * rng.standard_normal(60)) for _ in range(200)]
    assert np.mean(found) == pytest.approx(4.0, rel=0.05)
    assert item_variance(np.array([[1.0, -1.0], [-1.0, 1.0]])) == 0.0


@pytest.mark.parametrize(("seeds", "between"), [(1, 0.0), (3, 0.0), (3, 0.3), (5, 0.1)])
def test_intervals_hold_the_truth(seeds, between):
    rng = np.random.default_rng(3)
    held, count = 0, 600
    for _ in range(count):
        level = between * rng.standard_normal((seeds, 1))
        parts = [
            0.2 + level + 0.5 * rng.standard_normal(25) + rng.standard_normal((seeds, 25)) for _ in range(4)
        ]  # four domains share their seeds
        found = mean_interval(parts)
        held += found.low <= 0.2 <= found.high
    assert 0.92 <= held / count <= 0.995


def test_of_one_seed_a_domains_grades_have_bonett_and_prices_interval():
    rng = np.random.default_rng(4)
    for count in (6, 20, 200):
        differences = rng.choice([-1.0, 0.0, 1.0], count, p=[0.1, 0.85, 0.05])
        low, high = graded_interval(differences.sum(), np.square(differences).sum(), count)
        found = domain_interval(differences[None], graded=True)
        # Theirs divides the squares by all items, Student's by one less.
        wider, middle = (high - low) / 2 * ((count + 2) / (count + 1)) ** 0.5, (low + high) / 2
        expected = (max(-1.0, middle - wider), min(1.0, middle + wider))
        assert (found.low, found.high) == pytest.approx(expected)
        assert found.value == pytest.approx(differences.mean())
        assert domain_interval(differences[None], graded=False) == mean_interval([differences[None]])


@pytest.mark.parametrize(("seeds", "items", "flips"), [(1, 20, 0.05), (1, 40, 0.02), (3, 20, 0.05), (3, 40, 0.2)])
def test_a_domains_interval_holds_the_truth_where_few_answers_change(seeds, items, flips):
    rng = np.random.default_rng(5)
    held, count, truth = 0, 600, -0.4 * flips
    for _ in range(count):
        changed = rng.choice([-1.0, 0.0, 1.0], (seeds, items), p=[0.7 * flips, 1 - flips, 0.3 * flips])
        found = domain_interval(changed, graded=True)
        held += found.low <= truth <= found.high
    assert held / count >= 0.93


@pytest.mark.parametrize(
    ("domains", "items", "flips"), [(1, 50, 0.01), (2, 50, 0.02), (4, 25, 0.01), (4, 25, 0.05), (8, 100, 0.1)]
)
def test_the_mean_of_domains_grades_holds_the_truth_where_few_answers_change(domains, items, flips):
    """All flips go one way, and in many samples there is none; Student's interval of the last alone is as it was."""
    rng = np.random.default_rng(6)
    held, apart, plain_width, width, count = 0, 0, 0.0, 0.0, 400
    for _ in range(count):
        lost = [-(rng.random((1, items)) < flips).astype(float) for _ in range(domains)]
        found, plainly = mean_interval(lost, [True] * domains), mean_interval(lost)
        held += found.low <= -flips <= found.high
        width, plain_width = width + found.high - found.low, plain_width + plainly.high - plainly.low
        both_ways = [part * rng.choice([-1.0, 1.0], part.shape) for part in lost]
        none = mean_interval(both_ways, [True] * domains)
        apart += not none.low <= 0 <= none.high
    assert held / count >= 0.93
    assert apart / count <= 0.08
    assert flips < 0.1 or width / plain_width < 1.02
    nothing = mean_interval([np.zeros((1, items))] * domains, [True] * domains)
    # Where no answer changed, three losses among all items would have shown in 19 of 20 samples.
    assert 2.5 / (domains * items) < nothing.high == -nothing.low < 4.5 / (domains * items)


@pytest.mark.parametrize(
    ("low", "high", "better", "word"),
    [(0.1, 0.2, 1, "win"), (0.1, 0.2, -1, "loss"), (-0.2, -0.1, -1, "win"), (-0.1, 0.1, 1, "tie"), (0, 0, 1, "tie")],
)
def test_verdicts(low, high, better, word):
    assert verdict(Interval(value=low, low=low, high=high), better, items=6) == word
    assert verdict(Interval(value=low, low=low, high=high), better, items=5) == "tie"


@pytest.mark.parametrize("items", [[1] * 12, [1, 1, 1, 9, 9, 9, 9, 9], [1, 40]])
def test_domains_of_one_item_are_not_taken_for_certain(items):
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(800):
        found = mean_interval([0.2 + rng.standard_normal((1, count)) for count in items])
        held += found.low <= 0.2 <= found.high
    assert 0.92 <= held / 800 <= 0.985


def test_domains_of_one_item_each_are_the_items_of_a_paired_t_interval():
    differences = np.random.default_rng(7).standard_normal(9)
    expected = stats.ttest_1samp(differences, 0).confidence_interval()
    found = mean_interval([np.array([[one]]) for one in differences])
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def table_of(*arguments, **named):
    return plain(arms_table(*arguments, **named))


def measured(measure, quantity, values, rows=None):
    ids = rows or tuple(f"r:{number}" for number in range(len(values)))
    return Measured(measure, tuple(ids), {quantity: tuple(map(float, values))}, {})


def evaluation(target, law, sums, prose, *, kl=None, rows=None):
    domains = {
        "target": {"exact": measured("exact", "score", target)},
        "law": {"choice": measured("choice", "correct", law, rows)},
        "sums": {"exact": measured("exact", "score", sums)},
        "prose": {"likelihood": measured("likelihood", "bits_per_byte", prose)},
    }
    for name, value in (kl or {}).items():
        domains[name]["behaviour"] = measured("behaviour", "kl", value)
    headlines = {"target": "exact", "law": "choice", "sums": "exact", "prose": "likelihood"}
    return Evaluation(EvaluatedModel(name="tiny", hash="", dtype="float32"), domains, headlines)


def kl(law, prose):
    return {"law": [law] * 4, "prose": [0.1, prose]}


def made(**changes):
    before = evaluation([0, 0, 1, 0], [1, 1, 0, 1], [1, 1, 1, 0], [2, 2], kl={"law": [0] * 4, "prose": [0, 0]})
    arms = {
        "uniform": {0: evaluation([1, 0, 1, 0], [1, 0, 0, 1], [1, 1, 0, 0], [2, 3], kl=kl(0.2, 0.3))},
        "plan": {0: evaluation([1, 1, 1, 0], [1, 1, 0, 1], [1, 0, 0, 0], [2, 2], kl=kl(0.1, 0.1))},
    } | changes
    return table_of(arms, before, rows={"uniform": {"law": 3}, "plan": {"law": 5}}, steps=60)


def test_the_table():
    table = made()
    assert (table["baseline"], table["quantity"], table["steps"], table["seeds"]) == ("uniform", "accuracy", 60, [0])
    assert table["domains"] == 2  # prose is measured in another unit
    plan, uniform = table["arms"]["plan"], table["arms"]["uniform"]
    assert plan["target"]["value"] == pytest.approx(0.5)
    assert plan["target_against"]["value"] == pytest.approx(0.25)
    assert plan["target_quantity"] == "score"
    assert plan["mean"]["value"] == pytest.approx((0 - 0.5) / 2)
    assert (plan["worst"]["value"], plan["worst_domain"]) == (pytest.approx(-0.5), "sums")
    assert plan["against"]["value"] == pytest.approx((0.25 - 0.25) / 2)
    assert plan["verdict"] == "tie"
    assert plan["by_domain"] == {"win": 0, "tie": 2, "loss": 0}
    assert plan["rows"] == {"law": 5}
    # Losses are positive where a domain got worse.
    assert plan["losses"] == {"law": pytest.approx(0), "sums": pytest.approx(0.5)}
    assert uniform["losses"] == {"law": pytest.approx(0.25), "sums": pytest.approx(0.25)}
    assert uniform["against"] is uniform["verdict"] is uniform["by_domain"] is uniform["target_against"] is None


def test_arms_that_changed_no_answer_are_not_known_to_the_last_item():
    same = evaluation([0, 0, 1, 0], [1, 1, 0, 1], [1, 1, 1, 0], [2, 2], kl={"law": [0] * 4, "prose": [0, 0]})
    table = made(uniform={0: same}, plan={0: same})
    for found in (table["arms"]["plan"]["mean"], table["arms"]["plan"]["against"], table["pairs"][0]["difference"]):
        assert found["value"] == 0
        assert found["low"] == -found["high"] < -0.3


def test_every_pair_is_held_against_each_other_without_the_baseline_too():
    none = {0: evaluation([0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [2, 3], kl=kl(0.5, 0.6))}
    table = made(none=none)
    assert [(pair["arm"], pair["against"]) for pair in table["pairs"]] == [
        ("plan", "uniform"),
        ("none", "uniform"),
        ("none", "plan"),
    ]
    assert table["pairs"][0]["difference"] == table["arms"]["plan"]["against"]
    # none less plan: law 1/4 - 3/4, sums 0 - 1/4.
    assert table["pairs"][2]["difference"]["value"] == pytest.approx((-0.5 - 0.25) / 2)
    moved = {(pair["arm"], pair["against"]): pair for pair in table["behaviour"]["pairs"]}
    assert moved["none", "plan"]["difference"]["value"] == pytest.approx((0.4 + 0.25) / 2)
    # Two items a domain are too few for an interval without zero.
    assert moved["none", "plan"]["verdict"] == "tie"
    # What was asked for is shown without the baseline, too.
    before = evaluation([0, 0, 1, 0], [1, 1, 0, 1], [1, 1, 1, 0], [2, 2])
    two = table_of({"none": none, "plan": none}, before, rows={}, steps=1)
    assert [(pair["arm"], pair["against"], pair["verdict"]) for pair in two["pairs"]] == [("plan", "none", "tie")]


def test_moving_less_than_uniform_is_a_win():
    moved = made()["behaviour"]
    assert (moved["quantity"], moved["domains"]) == ("kl", 2)
    assert moved["arms"]["plan"]["worst_domain"] == "law"
    assert moved["arms"]["uniform"]["worst"]["value"] == pytest.approx(0.2)
    assert moved["arms"]["plan"]["losses"] == {"law": pytest.approx(0.1), "prose": pytest.approx(0.1)}
    assert moved["arms"]["plan"]["against"]["value"] == pytest.approx(-0.1)
    # Four items that all move one way do so by chance once in eight times.
    assert moved["arms"]["plan"]["by_domain"] == {"win": 0, "tie": 2, "loss": 0}


def test_arms_are_paired_over_the_seeds_that_both_have():
    same = evaluation([1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [2, 2])
    worse = evaluation([0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [2, 2])
    before = evaluation([0, 0, 1, 0], [1, 1, 0, 1], [1, 1, 1, 0], [2, 2])
    table = table_of({"plan": {1: same, 2: worse}, "uniform": {0: worse, 1: worse}}, before, rows={}, steps=1)
    assert table["arms"]["plan"]["seeds"] == 2
    assert table["arms"]["plan"]["against"]["value"] == pytest.approx(1.0)
    assert table["seeds"] == [0, 1, 2]
    assert table["behaviour"] is None
    alone = table_of({"plan": {1: same}}, before, rows={}, steps=1)
    assert alone["arms"]["plan"]["against"] is None
    assert alone["arms"]["plan"]["mean"]["value"] == pytest.approx(0.25)


def test_other_items_are_refused():
    other = evaluation([1, 0, 1, 0], [1, 0, 0, 1], [1, 1, 0, 0], [2, 3], rows=("a", "b", "c", "d"))
    with pytest.raises(RunError) as caught:
        made(plan={0: other})
    assert str(caught.value) == (
        "arms: 'law' was measured on different rows in different arms, so they cannot be compared. "
        "Delete the run folder's arms/ and run mixplan compare again."
    )


def test_the_sources_of_a_target_are_no_domains():
    def split(one):
        """The same evaluation with the target's items in two sources too."""
        parts = {f"target.{name}": one.domains["target"] for name in ("a", "b")}
        return replace(
            one, domains={**parts, **one.domains}, headlines={**dict.fromkeys(parts, "exact"), **one.headlines}
        )

    before = evaluation([0, 0, 1, 0], [1, 1, 0, 1], [1, 1, 1, 0], [2, 2])
    after = {
        "uniform": {0: evaluation([1, 0, 1, 0], [1, 0, 0, 1], [1, 1, 0, 0], [2, 3])},
        "plan": {0: evaluation([1, 1, 1, 0], [1, 1, 0, 1], [1, 0, 0, 0], [2, 2])},
    }
    several = {arm: {seed: split(one) for seed, one in found.items()} for arm, found in after.items()}
    alone = table_of(after, before, rows={}, steps=3)
    assert table_of(several, split(before), rows={}, steps=3, sources=["target.a", "target.b"]) == alone
    # Without a measure that all sources have in common there is no target as a whole.
    apart = {arm: {seed: without_target(one) for seed, one in found.items()} for arm, found in several.items()}
    table = table_of(apart, without_target(split(before)), rows={}, steps=3, sources=["target.a", "target.b"])
    assert table["arms"]["plan"]["target"] is None
    assert table["arms"]["plan"]["mean"] == alone["arms"]["plan"]["mean"]


def without_target(one):
    domains = {name: measures for name, measures in one.domains.items() if name != "target"}
    return replace(one, domains=domains, headlines={name: one.headlines[name] for name in domains})


def test_less_is_better_of_a_metric_whose_harness_says_so():
    """An error rate of a task: mixplan knows nothing of its name."""

    def made_of(law, better):
        own = Measured("lm_eval", tuple(f"r:{n}" for n in range(6)), {"wer": law}, {}, {"wer": better})
        return Evaluation(
            EvaluatedModel(name="tiny", hash="", dtype="float32"), {"law": {"lm_eval": own}}, {"law": "lm_eval"}
        )

    words = {}
    for better in (1, -1):
        before, even, led = (made_of(values, better) for values in ((0.5,) * 6, (0.6, 0.7) * 3, (0.2, 0.3) * 3))
        table = table_of({"uniform": {0: even}, "plan": {0: led}}, before, rows={}, steps=1)
        words[better] = (table["arms"]["plan"]["verdict"], table["arms"]["uniform"]["losses"]["law"] > 0)
    assert words == {1: ("loss", False), -1: ("win", True)}
