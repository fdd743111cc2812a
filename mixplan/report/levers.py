"""Reports what else keeps abilities beside rows: the levers' prices and what is known of each."""

from __future__ import annotations

from mixplan.report.markup import Html, tag
from mixplan.report.tables import cell, header, row, section, table
from mixplan.report.text import percent, whole
from mixplan.saved.levers import Lever
from mixplan.saved.plan import Plan

SHORT = {
    "own_voice": "own words",
    "replay_kl": "KL on domain rows",
    "half_rate": "half the rate",
    "half_rank": "half the rank",
    "checkpoint": "best checkpoint",
}
"""What the terminal calls each; domain rows it lists by themselves."""

HEADS = ["Lever", "In the recipe (--set)", "Extra tokens", "Extra time", "How counted", "Evidence with this model"]


def levers_section(plan: Plan) -> Html | None:
    """Lay the levers' prices out in one table; None in plans that have none."""
    if not plan.levers:
        return None
    lines = [
        row(
            header(f"{one.title} (on)" if one.on else one.title),
            cell(tag("code", one.recipe)),
            cell("not counted" if one.tokens is None else whole(one.tokens), kind="n"),
            cell(time_text(one), kind="n"),
            cell(one.counted),
            cell(one.evidence),
        )
        for one in plan.levers
    ]
    note = (
        "Extra time is over training on the target's rows alone, counted in forward passes of tokens: training on a "
        "token costs three in full and two under an adapter. Where it says not measured, nothing is known of what a "
        "lever keeps with this model; what a model organism showed stands in docs/levers.md."
    )
    return section("What else keeps abilities", tag("p", note), table("wide", HEADS, lines, "Levers with their prices"))


def time_text(lever: Lever) -> str:
    """A lever's extra time as a percentage."""
    if lever.time is None:
        return "not known"
    return f"at most {percent(lever.time)}" if lever.name == "checkpoint" else percent(lever.time)


def levers_line(plan: Plan) -> str | None:
    """Name the levers that are off in one short line, with their extra time; None where there are none."""
    off = [f"{SHORT[one.name]} {time_text(one)}" for one in plan.levers if not one.on and one.name in SHORT]
    return f"Other levers, extra time at equal steps: {', '.join(off)}; see the report." if off else None
