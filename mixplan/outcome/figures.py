"""Names the figures of a plan and of what was measured as trackers show them, `mixplan/DOMAIN/WHAT`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from mixplan.saved import Outcome, Plan
from mixplan.saved.evaluation import Evaluation, Measured

Figures = Mapping[str, float]


def planned_figures(plan: Plan) -> Figures:
    """Rows, ratio, score and forecast of each domain, and the rows of the target."""
    return finite(_planned(plan))


def before_figures(evaluation: Evaluation) -> Figures:
    """The untrained model's headline of each domain and of the target."""
    return finite(
        (f"mixplan/{name}/before", mean(measures[evaluation.headlines[name]]))
        for name, measures in evaluation.domains.items()
        if evaluation.headlines.get(name) in measures
    )


def after_figures(outcome: Outcome) -> Figures:
    """The trained model's headline, its change with the interval's ends, and how far behaviour moved."""
    return finite(_after(outcome))


def finite(figures: Iterator[tuple[str, float]]) -> Figures:
    """Those that a tracker can draw."""
    return {name: float(value) for name, value in figures if math.isfinite(value)}


def mean(measured: Measured) -> float:
    """The mean of a measure's main quantity over its items; not a number without any."""
    values = next(iter(measured.values.values()))
    return math.fsum(values) / len(values) if values else math.nan


def _planned(plan: Plan) -> Iterator[tuple[str, float]]:
    for name, (rows, ratio) in plan.taught().items():
        yield f"mixplan/{name}/rows", rows
        yield f"mixplan/{name}/ratio", ratio
    for name in plan.order():
        yield f"mixplan/{name}/rows", plan.allocation.rows[name]
        yield f"mixplan/{name}/ratio", plan.allocation.ratios.get(name, 0.0)
        yield f"mixplan/{name}/score", plan.score_of(name).value
        if (risk := plan.domains[name].forecast) is None:
            continue
        yield f"mixplan/{name}/relative_risk", risk.relative_risk
        if risk.expected is not None:
            for what, found in (("expected", risk.expected.headline), ("expected_behaviour", risk.expected.behaviour)):
                if found is not None:
                    yield f"mixplan/{name}/{what}", found.change
                    yield f"mixplan/{name}/{what}_low", found.low
                    yield f"mixplan/{name}/{what}_high", found.high


def _after(outcome: Outcome) -> Iterator[tuple[str, float]]:
    for name, measured in {**outcome.taught(), **outcome.domains}.items():
        if (change := measured.change) is not None:
            yield f"mixplan/{name}/after", change.after
            yield f"mixplan/{name}/change", change.change
            yield f"mixplan/{name}/change_low", change.low
            yield f"mixplan/{name}/change_high", change.high
        if measured.headline != "behaviour" and (moved := measured.measures.get("behaviour")):
            yield f"mixplan/{name}/behaviour", next(iter(moved.values())).change
