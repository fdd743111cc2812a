"""Makes readings of a target and a domain from random sums, and finds their largest features by sorting."""

from collections import Counter

import numpy as np

from mixplan.features.profile import Profile
from mixplan.study.forecasts.formulas import (
    DomainReading,
)

WIDE, RAW, COUNT = 40, 12, 8


def random_sums(seed: int, tokens: int = 50, *, dead: int = 5) -> Profile:
    """Sums that could have been read; the last `dead` features never fire and never move."""
    rng = np.random.default_rng(seed)
    alive = np.arange(WIDE) < WIDE - dead
    return Profile(
        tokens=tokens,
        shift=rng.exponential(3, WIDE) * alive,
        delta=rng.normal(0, 2, WIDE) * alive,
        act=rng.exponential(5, WIDE) * alive,
        fired=rng.integers(1, tokens, WIDE) * alive,
        raw_shift=rng.exponential(1, RAW),
        raw_delta=rng.normal(0, 1, RAW),
        raw_sum=rng.normal(0, 4, RAW),
    )


def domain_reading() -> DomainReading:
    """What is read of a domain, beside a target `t` and its preview."""
    return DomainReading(
        own=random_sums(4, 70),
        behind={"t": random_sums(5, 66)},
        neutral={"t": random_sums(6, 64)},
        answers={"t": random_sums(7, 31)},
        neutral_answers={"t": random_sums(8, 29)},
        preview={"t": {"kl": 0.5, "bits_per_byte": -0.2, "gold_margin": 0.3}},
        neutral_preview={"t": {"kl": 0.2, "bits_per_byte": 0.1, "gold_margin": 0.4}},
        words=Counter({1: 3, 9: 5, 7: 2}),
        pool_rows=123,
        answer_entropy=1.25,
    )


def largest(values, count=COUNT) -> list[int]:
    """Positions of the largest values, equal ones by position."""
    return sorted(range(len(values)), key=lambda i: (-values[i], i))[:count]
