"""The rule by which reading stops: intervals that hold at all looks together, draws of what reading on gives."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from mixplan.plan.looks import (
    DRAWS,
    LEAST_ROWS,
    LOOKS,
    Expected,
    ReadRows,
    critical_value,
    plausible_dimensions,
    plausible_scores,
    rows_moved,
    same_dimensions,
    same_order,
    same_rows,
    widening,
)
from mixplan.sts import interval, resample

POCOCK = {1: 1.960, 2: 2.178, 3: 2.289, 4: 2.361, 5: 2.413, 10: 2.555}
"""Constants for equally spaced looks, as tables print them (Jennison and Turnbull 2000, table 2.1, alpha 0.05)."""


@pytest.mark.parametrize("looks", POCOCK)
def test_equal_looks_have_the_constants_of_published_tables(looks):
    parts = tuple((number + 1) / looks for number in range(looks))
    assert critical_value(parts) == pytest.approx(POCOCK[looks], abs=6e-4)


def test_two_looks_agree_with_a_bivariate_normal_distribution():
    bound = critical_value((0.2, 1.0))
    law = multivariate_normal([0, 0], [[1, 0.2**0.5], [0.2**0.5, 1]])
    corners = [((1, 1), 1), ((1, -1), -1), ((-1, 1), -1), ((-1, -1), 1)]
    held = sum(sign * law.cdf([bound * a, bound * b]) for (a, b), sign in corners)
    assert held == pytest.approx(0.95, abs=1e-4)


def test_intervals_are_wider_for_more_looks_and_fewer_rows():
    assert widening(10**6, 2, (1.0,)) == pytest.approx(1.0, abs=1e-4)
    assert widening(6, 2) > widening(20, 2) > widening(2000, 2) > 1.2
    assert widening(3, 3) > widening(6, 3)


def population(rng, rows):
    """Rows of a domain: 10 to 59 tokens, and a log-normal score a token (coefficient of variation 0.53)."""
    tokens = rng.integers(10, 60, rows)
    return tokens, rng.lognormal(0, 0.5, rows) * tokens


def test_intervals_hold_at_all_looks_together():
    """Simulated: 300 readings of 60 rows in 3 draws, five looks each; the standard error of 0.95 is 0.013."""
    truth, held, alone = np.exp(0.125), 0, 0
    for seed in range(300):
        tokens, sums = population(np.random.default_rng([seed, 1]), 60)
        inside, narrow = [], []
        for part in LOOKS:
            rows = max(LEAST_ROWS // 3, round(20 * part))
            read = np.concatenate([np.arange(rows) + 20 * draw for draw in range(3)])
            weights = resample([rows] * 3, 200, seed)
            value, resampled = sums[read].sum() / tokens[read].sum(), weights @ sums[read] / (weights @ tokens[read])
            wide = interval(value, resampled, widening(3 * rows, 3))
            inside.append(wide.low <= truth <= wide.high)
            single = interval(value, resampled)
            narrow.append(single.low <= truth <= single.high)
        held += all(inside)
        alone += all(narrow)
    assert held / 300 >= 0.95 - 2 * 0.013
    assert alone / 300 < 0.95 - 2 * 0.013  # those of a given budget would not: the widening is what keeps it


def test_drawn_scores_spread_as_reading_on_does():
    """A fifth of 100 rows read, 400 times: what reading all gives lies among the draws as often as it should."""
    ranks = []
    for seed in range(400):
        tokens, sums = population(np.random.default_rng([seed, 2]), 100)
        read = ReadRows(tokens[:20], sums[None, :20], np.arange(20) % 2, tokens[:20].sum() / tokens.sum())
        drawn = plausible_scores(read, seed=[seed])
        ranks.append((drawn[1:] < sums.sum() / tokens.sum()).mean())
    inside = np.mean((np.array(ranks) > 0.05) & (np.array(ranks) < 0.95))
    assert inside == pytest.approx(0.9, abs=3 * (0.9 * 0.1 / 400) ** 0.5)


def test_nothing_is_left_to_draw_when_all_is_read():
    tokens, sums = population(np.random.default_rng(0), 12)
    drawn = plausible_scores(ReadRows(tokens, sums[None], np.zeros(12, dtype=int), 1.0), seed=[0])
    assert drawn == pytest.approx(np.full(1 + DRAWS, sums.sum() / tokens.sum()))
    shift = np.arange(10.0)
    sets = plausible_dimensions(shift, np.random.default_rng(0).random((5, 10)), count=3, part=1.0)
    assert sets.tolist() == [[9, 8, 7]] * 6
    assert same_dimensions(sets) == 1.0


def test_each_draw_takes_its_set_of_dimensions():
    tokens = np.array([1, 1])
    read = ReadRows(tokens, np.array([[1.0, 1.0], [3.0, 3.0], [5.0, 5.0]]), np.zeros(2, dtype=int), 0.5)
    assert plausible_scores(read, seed=[0])[:5].tolist() == [1, 3, 5, 3, 5]


def test_dimensions_order_and_rows_by_hand():
    assert same_dimensions(np.array([[1, 2], [2, 3], [1, 2]])) == 0.75
    assert same_order(np.array([[1.0, 2, 3], [1, 2, 3], [3, 2, 1]])) == pytest.approx(0.0)
    assert same_order(np.array([[1.0, 2], [2, 1]])) == 1.0
    assert same_order(np.array([[1.0, 1, 1], [3, 2, 1]])) == 1.0
    assert same_rows(np.array([[5, 5], [7, 3], [8, 2], [5, 5], [5, 5]])) == 0.75


@pytest.mark.parametrize(
    ("expected", "settled"),
    [
        (Expected(0.9, 0.95, 0.98), True),
        (Expected(0.8, 0.95, 0.98), False),
        (Expected(0.9, 0.8, 0.98), False),
        (Expected(0.9, 0.95, 0.97), False),
        (Expected(1.0, None, None), False),
    ],
)
def test_all_three_must_be_settled(expected, settled):
    assert expected.settled is settled


def test_rows_that_one_score_moves_are_those_of_spreading_again():
    rng = np.random.default_rng(4)
    planning = rng.lognormal(0, 0.6, (41, 6)) * np.array([1, 4, 0.2, 2, 9, 0])
    again = []
    for domain in range(6):
        moved = []
        for drawn in planning[1:]:
            other = planning[0].copy()
            other[domain] = drawn[domain]
            moved.append(np.abs(100 * other / other.sum() - 100 * planning[0] / planning[0].sum()).max())
        again.append(np.quantile(moved, 0.975))
    assert rows_moved(planning, 100) == pytest.approx(np.array(again), abs=1e-9)


@pytest.mark.parametrize("planning", [np.zeros((5, 3)), np.eye(3)[[0, 0, 0]], np.ones((4, 1))])
def test_without_a_score_or_another_domain_nothing_moves(planning):
    assert (rows_moved(planning, 50.0) == 0).all()


def drawn_of(**spread):
    return {name: np.concatenate([[1.0], 1 + one * np.linspace(-1, 1, DRAWS)]) for name, one in spread.items()}


@pytest.mark.parametrize(
    ("expected", "looks", "wanted"),
    [
        (Expected(0.95, 0.99, 0.5), {"target": 0, "law": 1, "art": 0}, {"law"}),
        (Expected(0.5, 0.99, 0.5), {"target": 0, "law": 1, "art": 0}, {"target", "law"}),
        (Expected(0.5, 0.99, 1.0), {"target": 2, "law": 1, "art": 0}, {"target"}),
        # The order alone is open: nothing says whose score it hangs on.
        (Expected(0.95, 0.2, 1.0), {"target": 1, "law": 1, "art": 0}, {"art"}),
        # What could move rows is read to its end, and they are open still.
        (Expected(0.95, 0.99, 0.5), {"target": 1, "law": 4, "art": 1}, {"target", "art"}),
        (Expected(0.5, None, None), {"target": 4, "law": 3, "art": 3}, {"law", "art"}),
        (Expected(0.1, 0.1, 0.1), {"target": 4, "law": 4, "art": 4}, set()),
        (Expected(0.1, 0.99, 0.5), {"law": 0, "art": 0}, {"law"}),
    ],
)  # fmt: skip
def test_what_is_open_is_read_on(expected, looks, wanted):
    planning = {} if expected.rows is None else drawn_of(law=0.5, art=0.001)
    assert expected.open_at(looks, planning, 60.0) == wanted
