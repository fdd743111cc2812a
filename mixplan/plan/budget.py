"""Spreads a budget of rows or tokens over the domains by their scores."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from statistics import fmean

from pydantic import TypeAdapter

from mixplan.allocate import Allocation, CurvePoint, DomainDemand, allocate, budget_curve, left_out
from mixplan.domains import Domain
from mixplan.forecast import Halving
from mixplan.forecast.replay_total import left_between
from mixplan.plan.grounds import NOTHING, Grounds
from mixplan.recipe import Recipe
from mixplan.runs import cached, content_hash, version_of
from mixplan.saved import plan as saved
from mixplan.saved.allocation import Spreads
from mixplan.saved.scores import Scores

VERSION = 2
"""Of what an allocation holds; part of the key under which it is kept."""
UNTOLD = 0.1
"""Of the tokens that a budget counted: so much more or less is not told."""
SOLVED: TypeAdapter[tuple[Allocation, tuple[CurvePoint, ...], tuple[str, ...]]] = TypeAdapter(
    tuple[Allocation, tuple[CurvePoint, ...], tuple[str, ...]]
)
"""Its form in the cache."""


@dataclass(frozen=True)
class Spent:
    """A budget spread over domains.

    Attributes:
        allocation: The plan's.
        curve: One point for each budget asked for; empty for a single one.
        left_out: Which budgets the curve lacks, and why, in sentences.
        demands: The domains that it was spread over.
        halving: Amounts that halve a loss, in the budget's unit, as they were learned; None for the recipe's.
        grounds: What it rests on.
    """

    allocation: Allocation
    curve: tuple[CurvePoint, ...]
    left_out: tuple[str, ...]
    demands: tuple[DomainDemand, ...] = ()
    halving: Halving | None = None
    grounds: Grounds = NOTHING

    @property
    def rows(self) -> dict[str, int]:
        """Whole rows by domain."""
        return dict(self.allocation.rows)

    def describe(self, recipe: Recipe, target_rows: Mapping[str, int]) -> saved.Allocation:
        """The allocation, for the plan.

        Args:
            recipe: For what was asked.
            target_rows: Rows of the target in the mixture, or of each of its sources, by name, for the ratios.
        """
        made = self.allocation
        counts = {**target_rows, **made.rows}
        everything = sum(counts.values())
        ratios = {name: rows / everything for name, rows in counts.items()}
        values = {key: one for key, one in asdict(made).items() if key != "spreads"}
        further = {
            "spreads": self.beside(recipe),
            "placement": self.grounds.placement,
            "total": self.grounds.total,
        }
        values |= {
            "max_repeats": recipe.budget.max_repeats,
            "objective": recipe.allocate.objective,
            "ratios": ratios,
            "curve": tuple(asdict(point) for point in self.curve),
        }
        return saved.Allocation.model_validate(values | {key: one for key, one in further.items() if one is not None})

    def beside(self, recipe: Recipe) -> Spreads | None:
        """The plan beside an even spread and the rule, with intervals where it was learned what rows save."""
        made = self.allocation.spreads
        if made is None:
            return None
        learned = self.grounds.amount.response if self.grounds.amount is not None else None
        if learned is None:
            return Spreads.model_validate(asdict(made))
        scores = [one.high if recipe.allocate.cautious else one.score for one in self.demands]
        found = {}
        for name, spread in asdict(made).items():
            rows = [float(spread["rows"][demand.name]) for demand in self.demands]
            reach = left_between(learned, rows, scores)
            found[name] = spread if reach is None else {**spread, "low": reach[0], "high": reach[1]}
        measured = learned.fewest <= sum(made.planned.rows.values()) <= learned.most
        return Spreads.model_validate({**found, "measured": measured})

    def other_tokens(self, recipe: Recipe, parts: Sequence[saved.MixturePart]) -> Iterator[str]:
        """Say that the domains' rows hold other tokens than a budget in tokens counted of them, beyond a tenth.

        Or that it reaches for no row. Rows are planned before their answers are known where the model gives these.

        Args:
            recipe: Budget and mixture sections.
            parts: Of the mixture, with the tokens that it holds.
        """
        asked = recipe.budget.tokens[-1] if isinstance(recipe.budget.tokens, list) else recipe.budget.tokens
        counts = [part.tokens for part in parts if part.name in self.rows]
        if asked and not any(self.rows.values()):
            fewest = min(one.mean_row_amount for one in self.demands)
            yield (
                f"No row is planned: a budget of {asked:,} tokens does not reach for one row of the domains, which "
                f"hold {fewest:,.0f} tokens or more, in the mean of a domain. Raise `budget.tokens`."
            )
        planned = sum(self.rows[one.name] * one.mean_row_amount for one in self.demands)
        held = sum(filter(None, counts))
        if asked is None or None in counts or not held or abs(held - planned) <= UNTOLD * planned:
            return
        answers = {"self": "the model's own answers", "rationale": "worked solutions"}.get(recipe.mixture.answers)
        yield (
            f"The domains' rows hold {held:,} tokens, where the budget counted {planned:,.0f} by the mean length of "
            f"their pools' rows as the data has them{f': they carry {answers}' if answers else ''}. "
            f"`budget.tokens: {round(asked * planned / held)}` would hold about as many as it counted."
        )


def spend(recipe: Recipe, domains: Mapping[str, Domain], scores: Scores, grounds: Grounds = NOTHING) -> Spent:
    """Spread the budget over the domains by their scores.

    Args:
        recipe: Budget and allocation sections.
        domains: For the pools' sizes.
        scores: Each domain's score with its interval, and mean tokens a pool row.
        grounds: How far rows move from an even spread, and rows that halve a domain's loss, in the place of the
            recipe's; a budget in tokens takes them at the domains' mean length.

    Raises:
        AllocationError: limits clash, or no solver reached an optimum.
    """
    in_tokens = recipe.budget.tokens is not None
    demands = []
    for name, domain in domains.items():
        scored = scores.domains[name]
        score = scored.score(recipe.sts.score)
        each = scored.row_tokens_mean if in_tokens else 1.0
        demands.append(
            DomainDemand(
                name=name,
                score=score.value,
                low=score.low,
                high=score.high,
                pool_rows=len(domain.pool),
                pool_amount=len(domain.pool) * each,
                mean_row_amount=each,
            )
        )
    amounts = None
    if grounds.amount is not None:
        each = fmean(demand.mean_row_amount for demand in demands)
        amounts = grounds.amount.rows.times(each)
    made, curve, lacking = spread(demands, recipe, amounts, grounds.weight)
    return Spent(made, curve if len(curve) > 1 else (), lacking, tuple(demands), amounts, grounds)


def spread(
    demands: Sequence[DomainDemand], recipe: Recipe, halving: Halving | None, weight: float
) -> tuple[Allocation, tuple[CurvePoint, ...], tuple[str, ...]]:
    """Solve the allocation at every budget, or take what was solved of these very inputs before.

    Args:
        demands: The domains.
        recipe: Budget and allocation sections.
        halving: Amounts that halve a loss, in the budget's unit; None for the recipe's.
        weight: How far rows move from an even spread towards the scores.

    Returns:
        The plan's allocation, the curve, and which budgets the curve lacks.
    """
    spec, budget = recipe.allocate, recipe.budget

    def solved() -> list[object]:
        curve = budget_curve(demands, spec=spec, budget=budget, halving=halving, weight=weight)
        made = allocate(demands, spec=spec, budget=budget, halving=halving, weight=weight)
        return [asdict(made), list(map(asdict, curve)), list(left_out(demands, spec=spec, budget=budget))]

    # As text, since numbers may be infinite.
    inputs = [list(map(astuple, demands)), halving and astuple(halving), spec.model_dump(), budget.model_dump(), weight]
    versions = [version_of(library) for library in ("cvxpy", "numpy", "scipy")]
    value = cached("allocations", content_hash(VERSION, versions, json.dumps(inputs)), solved)
    return SOLVED.validate_python(value)
