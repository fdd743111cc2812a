"""How many rows are enough: by a learned response, by none, and by a rule of thumb."""

import math
from dataclasses import replace

import numpy as np
import pytest

from mixplan.forecast.halving import Compared, learned_from
from mixplan.forecast.replay_total import enough, left_between, left_evenly, replay_total
from mixplan.forecast.response import Halving, Losses

NONE = Halving(math.inf)


def arms(halving, *, seed=0, totals=(24, 64), domains=8, noise=0.02, unit="kl"):
    """One target's losses behind an even spread and a drawn one of each total, by the rule and a little noise."""
    generator = np.random.default_rng(seed)
    bare = generator.uniform(0.1, 0.9, domains)
    without, after, rows, total = [], [], [], []
    for amount in totals:
        drawn = amount * generator.dirichlet(np.ones(domains))
        for spread in (np.full(domains, amount / domains), drawn):
            left = bare / (1 / halving.left(float(amount)) + spread / halving.half)
            without += [*bare]
            after += [*(left + generator.normal(scale=noise, size=domains))]
            rows += [*spread]
            total += [amount] * domains
    return Compared(unit, Losses(*map(np.array, (without, after, rows, total))))


def recommended(halving, *, target_rows=80, targets=4, domains=8, **kwargs):
    known = [arms(halving, seed=seed, domains=domains, **kwargs) for seed in range(targets)]
    return replay_total(known, usual=100.0, domains=domains, target_rows=target_rows)


@pytest.mark.parametrize(
    "halving",
    [Halving(math.inf, 2.0, 0.4), Halving(math.inf, 5.0), Halving(6.0), Halving(6.0, 4.0), Halving(9.0, 3.0, 0.3)],
)
def test_enough_removes_nine_tenths_of_what_any_number_removes(halving):
    total = enough(halving, 8)
    removed = 1 - left_evenly(halving, total, 8)
    assert removed == pytest.approx(0.9 * (1 - left_evenly(halving, 1e15, 8)), rel=1e-6)
    assert 1 - left_evenly(halving, 0, 8) == 0


def test_rows_that_save_nothing_are_never_enough():
    assert enough(NONE, 8) == math.inf
    assert enough(Halving(math.inf, 3.0, 1.0), 8) == math.inf


def test_a_learned_response_recommends_what_is_enough_within_what_was_measured():
    found = recommended(Halving(math.inf, 4.0, 0.4), totals=(10, 30, 60))
    assert found.by == "response"
    assert found.rows == pytest.approx(36, abs=4)
    assert found.low < 36 < found.high
    half, own, twice = found.points
    assert (half.rows, own.rows, twice.rows) == (found.rows // 2, found.rows, 2 * found.rows)
    assert own.left == pytest.approx(0.4 + 0.6 / 10, abs=0.02)
    assert half.left > own.left > twice.left
    assert all(point.low <= point.left <= point.high for point in found.points)
    assert [point.measured for point in found.points] == [True, True, False]
    assert found.text.startswith(
        f"{found.rows} extra rows are recommended: of every loss, {half.rows} are expected to "
    )


def test_it_does_not_go_beyond_the_mixtures_that_were_measured():
    few = recommended(Halving(math.inf, 0.5, 0.4))
    assert few.rows == 24
    assert few.text.endswith("24 is the fewest that were measured.")
    many = recommended(Halving(math.inf, 30.0, 0.1))
    assert many.rows == 64
    assert many.text.endswith("64 is the most that were measured, so more may save more.")


def test_a_long_job_gets_at_least_one_row_in_a_hundred():
    found = recommended(Halving(math.inf, 4.0, 0.4), target_rows=20_000)
    assert found.rows == 200
    assert found.text.endswith("200 is 1% of the target's rows: arms were compared in shorter jobs.")


def test_where_rows_saved_nothing_none_are_recommended():
    found = recommended(NONE, noise=0.05)
    assert (found.rows, found.by, found.points) == (0, "nothing_saved", ())
    assert found.text.startswith("0 extra rows are recommended: in arms of 4 targets with this model, with 24 to 64 ")


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ([], "because no arms were compared with this model"),
        ([arms(Halving(math.inf, 2.0, 0.4))], "because the arms of one target alone teach nothing"),
    ],
)
def test_without_a_learned_response_a_rule_of_thumb_is_said_to_be_one(known, why):
    found = replay_total(known, usual=100.0, domains=8, target_rows=90)
    assert (found.rows, found.by, found.low, found.high) == (5, "rule", None, None)
    assert [(point.rows, point.left) for point in found.points] == [(2, None), (5, None), (10, None)]
    assert found.text.startswith("5 extra rows, 5% of 90 target rows: a rule of thumb (arXiv 2403.08763, 2502.06042), ")
    assert why in found.text
    assert replay_total([], usual=100.0, domains=8, target_rows=3).rows == 1


def test_rows_that_the_assumed_number_predicts_best_leave_the_rule():
    # What one of two unlike targets teaches misses the other by more than the number between them does.
    known = [arms(Halving(half), seed=half, totals=(400, 900), noise=0.001) for half in (30, 300)]
    found = replay_total(known, usual=95.0, domains=8, target_rows=80)
    assert (found.rows, found.by) == (4, "rule")
    assert "because arms of 2 targets teach nothing that predicts losses in targets left out." in found.text


def test_what_a_spread_leaves_has_the_interval_of_the_targets_left_out():
    known = [arms(Halving(math.inf, 4.0, 0.4), seed=seed, totals=(10, 30, 60), noise=0.1) for seed in range(5)]
    _, _, response = learned_from(known, 100.0)
    low, high = left_between(response, [5.0] * 8, [0.3, 0.1, 0.2, 0.5, 0.9, 0.4, 0.7, 0.6])
    assert 0 < low < 0.4 + 0.6 / 11 < high < 1
    # An even spread leaves the same part of every loss, as a recommended total says it.
    shares = [left_evenly(other, 40, 8) for other in response.others]
    spread = math.sqrt(4 / 5 * sum((share - np.mean(shares)) ** 2 for share in shares))
    assert high - low == pytest.approx(2 * 2.776445 * spread, rel=1e-6)
    assert left_between(replace(response, others=response.others[:2]), [5.0] * 8, [1.0] * 8) is None


def test_an_uneven_spread_leaves_what_each_domain_s_own_rows_leave():
    known = [arms(Halving(6.0, 4.0), seed=seed, totals=(10, 30, 60), noise=0.001) for seed in range(5)]
    _, _, response = learned_from(known, 100.0)
    rows, scores = [40.0] + [0.0] * 7, [1.0] * 8
    low, high = left_between(response, rows, scores)
    shared = 1 / (1 + 40 / 4)
    assert low <= (7 * shared + 1 / (1 / shared + 40 / 6)) / 8 <= high
    assert high - low < 0.02
