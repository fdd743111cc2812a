"""Defines an allocation: rows by domain, what limits cost, how far it is from uniform, whether scores justify it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dual:
    """What one looser limit would bring, to first order.

    Attributes:
        limit: The recipe key, or `the pool of 'NAME'`.
        step: How much looser, in the budget's unit; so little that the value changes in a line.
        brings: Improvement of the objective's value.
        text: The same as a sentence.
    """

    limit: str
    step: float
    brings: float
    text: str


@dataclass(frozen=True)
class Saved:
    """The part of an even spread's expected loss that a plan does not have, with a 95 % interval; below 0 it has more.

    Attributes:
        value: With the scores as they are.
        low, high: With the scores anywhere in their intervals.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class AgainstEven:
    """What a plan saves beyond an even spread of the same budget.

    Attributes:
        worst: Of the worst domain's loss, each mixture's own worst.
        together: Of all domains' loss together.
    """

    worst: Saved
    together: Saved

    @property
    def surely(self) -> bool:
        """Whether the plan does better in one of them wherever the scores lie."""
        return self.worst.low > 0 or self.together.low > 0


@dataclass(frozen=True)
class Spread:
    """One way to spread the budget.

    Attributes:
        rows: Whole rows by domain.
        left: The part of all domains' expected loss together that the amounts behind them leave.
        worst_left: Its worst domain's expected loss, as a part of the worst without extra rows.
    """

    rows: dict[str, int]
    left: float
    worst_left: float


@dataclass(frozen=True)
class Spreads:
    """The plan beside an even spread and the paper's proportional rule, all within the same limits."""

    even: Spread
    planned: Spread
    proportional: Spread


@dataclass(frozen=True)
class Allocation:
    """A budget spread over domains.

    Attributes:
        unit: `rows` or `tokens`, of every amount.
        budget: What could be spent.
        rows: Whole rows by domain.
        amounts: Optimal amounts by domain before rounding.
        shares: Each domain's part of what the whole rows amount to in the budget's unit; uniform where there are none.
        uniform: The same of a uniform spread.
        distance_from_uniform: Total variation of `shares` from uniform: 0 equal, 1 disjoint.
        distance_from_size: The same from shares in proportion to the pools.
        against_uniform: What it saves beyond an even spread; None with one domain, no budget, or no score above 0.
        no_better_than_uniform: A sentence when the plan is no better founded than uniform, hardly differs from it, or
            is not expected to save more.
        value: What the optimum is worth: effective amount (alpha_fair, more is better), total expected loss
            (diminishing) or worst expected loss (min_max). Before the pull towards the prior.
        value_name: That, in words.
        expected_loss: Sum over domains of `score / (1 + amount / half_rows)`, in the score's unit.
        pays_until: The budget beyond which even the best placed row saves less than a tenth of what the best first row
            saves; floors and groups are not looked at.
        duals: What looser limits would bring: the budget first, then those that would bring most.
        binding: Limits that hold the plan where it is.
        notes: What else a reader should know.
        solver, status: Who solved it, and what it said.
        spreads: The plan beside the two that it may lie between; None with one domain, no budget, or no score above 0.
    """

    unit: str
    budget: int
    rows: dict[str, int]
    amounts: dict[str, float]
    shares: dict[str, float]
    uniform: dict[str, float]
    distance_from_uniform: float
    distance_from_size: float
    against_uniform: AgainstEven | None
    no_better_than_uniform: str | None
    value: float
    value_name: str
    expected_loss: float
    pays_until: float
    duals: tuple[Dual, ...]
    binding: tuple[str, ...]
    notes: tuple[str, ...]
    solver: str
    status: str
    spreads: Spreads | None = None


@dataclass(frozen=True)
class CurvePoint:
    """The plan at one budget.

    Attributes:
        budget: In the budget's unit.
        rows: Whole rows by domain.
        remaining_loss: Expected loss after the plan, as a part of the loss without extra rows.
        next_saves: What one more, best placed, unit would take off that part.
        pays: Whether that is at least a tenth of what the best first row saves.
    """

    budget: int
    rows: dict[str, int]
    remaining_loss: float
    next_saves: float
    pays: bool
