"""Targets left out choose the penalty, and whether a level says how strong a run is."""

from dataclasses import replace

import numpy as np
from log_worlds import named, world

from mixplan.forecast.log_ridge import Form, Logs, fit_logs
from mixplan.forecast.log_ridge_choices import (
    MOST_FOLDS,
    PENALTIES,
    choose_penalty,
    fold_of,
    left_out_logs,
    level_helps,
    predict_runs,
)

PLAIN = Form()


def by_hand(known, penalty):
    """The error behind a penalty's choice, by whole fits and predictions."""
    squares = []
    for run in np.unique(known.runs):
        out = known.runs == run
        rest = (
            known.changes[out] - predict_runs(fit_logs(known.part(~out), PLAIN, penalty=penalty), known.part(out)).mean
        )
        squares.append(np.square(rest - rest.mean()).mean())
    return np.mean(squares)


def test_the_penalty_is_the_one_with_which_targets_left_out_err_least():
    for seed in range(5):
        known, *_ = world(np.random.default_rng(seed), 4, 6)
        errors = [by_hand(known, penalty) for penalty in PENALTIES]
        assert choose_penalty(known, PLAIN) == PENALTIES[int(np.argmin(errors))]


def test_the_penalty_follows_how_domains_differ():
    rng = np.random.default_rng(9)
    differ = [choose_penalty(world(rng, 5, 10, effects=1.5, noise=0.2)[0], PLAIN) for _ in range(20)]
    alike = [choose_penalty(world(rng, 5, 10, slope=0.0, effects=0.0, noise=0.2)[0], PLAIN) for _ in range(20)]
    assert max(differ) <= 1
    assert np.median(alike) >= 64
    assert choose_penalty(world(rng, 2, 4)[0], PLAIN) == 1.0


def test_what_is_expected_of_a_target_left_out_does_not_depend_on_what_it_changed():
    known, *_ = world(np.random.default_rng(8), 5, 6, missing=0.0)
    again = Logs(
        np.concatenate([known.changes, known.changes[known.runs == 0] + 0.1]),
        np.concatenate([known.covariates, known.covariates[known.runs == 0]]),
        (*known.domains, *named(range(6))),
        np.concatenate([known.runs, np.full(6, 9)]),
        np.concatenate([known.groups, np.zeros(6, dtype=int)]),
    )
    here = again.groups == 0
    shifted = replace(again, changes=again.changes + np.where(here, np.linspace(-5, 5, len(here)), 0.0))
    before, after = left_out_logs(again, PLAIN), left_out_logs(shifted, PLAIN)
    for one, two in zip(vars(before).values(), vars(after).values(), strict=True):
        np.testing.assert_array_equal(one[here], two[here])
        assert (one[~here] != two[~here]).any()


def test_many_targets_are_left_out_in_parts():
    groups = np.repeat(np.arange(23) * 5, 3)
    assert len(np.unique(fold_of(groups))) == MOST_FOLDS
    for group in np.unique(groups):
        assert len(np.unique(fold_of(groups)[groups == group])) == 1
    assert len(np.unique(fold_of(groups[:21]))) == 7


def test_a_level_is_used_only_where_it_is_known_to_help():
    def with_level(rng, slope):
        known, *_ = world(rng, 8, 6, slope=0.0, noise=0.2)
        level = rng.normal(size=8)
        covariates = level[known.runs] + 0.01 * rng.normal(size=len(known.runs))
        return replace(known, changes=known.changes + (slope * level)[known.runs], covariates=covariates[:, None])

    rng = np.random.default_rng(10)
    assert sum(level_helps(with_level(rng, 8.0), Form(level=0)) for _ in range(4)) >= 2
    assert sum(level_helps(with_level(rng, 0.0), Form(level=0)) for _ in range(6)) <= 1
    assert not level_helps(world(rng, 3, 6)[0], Form(level=0))
