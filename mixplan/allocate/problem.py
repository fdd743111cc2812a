"""Builds the arrays of one allocation problem from domains and a recipe's limits; reports wrong names all at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixplan.errors import AllocationError
from mixplan.recipe import AllocateSpec, BudgetSpec
from mixplan.recipe.suggest import did_you_mean

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DomainDemand:
    """What the allocation needs to know of a domain.

    Attributes:
        name: The recipe's name for it.
        score: STS, 0 or more.
        low, high: Ends of its 95 % interval, `0 <= low <= score <= high`.
        pool_rows: Rows that may be drawn.
        pool_amount: The same in the budget's unit: rows, or tokens of the whole pool.
        mean_row_amount: 1.0 for a budget in rows; mean tokens a row for a budget in tokens.
    """

    name: str
    score: float
    low: float
    high: float
    pool_rows: int
    pool_amount: float
    mean_row_amount: float


@dataclass(frozen=True)
class Problem:
    """One allocation problem over n domains and k groups, in the budget's unit.

    Attributes:
        demands: The n domains, in the order of every `[n]` array.
        unit: `rows` or `tokens`.
        total: The budget.
        max_repeats: How often one row may be used.
        score: `[n]` what a row is worth by: STS, or its interval's upper end.
        floor, cap: `[n]` the recipe's own bounds; a cap that is not given is infinite.
        pool: `[n]` pool amount times `max_repeats`.
        share: `[n]` the recipe's fixed share, NaN where there is none.
        groups: Names of the k groups.
        member: `[k, n]` whether a domain is in a group.
        group_floor, group_cap: `[k]` joint bounds; a cap that is not given is infinite.
        weight: How far evidence lets the scores move an even spread, 0 to 1; for the objective `evidence`.
    """

    demands: tuple[DomainDemand, ...]
    unit: str
    total: float
    max_repeats: int
    score: Array
    floor: Array
    cap: Array
    pool: Array
    share: Array
    groups: tuple[str, ...]
    member: NDArray[np.bool_]
    group_floor: Array
    group_cap: Array
    weight: float = 0.0

    @property
    def low(self) -> Array:
        """`[n]` the least each domain may have."""
        return np.where(np.isnan(self.share), self.floor, self.share * self.total)

    @property
    def high(self) -> Array:
        """`[n]` the most each domain may have."""
        return np.where(np.isnan(self.share), np.minimum(self.cap, self.pool), self.share * self.total)

    def with_score(self, score: Array) -> Problem:
        """The same limits around other scores `[n]`."""
        return replace(self, score=score)


def budgets(budget: BudgetSpec) -> tuple[str, tuple[int, ...]]:
    """Read a budget's unit and its amounts; the last amount is the plan's.

    Raises:
        AllocationError: not exactly one of `rows` and `tokens`, or an empty list.
    """
    given = {unit: value for unit in ("rows", "tokens") if (value := getattr(budget, unit)) is not None}
    if len(given) != 1:
        found = "both" if given else "neither"
        raise AllocationError(f"budget: expected exactly one of rows and tokens, found {found}.")
    ((unit, value),) = given.items()
    if value == "auto":
        raise AllocationError("budget.rows is auto, but nothing was recommended yet. Give a whole number of rows.")
    amounts = tuple(value) if isinstance(value, list) else (value,)
    if not amounts:
        raise AllocationError(f"budget.{unit}: the list is empty. Give at least one amount.")
    return unit, amounts


def build(
    demands: Sequence[DomainDemand], spec: AllocateSpec, unit: str, total: int, max_repeats: int, weight: float = 0.0
) -> Problem:
    """Put domains and limits into arrays; see `Problem` for each.

    Raises:
        AllocationError: no domain, a domain's figures make no sense, or a limit names an unknown domain.
    """
    names = [demand.name for demand in demands]
    problems = [*_wrong_figures(demands), *_wrong_names(names, spec)]
    if problems:
        raise AllocationError("\n".join(problems))
    index = {name: position for position, name in enumerate(names)}
    member = np.zeros((len(spec.groups), len(names)), dtype=bool)
    for row, group in enumerate(spec.groups.values()):
        member[row, [index[name] for name in group.domains]] = True
    return Problem(
        demands=tuple(demands),
        unit=unit,
        total=float(total),
        max_repeats=max_repeats,
        score=np.array([demand.high if spec.cautious else demand.score for demand in demands], dtype=float),
        floor=np.array([spec.floors.get(name, 0) for name in names], dtype=float),
        cap=np.array([spec.caps.get(name, np.inf) for name in names], dtype=float),
        pool=np.array([demand.pool_amount * max_repeats for demand in demands], dtype=float),
        share=np.array([spec.shares.get(name, np.nan) for name in names], dtype=float),
        groups=tuple(spec.groups),
        member=member,
        group_floor=np.array([group.floor for group in spec.groups.values()], dtype=float),
        group_cap=np.array([np.inf if g.cap is None else g.cap for g in spec.groups.values()], dtype=float),
        weight=weight,
    )


def prior_shares(problem: Problem, spec: AllocateSpec) -> Array:
    """Read the prior mixture.

    Returns:
        `[n]` shares that sum to 1.

    Raises:
        AllocationError: there is no prior to be pulled towards, or it gives no domain a share.
    """
    if spec.prior is None:
        raise AllocationError(
            f"allocate.prior_strength is {spec.prior_strength:g}, but there is no prior to be pulled towards. "
            "Add `allocate.prior`, or set `allocate.prior_strength` to 0."
        )
    if isinstance(spec.prior, dict):
        shares = np.array([spec.prior.get(demand.name, 0.0) for demand in problem.demands], dtype=float)
    else:
        shares = uniform_shares(problem) if spec.prior == "uniform" else size_shares(problem)
    if shares.sum() <= 0:
        raise AllocationError("allocate.prior: every share is 0. Give at least one domain a share above 0.")
    return np.asarray(shares / shares.sum())


def uniform_shares(problem: Problem) -> Array:
    """`[n]` the same share for every domain."""
    return np.full(len(problem.demands), 1 / len(problem.demands))


def size_shares(problem: Problem) -> Array:
    """`[n]` shares proportional to the pools' sizes in the budget's unit; uniform where all pools are empty."""
    return uniform_shares(problem) if not problem.pool.sum() else np.asarray(problem.pool / problem.pool.sum())


def _wrong_figures(demands: Sequence[DomainDemand]) -> Iterator[str]:
    if not demands:
        yield "There is no domain to allocate to. Add one under `domains`."
    seen: set[str] = set()
    for demand in demands:
        if demand.name in seen:
            yield f"domain {demand.name!r} is given twice. Give each domain once."
        seen.add(demand.name)
        ends = (demand.low, demand.score, demand.high)
        if not all(math.isfinite(end) for end in ends) or not 0 <= demand.low <= demand.score <= demand.high:
            yield (
                f"domain {demand.name!r} has score {demand.score:g} with interval [{demand.low:g}, {demand.high:g}], "
                "expected finite numbers, 0 or more, in order."
            )
        amounts = (demand.pool_rows, demand.pool_amount, demand.mean_row_amount)
        if not all(math.isfinite(amount) and amount >= 0 for amount in amounts) or not demand.mean_row_amount:
            yield (
                f"domain {demand.name!r} has a pool of {demand.pool_rows} rows and {demand.pool_amount:g} in the "
                f"budget's unit at {demand.mean_row_amount:g} a row, expected finite numbers, 0 or more, "
                "and more than 0 a row."
            )


def _wrong_names(names: Sequence[str], spec: AllocateSpec) -> Iterator[str]:
    known = set(names)
    places = [(f"allocate.{key}", list(getattr(spec, key))) for key in ("floors", "caps", "shares")]
    if isinstance(spec.prior, dict):
        places.append(("allocate.prior", list(spec.prior)))
    places += [(f"allocate.groups.{name}.domains", list(group.domains)) for name, group in spec.groups.items()]
    for place, given in places:
        for name in given:
            if name not in known:
                yield f"{place}: there is no domain {name!r}.{did_you_mean(name, known)}"
