"""Rows move from an even spread as far as the formula says, whose slope and interval are checked by hand."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from mixplan.forecast.earlier_runs import History
from mixplan.forecast.factors import Changes
from mixplan.forecast.matching import Planned
from mixplan.forecast.measured_run import Found, Run
from mixplan.forecast.placement import (
    against_scores,
    kept,
    placement_of,
    ranking_of,
    slope,
    slope_between,
    standardised,
)
from mixplan.forecast.risk import forecast
from mixplan.forecast.target_only import comparable
from mixplan.saved.base_types import Interval
from mixplan.saved.placement import ComparisonEvidence, RankingEvidence
from mixplan.sts import Score


def changes(scores, moved):
    """Of targets by domains; every target is a run of its own."""
    targets, domains = np.shape(scores)
    return Changes(
        np.ravel(scores).astype(float),
        np.ravel(moved).astype(float),
        tuple(f"d{number}" for _ in range(targets) for number in range(domains)),
        np.repeat(np.arange(targets), domains),
    )


def ranking(value, low, high):
    found = Interval(value=value, low=low, high=high)
    return RankingEvidence(by="sts_icl", learned=False, slope=found, targets=8, domains=21)


def comparison(value, low, high, *, arm="plan", of="worst", unit="kl", targets=3):
    found = Interval(value=value, low=low, high=high)
    return ComparisonEvidence(name="s", arm=arm, of=of, unit=unit, targets=targets, avoided=found)


def test_an_estimate_is_kept_as_its_interval_leaves_0():
    assert kept(0.5, -0.01) == kept(0.5, 0.0) == kept(-0.5, -0.6) == kept(0.0, 0.0) == 0
    assert kept(1.0, 0.5) == pytest.approx(1 - 0.25)
    assert kept(1.0, 1.0) == 1
    parts = [kept(1.0, low) for low in np.linspace(-0.5, 1, 301)]
    assert all(later >= earlier for earlier, later in itertools.pairwise(parts))
    assert max(np.diff(parts)) < 0.011  # no jump where the interval leaves 0


def test_it_is_james_and_stein_s_positive_part_with_the_interval_s_reach_for_the_standard_error():
    for value, reach in ((2.0, 1.0), (3.0, 1.96), (1.0, 1.5)):
        assert kept(value, value - reach) == pytest.approx(max(0.0, 1 - reach**2 / value**2))


def test_movement_in_proportion_has_slope_1_and_unrelated_movement_none():
    generator = np.random.default_rng(0)
    scores = generator.lognormal(size=(6, 12))
    strengths = generator.lognormal(size=(6, 1))
    assert slope(changes(scores, 3 * strengths * scores).scores, changes(scores, 3 * strengths * scores)) == (
        pytest.approx(1)
    )
    alike = changes(scores, strengths * np.ones_like(scores))
    assert slope(alike.scores, alike) == pytest.approx(0)
    half = changes(scores, strengths * (scores / scores.mean(axis=1, keepdims=True) + 1))
    assert slope(half.scores, half) == pytest.approx(0.5)


def test_the_slope_is_that_of_a_regression_on_relative_values():
    generator = np.random.default_rng(1)
    scores, moved = generator.lognormal(size=(5, 9)), generator.lognormal(size=(5, 9))
    relative = [part / part.mean(axis=1, keepdims=True) for part in (scores, moved)]
    expected = stats.linregress(relative[0].ravel(), relative[1].ravel()).slope
    found = changes(scores, moved)
    assert slope(found.scores, found) == pytest.approx(expected)


def test_the_interval_holds_the_slope_in_most_drawn_studies():
    held, generator = 0, np.random.default_rng(2)
    for _ in range(200):
        scores = generator.lognormal(sigma=0.7, size=(8, 16))
        relative = scores / scores.mean(axis=1, keepdims=True)
        noise = generator.normal(scale=0.25, size=(8, 1)) * (relative - 1) + generator.normal(scale=0.3, size=(8, 16))
        found = changes(scores, np.maximum(1 + 0.4 * (relative - 1) + noise, 0.01))
        interval = slope_between(found.scores, found)
        held += interval.low <= 0.4 <= interval.high
    assert held >= 184  # 0.92 of 200; both variances are added, so that it is rather too wide


def test_what_plans_the_rows_alike_in_all_domains_ranks_nothing():
    found = changes(np.ones((4, 5)), np.random.default_rng(3).lognormal(size=(4, 5)))
    assert slope_between(found.scores, found) is None


def test_the_weight_is_the_product_of_what_is_known():
    known = ranking(0.8, 0.4, 1.2)
    both = placement_of(known, [comparison(0.2, 0.1, 0.3)])
    assert both.ranking_factor == pytest.approx(0.8 * 0.75)
    assert both.comparison_factor == pytest.approx(0.75, abs=1e-6)
    assert both.weight == pytest.approx(0.6 * 0.75, abs=1e-6)
    assert placement_of(known, []).weight == pytest.approx(0.6)
    assert placement_of(None, [comparison(0.2, 0.1, 0.3)]).weight == pytest.approx(0.75, abs=1e-6)
    assert placement_of(None, []).weight == 0
    assert placement_of(ranking(3.0, 2.9, 3.1), []).weight <= 1


@pytest.mark.parametrize(
    ("known", "compared", "weight", "said"),
    [
        (
            None,
            [],
            0,
            "Nothing measured with this model says whether it matters where rows go, so they are spread even",
        ),
        (ranking(0.2, -0.1, 0.5), [], 0, "There is no evidence of which domain needs rows more, so they are spread ev"),
        (ranking(0.8, 0.4, 1.2), [], 0.6, "Which domain moves more is known in part, so rows go 60% of the way from"),
        (
            ranking(0.8, 0.4, 1.2),
            [comparison(0.0456, -0.144, 0.235)],
            0,
            "There is no evidence that it matters where rows go, so they are spread evenly: on 3 targets with this "
            "model plans avoided +0.0456 [-0.144, 0.235] nats per token more of the worst domain's loss than an "
            "even spread.",
        ),
        (
            ranking(0.2, -0.1, 0.5),
            [comparison(0.2, 0.1, 0.3)],
            0,
            "It matters where rows go (on 3 targets with this model plans avoided +0.2 [0.1, 0.3] nats per token",
        ),
        (
            ranking(0.8, 0.4, 1.2),
            [comparison(-0.2, -0.3, -0.1)],
            0,
            "Mixtures that follow the scores lost more than an even spread of the rows, so they are spread evenly: on",
        ),
        (
            ranking(-0.5, -0.8, -0.2),
            [],
            0,
            "Domains that were to move more moved less, so rows are spread evenly: over",
        ),
        (
            ranking(-0.5, -0.8, -0.2),
            [comparison(0.2, 0.1, 0.3)],
            0,
            "It matters where rows go (on 3 targets with this model plans avoided +0.2 [0.1, 0.3] nats per token more "
            "of the worst domain's loss than an even spread), but domains that were to move more moved less, so rows",
        ),
        (
            None,
            [comparison(0.2, 0.1, 0.3)],
            0.75,
            "It matters where rows go, so rows go 75% of the way from an even sp",
        ),
        (
            None,
            [comparison(0.02, 0.01, 0.03, arm="proportional_to_sts", of="mean", unit="accuracy", targets=1)],
            0.75,
            "It matters where rows go, so rows go 75% of the way from an even spread to the proportional rule: on 1 "
            "target with this model the proportional rule avoided +0.02 [0.01, 0.03] more of the mean domain's loss",
        ),
    ],
)
def test_one_sentence_says_whether_it_matters(known, compared, weight, said):
    found = placement_of(known, compared)
    assert found.weight == pytest.approx(weight, abs=1e-6)
    assert found.text.startswith(said)
    assert found.text.endswith(".")


def test_comparisons_are_pooled_by_their_standard_errors_whatever_their_units():
    one = comparison(0.1, -0.1, 0.3)
    assert standardised([one]) == pytest.approx(1.959964 * 0.5)
    four = [one, comparison(10, -10, 30, unit="bits_per_byte"), one, one]
    assert standardised(four) == pytest.approx(4 * 1.959964 * 0.5 / math.sqrt(4))
    found = placement_of(None, four)
    assert found.comparison_factor == 0
    assert (
        "in 4 comparisons with this model, score-led mixtures avoided +1.96 standard errors [0.00, 3.92]" in found.text
    )
    assert placement_of(None, [*four, one]).weight == pytest.approx(1 - 1 / (5 * 0.25), abs=1e-5)


def history(scores, moved):
    runs = []
    for number, (own, change) in enumerate(zip(scores, moved, strict=True)):
        domains = {f"d{at}": Found({"sts_icl": s}, None, y) for at, (s, y) in enumerate(zip(own, change, strict=True))}
        runs.append(Run(f"r{number}", f"{number:064d}", domains))
    return History(tuple(runs))


def test_ranking_is_learned_from_runs_and_needs_three_targets():
    generator = np.random.default_rng(4)
    scores = generator.lognormal(size=(6, 8))
    moved = scores * generator.lognormal(sigma=0.05, size=(6, 8))
    known = comparable(history(scores, moved).runs, Planned(), lambda: None)
    found = ranking_of(known, None, "sts_icl")
    assert (found.targets, found.domains, found.learned) == (6, 8, False)
    assert found.slope.low > 0.8
    assert ranking_of(comparable(history(scores[:2], moved[:2]).runs, Planned(), lambda: None), None, "sts_icl") is None
    assert ranking_of(None, None, "sts_icl") is None
    assert ranking_of(known, None, "sts_act") is None


def test_a_forecast_by_own_factors_is_held_against_targets_left_out():
    generator = np.random.default_rng(5)
    scores = generator.lognormal(sigma=0.2, size=(6, 8))
    factors = generator.lognormal(sigma=1.0, size=8)
    moved = scores * factors * generator.lognormal(sigma=0.1, size=(6, 8))
    made = forecast({f"d{n}": Score(1.0, 0.9, 1.1) for n in range(8)}, history(scores, moved))
    found = ranking_of(made.known, made.learned, "sts_icl")
    assert found.learned
    assert found.slope.value == pytest.approx(1, abs=0.15)
    assert ranking_of(made.known, None, "sts_icl").slope.value < found.slope.value
    assert "follows the forecast with a slope of" in placement_of(found, []).text


def test_what_a_person_can_do_to_know_it_is_named():
    assert placement_of(None, []).text.endswith("`mixplan compare` measures it.")


@pytest.mark.parametrize(
    ("known", "compared", "said"),
    [
        (None, [], None),
        (ranking(0.8, 0.4, 1.2), [], None),
        (ranking(0.8, 0.4, 1.2), [comparison(0.2, 0.1, 0.3)], None),
        (ranking(0.2, -0.1, 0.5), [], "there is no evidence of which domain needs them more: over "),
        (None, [comparison(0.0456, -0.144, 0.235)], "there is no evidence that this helps: on 3 targets with this "),
        (None, [comparison(-0.2, -0.3, -0.1)], "that lost more than an even spread: on 3 targets with this model "),
    ],
)
def test_a_clause_says_what_speaks_against_following_the_scores(known, compared, said):
    found = against_scores(placement_of(known, compared))
    assert found is None if said is None else found.startswith(said)
