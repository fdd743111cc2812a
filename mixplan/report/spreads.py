"""Shows a plan beside an even spread and the proportional rule, how many rows are enough, and the evidence for both."""

from __future__ import annotations

from collections.abc import Iterator

from mixplan.outcome.units import counted
from mixplan.report.markup import Html, tag
from mixplan.report.tables import cell, header, row, section, table
from mixplan.report.text import percent, whole
from mixplan.saved.allocation import Spread, Spreads
from mixplan.saved.placement import RowPlacement
from mixplan.saved.plan import Plan
from mixplan.saved.total import RecommendedTotal, TotalPoint

EVENLY = 0.005
"""Weight below which rows are said to be spread evenly."""


def three(spreads: Spreads) -> tuple[Spread, Spread, Spread]:
    """Even, planned and proportional, in the order that they are shown in."""
    return spreads.even, spreads.planned, spreads.proportional


def leaves_sentence(plan: Plan) -> str | None:
    """Say what the three spreads are expected to leave of all domains' loss together; None where there are none."""
    if (spreads := plan.allocation.spreads) is None:
        return None
    even, planned, proportional = (percent(one.left) for one in three(spreads))
    return f"Expected to be left of the loss: {even} spread evenly, {planned} as planned, {proportional} in proportion."


def grounds(plan: Plan) -> list[str]:
    """What an evidence-led plan says first: how many rows are enough, and whether it matters where they go."""
    allocation = plan.allocation
    placement = allocation.placement if allocation.budget and len(plan.domains) > 1 else None
    return [one.text for one in (allocation.total, placement) if one is not None]


def where(placement: RowPlacement) -> tuple[str, str]:
    """Where the rows go, and by how much evidence, as a fact with its remark."""
    moved = "an even spread" if placement.weight < EVENLY else f"{placement.weight:.0%} towards the scores"
    parts = [counted(len(placement.comparisons), "comparison")] if placement.comparisons else []
    parts += [counted(placement.ranking.targets, "measured target")] if placement.ranking else []
    return moved, f"by {' and '.join(parts)} with this model" if parts else "nothing was measured with this model"


def spreads_section(plan: Plan) -> Html | None:
    """Lay the three spreads side by side: rows of each domain, and what each leaves; None where there are none."""
    spreads, placement = plan.allocation.spreads, plan.allocation.placement
    if spreads is None:
        return None
    lines = [
        row(header(name), *(cell(whole(one.rows[name]), kind="n") for one in three(spreads))) for name in plan.order()
    ]
    lines += [
        row(header(title), *(cell(text(one), kind="n") for one in three(spreads)), kind="target")
        for title, text in (("Left of all loss", left_of_all), ("Left of the worst", left_of_worst))
    ]
    note = (
        "The same budget spread evenly, as planned, and in proportion to what plans the rows, all within the recipe's "
        "limits; below, the part of the expected loss that each is expected to leave, of all domains together and of "
        "the worst domain."
    )
    said = [] if placement is None else [tag("p", placement.text), tag("p", factors_sentence(placement))]
    laid = table("wide", ["Domain", "Even", "Planned", "Proportional"], lines, "Rows of each domain by three spreads")
    return section("Three ways to spread the rows", *said, tag("p", note), laid)


def left_of_all(spread: Spread) -> str:
    """What a spread leaves of all loss, with its interval where it is known."""
    if spread.low is None or spread.high is None:
        return percent(spread.left)
    return f"{percent(spread.left)} [{percent(spread.low)}, {percent(spread.high)}]"


def left_of_worst(spread: Spread) -> str:
    """What a spread leaves of the worst domain's loss."""
    return percent(spread.worst_left)


def factors_sentence(placement: RowPlacement) -> str:
    """Say how the weight came about."""

    def factor(value: float | None) -> str:
        return "not known" if value is None else f"{value:.2f}"

    passed = f" {counted(placement.passed_over, 'comparison')} passed over, of an even spread or without an interval."
    left = passed if placement.passed_over else ""
    return (
        f"Rows are moved {placement.weight:.2f} of the way from the even spread (0) to the proportional rule (1): what "
        f"is known of which domain moves more ({factor(placement.ranking_factor)}) times what is known of whether it "
        f"matters where rows go ({factor(placement.comparison_factor)}), each 0 while its 95 % interval holds 0.{left}"
    )


def total_section(plan: Plan) -> Html | None:
    """Say how many rows are enough, and what half and twice as many would do; None where the recipe says how many."""
    if (total := plan.allocation.total) is None:
        return None
    lines = list(total_rows(total))
    if not lines:
        return section("How many rows are enough", tag("p", total.text))
    laid = table("wide", ["Extra rows", "Expected to be left of every loss"], lines, "What half, this and twice leave")
    return section("How many rows are enough", tag("p", total.text), laid)


def total_rows(total: RecommendedTotal) -> Iterator[Html]:
    """One line for each of half, the recommendation and twice it."""
    for point in total.points:
        kind = "target" if point.rows == total.rows else None
        yield row(header(whole(point.rows)), cell(left_text(point), kind="n"), kind=kind)


def left_text(point: TotalPoint) -> str:
    """What a total is expected to leave, with its interval."""
    if point.left is None:
        return "not known"
    between = "" if point.low is None or point.high is None else f" [{percent(point.low)}, {percent(point.high)}]"
    return f"{percent(point.left)}{between}{'' if point.measured else '; beyond what was measured'}"
