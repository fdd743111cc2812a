"""Says what a plan expects of its tolerances and what became of them, as sentences, tables and a page's section."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mixplan.outcome.summary import few
from mixplan.outcome.units import counted
from mixplan.report.markup import Html, tag
from mixplan.report.tables import cell, header, row, section, table
from mixplan.report.text import ends, number, whole
from mixplan.report.text_tables import Sheet
from mixplan.saved.base_types import Interval
from mixplan.saved.outcome import Outcome
from mixplan.saved.plan import Plan
from mixplan.saved.tolerances import ExpectedLoss, Gate, Held, Kept, PlannedTolerances

KNOWN_TO = 0.025
"""What lies beyond the ends of a 95 % interval is not told apart."""
AS_EXPECTED = 0.5


def chance(probability: float) -> str:
    """Write a probability, as far as a 95 % interval tells it."""
    if probability < KNOWN_TO:
        return f"under {100 * KNOWN_TO:g} %"
    return f"over {100 * (1 - KNOWN_TO):g} %" if probability > 1 - KNOWN_TO else f"{100 * probability:.0f} %"


def planned_lines(plan: Plan) -> list[str]:
    """Say which tolerances are expected to break, how likely, and which budget keeps them."""
    found = plan.tolerances
    if found is None:
        return []
    known = [one for one in found.expected if one.breaks is not None]
    unknown = [one for one in found.expected if one.breaks is None]
    lines = [exposed(known), *budget_lines(plan, found, whole_set=not unknown)] if known else []
    if unknown:
        names = list(dict.fromkeys(f"{one.domain} ({one.text})" for one in unknown))
        lines.append(
            f"Whether {few(names, len(names))} will hold cannot be forecast: nothing that was measured of this model "
            "teaches how much is lost there. Train another target first, or run a study, and plan again."
        )
    return lines


def exposed(known: Sequence[ExpectedLoss]) -> str:
    """Say which tolerances are expected to break with the planned rows, the likeliest first."""
    order = sorted(known, key=lambda one: -(one.breaks or 0.0))
    breaking = [one for one in order if (one.breaks or 0.0) > AS_EXPECTED]
    total = counted(len(known), "tolerance")
    if not breaking:
        first = f"{order[0].domain} {loss_of(order[0])}, with a probability of {chance(order[0].breaks or 0.0)}."
        if len(known) == 1:
            return f"The tolerance that can be forecast is not expected to break: {first}"
        return f"None of {total} is expected to break; the likeliest is that of {first}"
    listed = few((f"{one.domain} {loss_of(one)} {chance(one.breaks or 0.0)}" for one in breaking), len(breaking))
    verb = "is" if len(breaking) == 1 else "are"
    return f"{len(breaking)} of {total} {verb} expected to break, with a probability: {listed}."


def loss_of(one: ExpectedLoss | Held) -> str:
    """What is lost of what may be, in words."""
    if one.loss is None:
        return f"(of {one.text})"
    return f"({number(one.loss.value, 2)} {bounds(one.loss)} of {one.text})"


def bounds(loss: Interval) -> str:
    """A loss's interval."""
    return ends(loss.low, loss.high, 2)


def budget_lines(plan: Plan, found: PlannedTolerances, *, whole_set: bool) -> Iterator[str]:
    """Say how many rows keep all tolerances, as expected and more likely than that, and what this rests on.

    Args:
        plan: The plan.
        found: Its tolerances.
        whole_set: Whether all of them can be forecast.
    """
    unit = plan.allocation.unit
    those = "all" if whole_set else "all that can be forecast"
    for kept in found.kept:
        yield budget_line(kept, found.most, unit, those)
    if found.assumed:
        yield f"What {unit} save of a loss in {' and '.join(found.assumed)} is assumed: nothing measured teaches it."


def budget_line(kept: Kept, most: int, unit: str, those: str) -> str:
    """Say the smallest budget for one probability."""
    surely = kept.probability > AS_EXPECTED
    aim = f"to keep {those} with a probability of {100 * kept.probability:.0f} % each" if surely else f"to keep {those}"
    if kept.budget is None:
        listed = few(kept.short, len(kept.short))
        return f"No budget is expected {aim}: with all {whole(most)} {unit} that there are, {listed} would still break."
    if kept.budget == 0:
        return f"No extra {unit} are needed {aim}."
    return f"The smallest budget expected {aim} is {counted(kept.budget, unit.removesuffix('s'))}."


def planned_fact(plan: Plan) -> tuple[str, str] | None:
    """How many tolerances are expected to break, and beneath it the likeliest; None without tolerances."""
    if (found := plan.tolerances) is None:
        return None
    known = sorted((one for one in found.expected if one.breaks is not None), key=lambda one: -(one.breaks or 0.0))
    if not known:
        return "not forecast", f"{counted(len(found.expected), 'tolerance')}; nothing measured teaches the losses"
    breaking = sum((one.breaks or 0.0) > AS_EXPECTED for one in known)
    first = known[0]
    beneath = f"expected to break; likeliest {first.domain}, {chance(first.breaks or 0.0)} for {first.text}"
    unknown = len(found.expected) - len(known)
    return f"{breaking} of {len(known)}", beneath + (f"; {unknown} not forecast" if unknown else "")


def planned_section(plan: Plan, title: str) -> Html | None:
    """Draw what a plan expects of each tolerance."""
    if (found := plan.tolerances) is None:
        return None
    heads = ["Domain", "May lose", "Expected loss", "95 %", "Breaks", "Without extra rows"]
    lines = [
        row(
            header(one.domain),
            cell(one.text, kind="n"),
            cell("" if one.loss is None else number(one.loss.value, 2), kind="n"),
            cell("" if one.loss is None else bounds(one.loss), kind="n"),
            cell("not forecast" if one.breaks is None else chance(one.breaks), kind="n"),
            cell("" if one.breaks_without is None else chance(one.breaks_without), kind="n"),
        )
        for one in found.expected
    ]
    note = (
        "The loss that a run is expected to measure with the planned rows, in the tolerance's unit (a gain is below "
        "0), and the probability that it exceeds what may be lost. How hard a job trains is common to all domains, so "
        "these probabilities are not independent."
    )
    rests = [f"In {unit}: {text}" for unit, text in found.rows_save.items()]
    said = (tag("p", line) for line in [*planned_lines(plan), *rests])
    return section(title, *said, tag("p", note), table("wide", heads, lines, "Expected loss of each tolerance"))


def sheet(found: Gate) -> Sheet:
    """Tabulate what became of each tolerance."""
    heads = ("domain", "may lose", "lost", "95 %", "rows", "verdict", "why")
    lines = tuple(
        (
            one.domain,
            one.text,
            "" if one.loss is None else number(one.loss.value, 2),
            "" if one.loss is None else bounds(one.loss),
            whole(one.items),
            one.verdict,
            one.reason or "",
        )
        for one in found.held
    )
    return Sheet("Tolerances", heads, lines, (0, 0, 0, 1, 3, 0, 2), words=True).filled()


def held_section(outcome: Outcome) -> Html | None:
    """Draw what became of each tolerance."""
    if (found := outcome.tolerances) is None:
        return None
    laid = sheet(found)
    lines = [row(header(line[0]), *(cell(text) for text in line[1:])) for line in laid.rows]
    note = (
        "Lost, in the tolerance's unit (a gain is below 0). Pass: the whole 95 % interval lies within what may be "
        "lost. Fail: the whole interval lies beyond it. Undecided: neither."
    )
    heads = [head[:1].upper() + head[1:] for head in laid.heads]
    return section("Tolerances", tag("p", note), table("wide", heads, lines, "What became of each tolerance"))


def held_fact(outcome: Outcome) -> tuple[str, str] | None:
    """The verdict on the tolerances, and beneath it how many of which; None without tolerances."""
    if (found := outcome.tolerances) is None:
        return None
    parts = {"failed": found.of("fail"), "undecided": found.of("undecided")}
    said = [f"{word}: {few((one.domain for one in those), len(those))}" for word, those in parts.items() if those]
    return found.verdict, "; ".join([f"{len(found.of('pass'))} of {len(found.held)} passed", *said])


def gate_of(outcome: Outcome, *, seeds: bool = False) -> Gate | None:
    """The verdicts that a pipeline acts on.

    Args:
        outcome: A run's.
        seeds: Whether to judge the planned mixture over all seeds that it was trained with, where it was, rather than
            the one model that the run folder holds.
    """
    own = outcome.tolerances
    arm = outcome.arms.arms.get("plan") if outcome.arms and seeds else None
    several = arm.tolerances if arm and arm.seeds > 1 else None
    return several if several and own and several.asked() == own.asked() else own
