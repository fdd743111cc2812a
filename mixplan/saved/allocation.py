"""Defines the part of plan.json that holds the allocation: rows, what they leave, and the evidence behind them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mixplan.saved.base_types import Interval, Saved
from mixplan.saved.placement import RowPlacement
from mixplan.saved.total import RecommendedTotal


class Dual(Saved):
    """What loosening one limit by a step, in the budget's unit, would bring."""

    limit: str
    step: float
    brings: float
    text: str


class CurvePoint(Saved):
    """The allocation at one budget: see `mixplan.allocate.result.CurvePoint`."""

    budget: int
    rows: dict[str, int]
    remaining_loss: float
    next_saves: float
    pays: bool


class AgainstEven(Saved):
    """What the plan saves beyond an even spread, as parts of that one's loss: of the worst domain's, and of all."""

    worst: Interval
    together: Interval


class Spread(Saved):
    """One way to spread the budget.

    Attributes:
        rows: Whole rows by domain.
        left: The part of all domains' expected loss together that it is expected to leave.
        worst_left: Its worst domain's expected loss, as a part of the worst without extra rows.
        low: Lower end of the 95 % interval of `left`, over the targets by which it is known what rows save; unset where
            that is assumed, or known by fewer than three.
        high: Its upper end.
    """

    rows: dict[str, int]
    left: float
    worst_left: float
    low: float | None = None
    high: float | None = None


class Spreads(Saved):
    """The plan between an even spread and the proportional rule of arXiv 2603.02908, all within the recipe's limits.

    Attributes:
        measured: Whether mixtures of so many rows were among those by which it is known what rows save; unset where
            that is assumed.
    """

    even: Spread
    planned: Spread
    proportional: Spread
    measured: bool | None = None


class AllocateSection(Saved):
    """How the recipe has the budget spread, as far as a page says it and control mixtures keep to it."""

    cautious: bool = False
    caps: dict[str, float] = Field(default_factory=dict)
    shares: dict[str, float] = Field(default_factory=dict)
    half_rows: float | None = None


class Allocation(Saved):
    """The budget spread over the domains: see `mixplan.allocate.result.Allocation`.

    Attributes:
        spreads: The plan beside an even spread and the proportional rule; unset where there is nothing to spread in two
            ways, and in older files.
        placement: How far evidence moved the rows from an even spread; unset for the other objectives.
        total: How many rows were recommended; unset where the recipe says how many.
    """

    unit: Literal["rows", "tokens"]
    budget: int
    rows: dict[str, int]
    amounts: dict[str, float]
    shares: dict[str, float]
    uniform: dict[str, float]
    distance_from_uniform: float
    distance_from_size: float
    against_uniform: AgainstEven | None = None
    no_better_than_uniform: str | None
    value: float
    value_name: str
    expected_loss: float
    pays_until: float
    duals: tuple[Dual, ...]
    binding: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    solver: str
    status: str
    max_repeats: int
    objective: str
    ratios: dict[str, float]
    curve: tuple[CurvePoint, ...] = ()
    spreads: Spreads | None = None
    placement: RowPlacement | None = None
    total: RecommendedTotal | None = None
