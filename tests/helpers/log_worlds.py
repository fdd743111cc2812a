"""Worlds in which logarithms of changes are a strength, a domain effect and a slope."""

import numpy as np

from mixplan.forecast.log_ridge import Logs


def world(rng, runs, domains, *, slope=2.0, effects=0.7, strengths=0.8, noise=0.4, missing=0.1):
    """Known runs, and one more run with a domain more, from effects that are drawn."""
    strength, effect = rng.normal(-3, strengths, runs + 1), rng.normal(0, effects, domains + 1)
    extra = rng.normal(0, 0.25, (runs + 1, domains + 1))
    covariate = rng.normal(0, 0.5, domains + 1) + rng.normal(0, 0.3, (runs + 1, 1)) + extra
    changes = strength[:, None] + effect + slope * extra + rng.normal(0, noise, extra.shape)
    run, domain = np.nonzero(rng.random((runs, domains)) >= missing)
    known = Logs(changes[run, domain], covariate[run, domain][:, None], named(domain), run, run)
    return known, named(range(domains + 1)), covariate[-1][:, None], changes[-1]


def named(domains):
    """Names of numbered domains."""
    return tuple(f"d{index}" for index in domains)


def exact(strengths, effects, covariate, slope):
    """A world without noise, every cell measured; the covariate has no levels."""
    run, domain = np.indices(covariate.shape).reshape(2, -1)
    changes = strengths[run] + effects[domain] + slope * covariate[run, domain]
    return Logs(changes, covariate[run, domain][:, None], named(domain), run, run)
