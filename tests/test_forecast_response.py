"""Rows that halve a loss: found again where it was put in, and held against saving nothing and what was assumed."""

import math

import numpy as np
import pytest

from mixplan.forecast.response import (
    BOTH,
    KINDS,
    OWN,
    Halving,
    Losses,
    error_of,
    foretold,
    halving_text,
    interval,
    learn,
    respond,
    worth,
)


def losses(
    half: float, shared: float = math.inf, stays: float = 0.0, *, noise: float = 0.0, seed: int = 0, count: int = 40
) -> Losses:
    """Losses that rows halve as said."""
    generator = np.random.default_rng(seed)
    without = generator.normal(0.1, 0.3, count)
    rows = generator.integers(0, 80, count).astype(float)
    total = rows + generator.integers(1, 200, count)
    left = stays + (1 - stays) / (1 + total / shared)
    after = without / (1 / left + rows / half)
    return Losses(without, after + noise * generator.normal(size=count), rows, total)


@pytest.mark.parametrize("half", [0.5, 7.0, 25.0, 300.0, 20_000.0])
def test_what_was_put_in_is_found_again(half):
    targets = [losses(half, seed=seed) for seed in range(3)]
    found = respond(targets, assumed=100.0)
    assert found.found.half == pytest.approx(half, rel=1e-3)
    assert found.found.shared > 1e5
    assert (found.low, found.high) == (pytest.approx(half, rel=2e-3), pytest.approx(half, rel=2e-3))
    assert found.error == pytest.approx(0, abs=1e-4)
    assert found.cases == 120
    assert found.helps


@pytest.mark.parametrize(("half", "shared"), [(5.0, 40.0), (200.0, 10.0), (30.0, 3_000.0), (math.inf, 24.0)])
def test_rows_that_protect_other_domains_are_told_apart_from_a_domain_s_own(half, shared):
    targets = [losses(half, shared, seed=seed) for seed in range(3)]
    found = respond(targets, assumed=100.0)
    assert found.found.shared == pytest.approx(shared, rel=1e-3)
    assert found.found.half == (math.inf if math.isinf(half) else pytest.approx(half, rel=1e-3))
    assert found.error < found.error_own
    assert found.error_own < found.error_nothing
    assert found.found.stays == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("half", [5.0, 200.0, math.inf])
@pytest.mark.parametrize(("shared", "stays"), [(8.0, 0.4), (60.0, 0.7), (20.0, 0.15)])
def test_a_part_that_stays_is_told_from_rows_that_save_slowly(half, shared, stays):
    targets = [losses(half, shared, stays, seed=seed) for seed in range(3)]
    found = respond(targets, assumed=100.0)
    assert found.found.stays == pytest.approx(stays, rel=1e-2)
    assert found.found.shared == pytest.approx(shared, rel=1e-2)
    assert found.found.half == (math.inf if math.isinf(half) else pytest.approx(half, rel=1e-2))
    assert (found.stays_low, found.stays_high) == (pytest.approx(stays, abs=1e-2), pytest.approx(stays, abs=1e-2))
    assert found.error < found.error_all < found.error_nothing


def test_a_kind_that_learns_less_is_kept_where_more_tells_nothing_more():
    # By one total no part that stays can be told from a larger number of rows.
    same = [losses(math.inf, 24.0, seed=seed) for seed in range(3)]
    at_one = [Losses(part.without, part.without / 2, part.rows, np.full(len(part.rows), 24.0)) for part in same]
    found = respond(at_one, assumed=100.0)
    assert found.found == Halving(math.inf, pytest.approx(24.0), 0.0)
    noisy = [losses(math.inf, 24.0, noise=0.02, seed=seed) for seed in range(6)]
    assert respond(noisy, assumed=100.0).found.shared == pytest.approx(24.0, rel=0.3)


def test_losses_by_hand():
    part = Losses(np.array([0.4, -0.2]), np.array([0.1, -0.2]), np.array([10.0, 30.0]), np.array([40.0, 40.0]))
    assert foretold(part, Halving(10.0)) == pytest.approx([0.2, -0.05])
    assert foretold(part, Halving(10.0, 20.0)) == pytest.approx([0.1, -0.2 / 6])
    assert foretold(part, Halving(math.inf)) == pytest.approx([0.4, -0.2])
    # 40 rows save two thirds of the half that can be saved, and 10 of its own halve all.
    assert foretold(part, Halving(math.inf, 20.0, 0.5)) == pytest.approx([0.4 * 2 / 3, -0.2 * 2 / 3])
    assert foretold(part, Halving(10.0, 20.0, 0.5)) == pytest.approx([0.4 / 2.5, -0.2 / 4.5])
    # Squares 0.01 and 0.0225, then 0.09 and 0.
    found = error_of([part, part], [Halving(10.0), Halving(math.inf)])
    assert found == pytest.approx(math.sqrt((0.0325 / 2 + 0.09 / 2) / 2))


def test_rows_that_save_nothing_or_do_harm_halve_nothing():
    part = losses(20.0)
    harmed = Losses(part.without, part.without * (1 + part.rows / 50), part.rows, part.total)
    assert {learn([harmed], kind) for kind in KINDS} == {Halving(math.inf)}
    found = respond([harmed, harmed, harmed], assumed=20.0)
    assert (found.found, found.high) == (Halving(math.inf), math.inf)
    assert found.error == found.error_nothing < found.error_assumed
    assert not found.helps


@pytest.mark.parametrize("stays", [0.0, 0.3])
def test_what_is_left_of_a_loss_is_halved_by_more_rows_of_its_own(stays):
    halving = Halving(12.0, 24.0, stays)
    part = Losses(np.array([1.0, 1.0]), np.zeros(2), np.array([0.0, halving.at(48.0)]), np.array([48.0, 48.0]))
    unserved, served = foretold(part, halving)
    assert served == pytest.approx(unserved / 2)


@pytest.mark.parametrize("halving", [Halving(12.0, 24.0), Halving(math.inf, 24.0, 0.3), Halving(5.0)])
def test_the_pace_of_one_more_row_and_another_unit(halving):
    slope = (1 / halving.left(40.001) - 1 / halving.left(39.999)) / 0.002
    assert halving.pace(40.0) == pytest.approx(slope, abs=1e-9)
    tokens = halving.times(90.0)
    assert tokens.left(40.0 * 90) == pytest.approx(halving.left(40.0))
    assert tokens.at(40.0 * 90) == pytest.approx(90 * halving.at(40.0))


def test_it_is_said_whose_rows_halve_a_loss():
    both, alike = ([losses(half, 24.0, seed=seed) for seed in range(2)] for half in (6.0, math.inf))
    assert halving_text(respond(both, assumed=9.0)) == (
        "24 rows of any domains halve a domain's loss, and so do 6 more of its own"
    )
    assert halving_text(respond(alike, assumed=9.0)).endswith("its own do no more than others'")
    found = respond([losses(6.0, 24.0, 0.3, seed=seed) for seed in range(2)], assumed=9.0)
    assert halving_text(found) == (
        "24 rows of any domains halve what they can save of a domain's loss, 70% of it, and 6 of its own halve all of "
        "it"
    )
    assert "(root mean square), with no part that stays to 0." in worth(found, assumed=9.0)
    three = respond([losses(math.inf, 24.0, 0.3, seed=seed) for seed in range(3)], assumed=9.0)
    assert "a domain's loss, 70% [70%, 70%] of it, and its own do no more" in halving_text(three)
    assert "that stays" not in worth(respond(both, assumed=9.0), assumed=9.0)


def test_the_interval_is_the_jackknife_s_of_the_speed():
    # Speeds 0.1, 0.05 and 0.075 around 0.075; t with two degrees of freedom is 4.302653.
    reach = 4.302653 * math.sqrt(2 / 3 * (0.025**2 + 0.025**2))
    assert interval(1 / 0.075, [10.0, 20.0, 1 / 0.075]) == (pytest.approx(1 / (0.075 + reach)), math.inf)
    low, high = interval(10.0, [9.9, 10.0, 10.1])
    assert low < 10 < high < 11
    assert interval(10.0, [9.0, 11.0]) == (None, None)


def test_the_interval_covers_what_was_put_in():
    # 60 studies of six noisy targets: a 95 % interval misses more than 9 of them once in some 800 times.
    misses = 0
    for study in range(60):
        found = respond([losses(25.0, noise=0.05, seed=100 * study + n) for n in range(6)], assumed=100.0)
        misses += not found.low <= 25.0 <= found.high
    assert misses <= 9


def trained(half: float, shared: float, *, noise: float, seed: int) -> list[Losses]:
    """Three targets on 16 domains with 60 rows in three ways, each training with a noise of its own."""
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(3):
        truth = np.clip(draw.normal(0.05, 0.05, 16), -0.05, 0.3)
        without, columns = truth + noise * draw.normal(size=16), []
        for spread in (1e6, 1.0, 1.0):
            rows = 60 * draw.dirichlet(np.full(16, spread))
            after = truth / (1 + 60 / shared + rows / half) + noise * draw.normal(size=16)
            columns.append((without, after, rows, np.full(16, 60.0)))
        made.append(Losses(*(np.concatenate(parts) for parts in zip(*columns, strict=True))))
    return made


def left_evenly(found: Halving) -> float:
    return 1 / (1 / found.left(60.0) + 60 / 16 / found.half)


@pytest.mark.parametrize(
    ("half", "shared", "by_measured"), [(math.inf, math.inf, 0.75), (math.inf, 60.0, 0.4), (4.0, math.inf, 0.45)]
)
def test_losses_that_chance_made_large_do_not_count_as_saved_by_rows(half, shared, by_measured):
    """Noise as large as domains differ: half of a difference does not last, whatever rows do."""
    truth = left_evenly(Halving(half, shared))
    worlds = [trained(half, shared, noise=0.05, seed=seed) for seed in range(8)]
    found = [respond(world, assumed=100.0) for world in worlds]
    assert np.mean([left_evenly(one.found) for one in found]) == pytest.approx(truth, abs=0.1)
    assert np.mean([one.lasting for one in found]) == pytest.approx(0.5, abs=0.15)
    # Taken as they were measured, they seem to be saved.
    naive = np.mean([min(left_evenly(learn(world, kind)) for kind in KINDS[:2]) for world in worlds])
    assert naive < by_measured
    said = next(one for one in found if one.lasting < 1)
    assert f"(all with {said.lasting:.0%} of domains' differences without rows, which lasts)" in worth(
        said, assumed=100.0
    )


@pytest.mark.parametrize("half", [math.inf, 4.0])
def test_differences_that_last_are_taken_whole(half):
    for seed in range(4):
        found = respond(trained(half, math.inf, noise=0.005, seed=seed), assumed=100.0)
        assert found.lasting == 1
        assert left_evenly(found.found) == pytest.approx(left_evenly(Halving(half)), abs=0.03)
    kept = losses(20.0)
    assert kept.expected(1.0) is kept
    assert kept.expected(0.3).without.mean() == pytest.approx(kept.without.mean())
    assert kept.expected(0.3).without.std() == pytest.approx(0.3 * kept.without.std())


def test_each_target_is_foretold_from_the_others_alone():
    odd, usual = losses(2.0, seed=9), [losses(50.0, seed=seed) for seed in range(3)]
    found = respond([odd, *usual], assumed=50.0)
    # The odd one is foretold with the others' 50, and what they are foretold with only adds to that error.
    assert found.error_own**2 >= 0.999 * error_of([odd], [Halving(50.0)]) ** 2 / 4
    assert learn([odd, *usual], OWN).half < 50
    assert learn([odd, *usual], BOTH).half < 50
    assert found.error_assumed == pytest.approx(error_of([odd, *usual], [Halving(50.0)] * 4))


def test_one_target_teaches_nothing():
    empty = Losses(*np.zeros((4, 0)))
    assert respond([losses(20.0), empty], assumed=20.0) is None
    assert respond([], assumed=20.0) is None


def test_losses_that_a_law_explains_to_the_last_digit_hold_no_chance():
    """Each loss is as much smaller as its rows say, 7 halving it; less of the differences would explain them too."""
    rows, without = np.array([14.0, 7.0, 21.0]), np.array([0.3, 0.2, 0.4])
    exact = Losses(without, without / (1 + rows / 7), rows, np.full(3, 42.0))
    found = respond([exact] * 3, assumed=100.0)
    assert found is not None
    assert found.lasting == 1
    assert found.found.half == pytest.approx(7)
