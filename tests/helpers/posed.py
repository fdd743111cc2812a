"""Poses allocation problems over domains a, b, c, ... for tests of optimal amounts and their duals."""

from mixplan.allocate.problem import DomainDemand, build
from mixplan.recipe import AllocateSpec, GroupSpec


def posed(score, total, pool=10**6, **spec):
    """A problem over domains a, b, c, ... and its spec; alpha-fair where no objective is named."""
    pools = [pool] * len(score) if isinstance(pool, int) else pool
    demands = [
        DomainDemand(f"d{i}" if len(score) > 26 else "abcdefghijklmnopqrstuvwxyz"[i], s, s, s, int(p), float(p), 1.0)
        for i, (s, p) in enumerate(zip(map(float, score), pools, strict=True))
    ]
    spec = AllocateSpec(**{"objective": "alpha_fair"} | spec)
    return build(demands, spec, "rows", total, 1), spec


OBJECTIVES = [
    {"alpha": 0.0},
    {"alpha": 0.3},
    {"alpha": 1.0},
    {"alpha": 3.0},
    {"alpha": 1000.0},
    {"objective": "diminishing", "half_rows": 30.0},
    {"objective": "min_max", "half_rows": 30.0},
]


LIMITS = {
    "floors": {"a": 12},
    "caps": {"d": 50},
    "shares": {"e": 0.1},
    "groups": {"g": GroupSpec(domains=["b", "c"], cap=70)},
}
