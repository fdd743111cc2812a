"""Allocations over domains that are given by their scores, for tests of what is said of them."""

from mixplan.allocate import Allocation, DomainDemand, allocate
from mixplan.recipe import AllocateSpec, BudgetSpec


def demands(scores, *, apart=0.01, pool=1000, mean=1.0):
    return [
        DomainDemand(name, score, score * (1 - apart), score * (1 + apart), pool, pool * mean, mean)
        for name, score in scores.items()
    ]


def plan(scores, budget=200, *, apart=0.01, pool=1000, **spec) -> Allocation:
    """An allocation; alpha-fair, the proportional rule, where no objective is named."""
    budget = BudgetSpec(rows=budget) if isinstance(budget, int | list) else budget
    named = AllocateSpec(**{"objective": "alpha_fair"} | spec)
    return allocate(demands(scores, apart=apart, pool=pool), spec=named, budget=budget)


FOUR = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
