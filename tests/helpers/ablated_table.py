"""Makes a table of random changes and profiles of random sums, for studies looked into further."""

import numpy as np

from mixplan.features.profile import Profile
from mixplan.study.judged.table import Table

T, D, S, WIDTH = 3, 6, 2, 40


def table_of(targets, domains, seeds, missing=()):
    rng = np.random.default_rng(3)
    kl = np.exp(rng.normal(size=(len(targets), len(domains), len(seeds))))
    for target, domain in missing:
        kl[targets.index(target), domains.index(domain)] = np.nan
    return Table(
        targets=targets, domains=domains, kinds=dict.fromkeys(domains, "one"), seeds=seeds, development=targets[:1],
        measures={"kl": kl}, noise={"kl": kl / 10}, predictors={"size": np.ones((len(targets), len(domains)))},
        competitors=("size",), bounds=(),
    )  # fmt: skip


def random_profile(seed, tokens):
    rng = np.random.default_rng(seed)
    shift, act = np.exp(rng.normal(size=WIDTH)), np.exp(rng.normal(size=WIDTH))
    return Profile(tokens, shift, shift, act, np.full(WIDTH, 3), np.zeros(2), np.zeros(2), np.zeros(2))
