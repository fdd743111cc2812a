"""Scores and a budget in, rows per domain with what the reader should know of them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mixplan.allocate import Allocation, CurvePoint, DomainDemand, allocate, budget_curve, describe
from mixplan.domains import Domain
from mixplan.recipe import Recipe


@dataclass(frozen=True)
class Spent:
    """A budget spread over domains.

    Attributes:
        allocation: The plan's.
        curve: One point for each budget asked for; empty for a single one.
    """

    allocation: Allocation
    curve: tuple[CurvePoint, ...]

    @property
    def rows(self) -> dict[str, int]:
        """Whole rows by domain."""
        return dict(self.allocation.rows)

    def describe(self, recipe: Recipe, target_rows: int) -> dict[str, Any]:
        """The allocation as JSON values, for the plan.

        Args:
            recipe: For what was asked.
            target_rows: Target rows in the mixture, for the ratios.
        """
        made = self.allocation
        rows = made.rows
        everything = target_rows + sum(rows.values())
        whole = {name: count / sum(rows.values()) for name, count in rows.items()} if any(rows.values()) else None
        even = dict.fromkeys(rows, 1 / len(rows))
        points = [describe(point) | self.for_reading(point) for point in self.curve if point.rows is not None]
        return describe(made) | {
            "budget": round(made.budget),
            "max_repeats": recipe.budget.max_repeats,
            "rows": rows,
            "ratios": {"target": target_rows / everything} | {name: count / everything for name, count in rows.items()},
            "uniform": even,
            "shares": whole or even,
            "distance_from_uniform": made.distance_from_uniform or 0.0,
            "distance_from_size": made.distance_from_size or 0.0,
            "no_better_than_uniform": made.foundation if made.no_better_than_uniform else None,
            "curve": points,
            "curve_problems": [point.problem for point in self.curve if point.problem],
        }

    def for_reading(self, point: CurvePoint) -> dict[str, Any]:
        """A point's loss as a share of the loss without extra rows."""
        without = self.allocation.expected_loss_without
        left = point.expected_loss or 0.0
        return {"budget": round(point.budget), "remaining_loss": left / without if without else 1.0}


def spend(recipe: Recipe, domains: Mapping[str, Domain], scores: Mapping[str, Any]) -> Spent:
    """Spread the budget over the domains by their scores.

    Args:
        recipe: Budget and allocation sections.
        domains: For the pools' sizes.
        scores: Each domain's score with its interval, and mean tokens a pool row.

    Raises:
        AllocationError: limits clash, or no solver reached an optimum.
    """
    in_tokens = recipe.budget.tokens is not None
    demands = []
    for name, domain in domains.items():
        entry = scores["domains"][name]
        score = entry[f"sts_{recipe.sts.score}"]
        each = entry["row_tokens_mean"] if in_tokens else 1.0
        demands.append(
            DomainDemand(
                name=name,
                score=score["value"],
                low=score["low"],
                high=score["high"],
                pool_rows=len(domain.pool),
                pool_amount=len(domain.pool) * each,
                mean_row_amount=each,
            )
        )
    curve = budget_curve(demands, spec=recipe.allocate, budget=recipe.budget)
    return Spent(allocate(demands, spec=recipe.allocate, budget=recipe.budget), curve if len(curve) > 1 else ())
