"""The way that errs least in targets left out is chosen as by hand, and logarithms are not always tried."""

from dataclasses import replace

import numpy as np
import pytest
from log_worlds import world

from mixplan.forecast import ways
from mixplan.forecast.earlier_runs import History
from mixplan.forecast.factors import Changes, left_out_changes, left_out_error
from mixplan.forecast.log_ridge import Logs
from mixplan.forecast.log_ridge_choices import learn_logs, left_out_logs
from mixplan.forecast.measured_run import Found, Run
from mixplan.forecast.risk import forecast
from mixplan.forecast.ways import FORM, Errors, errors_of, have_logs
from mixplan.sts import Score

ONE = {"d0": Score(1.0, 0.9, 1.1)}


def changes(seed, runs=5, domains=6, **how):
    """Changes that are products of a strength, a domain's own and a power of the score."""
    known, *_ = world(np.random.default_rng(seed), runs, domains, missing=0.0, **how)
    return Changes(np.exp(known.covariates[:, 0]), np.exp(known.changes), known.domains, known.runs)


def past(known):
    """Runs that measured these changes of behaviour."""
    runs = []
    for run in np.unique(known.runs):
        part = known.part(known.runs == run)
        rows = zip(part.domains, part.scores.tolist(), part.changes.tolist(), strict=True)
        runs.append(Run(f"r{run}", f"{run}" * 64, {name: Found({"sts_icl": s}, None, y) for name, s, y in rows}))
    return History(tuple(runs))


def rms(known, expected):
    squares = [np.square(expected - known.changes)[known.groups == group].mean() for group in np.unique(known.groups)]
    return np.sqrt(np.mean(squares))


def test_the_best_way_errs_least_and_the_simpler_of_equal_ones_is_taken():
    assert Errors(1.0, 1.0, 9.0).best == "one"
    assert Errors(2.0, 1.0, 9.0).best == "own"
    assert Errors(2.0, 1.0, 9.0, 1.0).best == "own"
    assert Errors(1.0, 1.0, 9.0, 1.0).best == "one"
    assert Errors(2.0, 1.0, 0.1, 0.9).best == "logs"


@pytest.mark.parametrize("seed", [0, 1])
def test_every_error_is_that_of_targets_left_out(seed):
    known = changes(seed)
    found = errors_of(known, logs=True)
    assert (found.one, found.own) == tuple(left_out_error(known, own=own) for own in (False, True))
    assert found.none == pytest.approx(rms(known, 0.0))
    assert found.logs == pytest.approx(rms(known, left_out_logs(Logs.of(known), FORM).as_changes().change))
    assert errors_of(known, logs=False) == Errors(found.one, found.own, found.none)


def test_the_choice_is_judged_on_targets_it_was_made_without():
    """By hand: drop a target, choose among the rest, and see what that way erred on the target."""
    seen = set()
    for seed, how in enumerate([{}, {"slope": 0.5, "noise": 0.6}, {"slope": 1.0, "strengths": 0.3}, {"slope": 3.0}]):
        known = changes(seed, **how)
        found = errors_of(known, logs=True)
        if found.best != "logs":
            assert found.choice is None
            continue
        expected = np.zeros(len(known.changes))
        for group in np.unique(known.groups):
            out = known.groups == group
            best = errors_of(known.part(~out), logs=True).best
            seen.add(best)
            whole = (
                left_out_logs(Logs.of(known), FORM).as_changes().change
                if best == "logs"
                else left_out_changes(known, own=best == "own")
            )
            expected[out] = whole[out]
        assert found.choice == pytest.approx(rms(known, expected))
    assert len(seen) > 1


def test_logarithms_are_tried_only_where_there_are_some_of_enough_targets():
    known = changes(0)
    assert have_logs(known, ONE)
    assert not have_logs(known, {"d0": Score(0.0, 0.0, 0.1)})
    assert not have_logs(replace(known, scores=known.scores * (known.runs > 0)), ONE)
    assert not have_logs(replace(known, changes=known.changes - 2 * known.changes.min()), ONE)
    assert not have_logs(known.part(known.runs < 3), ONE)
    assert have_logs(known.part(known.runs < 4), ONE)
    still = replace(known, changes=np.where((known.runs == 1) & (np.array(known.domains) != "d2"), 0.0, known.changes))
    assert not have_logs(still, ONE)
    first = np.arange(len(known.changes)) == 0
    assert have_logs(replace(known, changes=np.where(first, 0.0, known.changes)), ONE)


def test_a_plan_says_why_changes_are_expected_on_logarithms():
    known = changes(0, domains=8)
    known = replace(known, changes=np.where(np.arange(len(known.changes)) == 3, 0.0, known.changes))
    scores = {f"d{index}": Score(0.5 + index / 4, 0.1, 3.0) for index in range(8)}
    made = forecast(scores, past(known))
    way = made.learned.ways["kl"]
    assert (made.kind, way.by, way.own) == ("learned", "logs", True)
    logs, own, one, none, choice = (
        f"{error:.3g} nats per token"
        for error in (way.errors.logs, way.errors.own, way.errors.one, way.errors.none, way.errors.choice)
    )
    assert (
        "Behaviour: a regression on logarithms is used (the job's strength, each domain's own effect, a slope on the "
        f"score), because it erred by {logs}, domains' own factors by {own}, one factor by {one}; expecting no change "
        f"at all erred by {none}. The choice itself, made anew without each target, erred by {choice}. 1 change of 0 "
        "had no logarithm and taught nothing. Rows are planned by the expected change of behaviour."
    ) in made.text
    values = np.array([score.value for score in scores.values()])
    expected = learn_logs(Logs.of(known), FORM).predict(list(scores), np.log(values)[:, None]).as_changes()
    for index, name in enumerate(scores):
        entry = made.describe(name).expected.behaviour
        assert (entry.change, entry.low, entry.high) == pytest.approx(
            (expected.change[index], expected.low[index], expected.high[index])
        )
        assert made.planning[name].low == pytest.approx(expected.factor_low[index])


def test_a_way_leaves_runs_out_and_takes_a_strength_over():
    known = changes(2)
    way = forecast({name: Score(1.0, 1.0, 1.0) for name in set(known.domains)}, past(known)).learned.ways["kl"]
    assert way.by == "logs"
    fit = learn_logs(Logs.of(known), FORM)
    scores = {"d0": Score(2.0, 1.0, 3.0), "d1": Score(1.0, 1.0, 1.0)}
    alike = way.predict(list(scores), scores, like=1)
    np.testing.assert_allclose(alike.change, fit.predict(["d0", "d1"], np.log([[2.0], [1.0]]), like=1).change)
    rest = learn_logs(Logs.of(known.part(known.runs != 1)), FORM)
    np.testing.assert_allclose(
        way.predict(list(scores), scores, without=[1]).high,
        rest.predict(["d0", "d1"], np.log([[2.0], [1.0]])).as_changes().high,
    )
    np.testing.assert_allclose(way.left_out_of(known), left_out_logs(Logs.of(known), FORM).as_changes().change)


def test_where_factors_err_less_the_text_is_as_it_was(monkeypatch):
    """Changes in proportion to the score, with strengths alike: one factor is right, and logarithms are not named."""
    rng = np.random.default_rng(5)
    known = changes(3)
    known = replace(known, changes=0.1 * known.scores + 0.001 * np.abs(rng.normal(size=len(known.scores))))
    made = forecast({name: Score(1.0, 1.0, 1.0) for name in set(known.domains)}, past(known))
    way = made.learned.ways["kl"]
    assert way.by != "logs"
    assert way.errors.logs is not None
    assert "logarithm" not in made.text
    np.testing.assert_array_equal(way.left_out_of(known), left_out_changes(known, own=way.own))
    monkeypatch.setattr(ways, "left_out_changes", lambda *given, **named: pytest.fail("computed again"))
    np.testing.assert_array_equal(way.left_out_of(known), left_out_changes(known, own=way.own))
