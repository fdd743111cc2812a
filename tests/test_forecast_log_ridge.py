"""Logarithms against normal equations written otherwise, exact worlds, invariances, and coverage by simulation."""

from dataclasses import replace

import numpy as np
import pytest
from log_worlds import exact, named, world

from mixplan.forecast.factors import Changes
from mixplan.forecast.log_ridge import Form, Logs, fit_logs, pooled
from mixplan.forecast.log_ridge_choices import PENALTIES, choose_penalty, learn_logs

PLAIN = Form()


def doubly_centred(values):
    return values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()


def test_the_fit_is_generalised_least_squares_with_random_domain_effects():
    """Domain effects as covariance between a domain's changes, instead of as penalised numbers."""
    known, names, covariates, _ = world(np.random.default_rng(0), 4, 6)
    penalty = 2.5
    fit = fit_logs(known, PLAIN, penalty=penalty)
    runs = (known.runs[:, None] == np.unique(known.runs)).astype(float)
    domains = np.array(known.domains)[:, None] == np.unique(known.domains)
    dummies = np.column_stack([runs, domains])
    x = known.covariates[:, 0]
    fixed = np.column_stack([runs, x - dummies @ np.linalg.lstsq(dummies, x, rcond=None)[0]])
    inverse = np.linalg.inv(np.eye(len(x)) + domains @ domains.T / penalty)
    solved = np.linalg.solve(fixed.T @ inverse @ fixed, fixed.T @ inverse @ known.changes)
    rest = known.changes - fixed @ solved
    np.testing.assert_allclose(fit.strengths, solved[:-1])
    np.testing.assert_allclose(fit.slopes, solved[-1:])
    np.testing.assert_allclose(fit.effects, domains.T @ inverse @ rest / penalty, atol=1e-12)
    # The noise: E rest' inverse rest = noise (n - fixed), the same expectation as the ridge's own estimate.
    assert fit.noise == pytest.approx(
        np.square(known.changes - fixed @ solved - domains @ fit.effects).sum() / fit.freedom
    )
    # What a run as strong as an earlier one brings, and how uncertain that is, by the covariance of new and old.
    found = fit.predict(names, covariates, like=1)
    across = (np.array(names)[:, None] == np.array(known.domains)) / penalty
    level = np.mean(
        [covariates[p, 0] - fit.layout.domain_levels[fit.layout.names.index(n), 0] for p, n in enumerate(names[:-1])]
    )
    for place, name in enumerate(names[:-1]):
        row = np.append(
            np.arange(4) == 1, covariates[place, 0] - fit.layout.domain_levels[fit.layout.names.index(name), 0] - level
        )
        leverage = row - across[place] @ inverse @ fixed
        open_ = 1 / penalty - across[place] @ inverse @ across[place]
        open_ += leverage @ np.linalg.solve(fixed.T @ inverse @ fixed, leverage)
        assert found.mean[place] == pytest.approx(row @ solved + across[place] @ inverse @ rest)
        assert found.spread[place] ** 2 == pytest.approx(fit.noise * (1 + open_))
        assert found.certain[place] ** 2 == pytest.approx(fit.noise * open_)


def test_freedom_is_what_the_expected_square_of_the_rest_divides_by():
    """By simulation: with effects as the penalty has them, the noise is met on average."""
    rng, found = np.random.default_rng(1), []
    for _ in range(400):
        known, *_ = world(rng, 3, 5, slope=0.0, effects=0.4, noise=0.4)
        found.append(fit_logs(known, PLAIN, penalty=1.0).noise)
    assert np.mean(found) == pytest.approx(0.16, abs=3 * np.std(found) / 20)


def test_a_world_without_noise_is_recovered():
    rng = np.random.default_rng(2)
    strengths, effects = rng.normal(size=5), rng.normal(size=7)
    covariate = doubly_centred(rng.normal(size=(5, 7)))
    known = exact(strengths, effects - effects.mean(), covariate, slope=2.5)
    fit = fit_logs(known, PLAIN, penalty=1e-9)
    np.testing.assert_allclose(fit.strengths, strengths, atol=1e-5)
    np.testing.assert_allclose(fit.effects, effects - effects.mean(), atol=1e-5)
    np.testing.assert_allclose(fit.slopes, [2.5], atol=1e-5)
    assert fit.noise < 1e-12
    # A new run of mean strength: its domains differ as effects and slope say.
    new = np.array([0.3, -0.2, 0.0, 0.1, -0.1, -0.4, 0.3])
    found = fit.predict(named(range(7)), new[:, None])
    np.testing.assert_allclose(
        found.mean, strengths.mean() + effects - effects.mean() + 2.5 * (new - new.mean()), atol=1e-5
    )
    assert choose_penalty(known, PLAIN) == PENALTIES[0]


def test_the_expected_change_is_the_mean_over_earlier_strengths():
    strengths, effects = np.array([0.0, 1.0, 3.0]), np.array([-1.0, 0.0, 1.0])
    fit = fit_logs(exact(strengths, effects, np.zeros((3, 3)), slope=0.0), PLAIN, penalty=1e-9)
    found = fit.predict(named(range(3)), np.zeros((3, 1)))
    np.testing.assert_allclose(found.change, np.exp(strengths).mean() * np.exp(effects), rtol=1e-6)
    np.testing.assert_allclose(fit.predict(["d0"], np.zeros((1, 1)), like=2).change, np.exp(2.0), rtol=1e-6)


def test_a_factor_on_a_target_moves_its_strength_alone():
    known, names, covariates, _ = world(np.random.default_rng(3), 5, 6)
    moved = replace(known, changes=known.changes + 2.0 * (known.runs == 3))
    before, after = (fit_logs(one, PLAIN, penalty=4.0) for one in (known, moved))
    np.testing.assert_allclose(after.strengths - before.strengths, [0, 0, 0, 2, 0], atol=1e-9)
    np.testing.assert_allclose(after.effects, before.effects, atol=1e-9)
    np.testing.assert_allclose(after.slopes, before.slopes)
    assert after.noise == pytest.approx(before.noise)
    assert choose_penalty(moved, PLAIN) == choose_penalty(known, PLAIN)
    for like in (0, 1):
        np.testing.assert_allclose(
            after.predict(names, covariates, like=like).spread, before.predict(names, covariates, like=like).spread
        )


def test_a_score_in_other_units_or_times_something_of_the_domain_says_the_same():
    known, names, covariates, _ = world(np.random.default_rng(4), 5, 6)
    own = dict(zip(names, np.linspace(-3, 3, len(names)), strict=True))
    scaled = replace(known, covariates=known.covariates + 7 + np.array([own[name] for name in known.domains])[:, None])
    other = covariates + 7 + np.array([own[name] for name in names])[:, None]
    for form in (PLAIN, Form(level=0)):
        before, after = learn_logs(known, form), learn_logs(scaled, form)
        for one, two in zip(
            vars(before.predict(names, covariates)).values(), vars(after.predict(names, other)).values(), strict=True
        ):
            np.testing.assert_allclose(one, two, atol=1e-8)


def test_names_and_numbers_of_runs_do_not_matter():
    known, names, covariates, _ = world(np.random.default_rng(5), 5, 6)
    order = np.random.default_rng(0).permutation(len(known.changes))
    shuffled = Logs(
        known.changes[order],
        known.covariates[order],
        tuple(f"x{known.domains[place]}" for place in order),
        40 - known.runs[order],
        40 - known.groups[order],
    )
    one = learn_logs(known, PLAIN).predict(names, covariates)
    two = learn_logs(shuffled, PLAIN).predict([f"x{name}" for name in names], covariates)
    np.testing.assert_allclose(one.mean, two.mean)
    np.testing.assert_allclose(one.spread, two.spread)


def test_a_domain_never_met_has_the_mean_effect_and_a_wider_interval_whatever_its_score():
    known, names, covariates, _ = world(np.random.default_rng(6), 6, 8)
    fit = learn_logs(known, PLAIN)
    for extra in (0.0, 50.0):
        far = covariates.copy()
        far[-1] += extra
        found = fit.predict(names, far)
        assert found.mean[-1] == pytest.approx(fit.strengths.mean())
        assert found.spread[-1] > found.spread[:-1].max()
        assert found.certain[-1] > found.certain[:-1].max()
    alone = fit.predict(["new"], covariates[-1:])
    assert alone.mean[0] == pytest.approx(fit.strengths.mean())


def test_a_covariate_that_is_alike_everywhere_says_nothing():
    known, names, covariates, _ = world(np.random.default_rng(7), 5, 6)
    flat = replace(known, covariates=np.zeros_like(known.covariates))
    none = learn_logs(known, Form(slopes=())).predict(names, covariates)
    for form in (PLAIN, Form(level=0)):
        fit = learn_logs(flat, form)
        np.testing.assert_allclose(fit.slopes, [0.0], atol=1e-12)
        np.testing.assert_allclose(fit.predict(names, np.zeros_like(covariates)).mean, none.mean)


def test_two_runs_of_one_target_count_as_one():
    known, names, covariates, _ = world(np.random.default_rng(8), 5, 6, missing=0.0)
    again = Logs(
        np.concatenate([known.changes, known.changes[known.runs == 0]]),
        np.concatenate([known.covariates, known.covariates[known.runs == 0]]),
        (*known.domains, *known.domains[:6]),
        np.concatenate([known.runs, np.full(6, 9)]),
        np.concatenate([known.groups, np.zeros(6, dtype=int)]),
    )
    once, twice = (fit_logs(one, Form(slopes=()), penalty=1.0) for one in (known, again))
    np.testing.assert_allclose(twice.strengths[[0, 5]], twice.strengths[0])
    new = np.zeros_like(covariates)
    assert twice.predict(names, new).mean[-1] == pytest.approx(once.predict(names, new).mean[-1])


def test_what_did_not_move_is_left_out_of_logarithms():
    known = Changes(np.array([1.0, 2.0, 4.0]), np.array([0.5, 0.0, 2.0]), ("a", "b", "a"), np.array([0, 0, 1]))
    found = Logs.of(known)
    np.testing.assert_allclose(found.changes, np.log([0.5, 2.0]))
    np.testing.assert_allclose(found.covariates[:, 0], np.log([1.0, 4.0]))
    assert found.domains == ("a", "a")
    assert found.groups.tolist() == [0, 1]


def test_degrees_of_freedom_are_pooled():
    variance, freedom = pooled([(2.0, 5), (np.array([0.0, 2.0]), 5), (0.0, 1)])
    np.testing.assert_allclose(variance, [2, 4])
    np.testing.assert_allclose(freedom, [5, 10])


@pytest.mark.parametrize(("runs", "domains", "form"), [(3, 6, PLAIN), (7, 12, PLAIN), (6, 10, Form(level=0))])
def test_intervals_hold_what_a_new_run_measures(runs, domains, form):
    """Over worlds that are drawn anew, for domains that were met and for one that was not."""
    rng, met, new, over = np.random.default_rng(11), [], [], []
    for _ in range(150):
        known, names, covariates, changes = world(rng, runs, domains)
        found = learn_logs(known, form).predict(names, covariates)
        expected = found.as_changes()
        inside = (expected.low <= np.exp(changes)) & (np.exp(changes) <= expected.high)
        met.append(inside[:-1].mean())
        new.append(inside[-1])
        over.append(found.mean[:-1] - changes[:-1])
        assert (expected.low <= expected.factor_low).all()
        assert (expected.factor_low <= expected.factor_high).all()
        assert (expected.factor_high <= expected.high).all()
        assert (expected.low <= expected.change).all()
        assert (expected.change <= expected.high).all()
    assert 0.95 - 3 * np.std(met) / np.sqrt(150) <= np.mean(met)
    assert np.mean(new) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 150)
    assert abs(np.mean(over)) < 3 * np.std([one.mean() for one in over]) / np.sqrt(150)
