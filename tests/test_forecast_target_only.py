"""Changes behind extra rows and after other jobs, restated: against losses made by the formulas they are undone by."""

import math
from dataclasses import replace

import numpy as np
import pytest

from mixplan.forecast.job import Job
from mixplan.forecast.matching import Planned
from mixplan.forecast.measured_run import Found, Noise, Run
from mixplan.forecast.response import Halving, Losses, foretold
from mixplan.forecast.target_only import comparable

JOB = Job(target_rows=100, steps=20.0, learning_rate=1e-4, adapter="full")


def run(rows, *, behaviour=0.2, bare=None, job=None, headline=-0.1):
    domains = {
        name: Found(
            {"sts_icl": 1.0}, ("choice", "correct", headline), behaviour, float(count), bare,
            headline_noise=Noise(0.01, None), behaviour_noise=Noise(0.02, 0.04, 3),
        )
        for name, count in rows.items()
    }  # fmt: skip
    return Run("old", "a" * 64, domains, job=job)


def restated(one, *, saved=None, job=None):
    known = comparable([one], Planned(job=job), lambda: saved)
    return known, known.runs[0].domains


def never():
    raise AssertionError("asked though no run had extra rows")


def test_runs_without_extra_rows_stay_and_nothing_is_asked_for_them():
    known = comparable([run({"law": 0, "code": 0})], Planned(), never)
    assert known.runs[0] == run({"law": 0, "code": 0})
    assert known.lines() == []


def test_domains_that_got_rows_are_left_out_where_it_is_not_known_what_rows_save():
    known, found = restated(run({"law": 30, "code": 0}))
    assert (found["law"].behaviour, found["law"].headline) == (None, None)
    assert (found["code"].behaviour, found["code"].headline) == (0.2, ("choice", "correct", -0.1))
    assert (known.left_out, known.restated, known.measured_bare, known.protected) == (2, 0, 0, 1)
    assert known.lines() == [
        "Extra rows protected domains in 1 earlier run; of the changes measured there 2 of domains that got rows were "
        "left out."
    ]


@pytest.mark.parametrize("halving", [Halving(40.0), Halving(40.0, 60.0), Halving(math.inf, 60.0, 0.3)])
def test_what_rows_save_is_put_back(halving):
    bare, rows = np.array([0.5, 0.5]), np.array([30.0, 0.0])
    kept = foretold(Losses(bare, bare, rows, np.array([30.0, 30.0])), halving)
    one = run({"law": 30, "code": 0})
    for name, loss in zip(("law", "code"), kept, strict=True):
        one.domains[name] = replace(one.domains[name], behaviour=float(loss))
    known, found = restated(one, saved=("kl", halving))
    assert [found[name].behaviour for name in ("law", "code")] == pytest.approx([0.5, 0.5])
    assert found["law"].behaviour_noise.items == pytest.approx(0.02 * 0.5 / kept[0])
    assert (known.restated, known.left_out) == (2, 1)  # the headline of law, which got rows, is of another unit


def test_a_headline_of_another_unit_is_left_out_though_behaviour_is_restated():
    _, found = restated(run({"law": 30, "code": 0}), saved=("kl", Halving(40.0)))
    assert found["law"].headline is None
    assert found["law"].behaviour is not None
    assert found["code"].headline == ("choice", "correct", -0.1)


def test_what_the_arm_without_rows_measured_comes_first():
    known, found = restated(run({"law": 30, "code": 10}, bare=0.7), saved=("kl", Halving(40.0)))
    assert [part.behaviour for part in found.values()] == [0.7, 0.7]
    assert known.measured_bare == 2


def test_changes_and_their_noise_are_scaled_to_this_plans_job():
    known, found = restated(
        run({"law": 0}, job=Job(target_rows=50, steps=5.0, learning_rate=2e-4, adapter="full")), job=JOB
    )
    assert found["law"].behaviour == pytest.approx(0.2 * 2)
    assert found["law"].headline == ("choice", "correct", pytest.approx(-0.1 * 2))
    noise = found["law"].behaviour_noise
    assert (noise.items, noise.seeds, noise.count) == (pytest.approx(0.04), pytest.approx(0.08), 3)
    assert known.distances[0].factor == pytest.approx(2.0)
    assert restated(run({"law": 0}), job=JOB)[1]["law"].behaviour == 0.2  # what that job was is not known


MOVED = 0.01
"""By how much a domain moves for each optimiser step on target rows, in the world below; a loss behind rows is halved
by 40 of the domain's own."""


@pytest.mark.parametrize("compared", [True, False])
def test_the_arm_without_rows_made_all_its_steps_on_target_rows(compared):
    """40 target rows and 60 others in batches of ten: four of ten steps are on target rows, without the others all."""
    job = of_steps(4.0)
    kept = foretold(Losses(*map(np.array, ([10 * MOVED], [10 * MOVED], [60.0], [60.0]))), Halving(40.0))
    one = replace(
        run({"law": 60}, behaviour=float(kept[0]), bare=10 * MOVED if compared else None, job=job),
        alone=of_steps(10.0),
    )
    known, found = restated(one, saved=("kl", Halving(40.0)), job=job)
    assert found["law"].behaviour == pytest.approx(4 * MOVED)
    noise = 0.02 if compared else 0.02 * 10 * MOVED / float(kept[0])
    assert found["law"].behaviour_noise.items == pytest.approx(0.4 * noise)
    assert known.distances[0].factor == pytest.approx(0.4)  # so much is known by the exponent alone
    # A plan of ten steps on target rows is what the arm without others did.
    known, found = restated(one, saved=("kl", Halving(40.0)), job=of_steps(10.0))
    assert found["law"].behaviour == pytest.approx(10 * MOVED)
    assert known.distances[0].spread == 0


def test_what_got_no_rows_is_of_the_run_s_own_steps():
    one = replace(run({"law": 60, "code": 0}, job=of_steps(4.0)), alone=of_steps(10.0))
    known, found = restated(one, job=of_steps(4.0))
    assert (found["law"].behaviour, found["code"].behaviour) == (None, 0.2)
    assert known.distances[0].factor == 1.0


def of_steps(steps):
    return JOB.model_copy(update={"steps": steps})
