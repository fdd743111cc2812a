"""Opens an outcome's page: what became of the target and of the domains, what was trained, and how to repeat it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from mixplan.outcome.units import counted
from mixplan.report.markup import Html, tag
from mixplan.report.measures import quantity
from mixplan.report.sentences import duration, model_named, summary
from mixplan.report.tables import breakable
from mixplan.report.text_tables import lost_first
from mixplan.report.tolerances import held_fact
from mixplan.report.verdict import made_of, small
from mixplan.saved.outcome import Measured, Outcome
from mixplan.saved.plan import Plan

LEADING = 2
"""Sentences of an outcome's summary that open its page: what became of the target and of the domains.

One more stands between them where the target has several sources."""
NAMED = 3
"""Domains named in a fact."""


def top(plan: Plan, outcome: Outcome) -> Html:
    """Draw the page's header: the verdict, four facts, then what was trained and how to repeat it.

    Args:
        plan: The saved plan.
        outcome: The saved outcome.
    """
    facts = [
        tag("div", tag("dt", name), tag("dd", tag("b", *breakable(value)), small(rest)))
        for name, value, rest in strip(plan, outcome)
    ]
    again = tag("code", repeated(outcome))
    return tag(
        "header",
        tag("p", "Outcome", class_="kicker"),
        tag("h1", plan.name),
        *(tag("p", sentence, class_="lead") for sentence in leading(outcome)),
        tag("dl", *facts, class_="facts"),
        tag("p", made_of(plan, outcome.created), class_="quiet"),
        tag("p", "To repeat it, in this folder: ", again, class_="quiet"),
    )


def repeated(outcome: Outcome) -> str:
    """The command that makes the outcome again."""
    if (model := outcome.elsewhere) is None:
        return "mixplan train recipe.yaml --run NEW_FOLDER"
    if (harness := model.harness) is not None:
        given = {"--before": harness.before, "--after": harness.after, "--label": model.label or ""}
        words = [word for pair in given.items() for word in pair]
        words += [word for text in harness.asked for word in ("--tasks", text)]
        return shlex.join(["mixplan", "eval", ".", *words])
    if model.label is None:
        return "mixplan eval ."
    return f"mixplan eval . --model {shlex.quote(model.model)} --label {model.label}"


def leading(outcome: Outcome) -> list[str]:
    """The sentences of an outcome's summary on the target and on the domains."""
    return summary(outcome)[: LEADING + bool(outcome.sources)]


def further(outcome: Outcome) -> list[str]:
    """The sentences of an outcome's summary behind those."""
    return summary(outcome)[LEADING + bool(outcome.sources) :]


def strip(plan: Plan, outcome: Outcome) -> Iterator[tuple[str, str, str]]:
    """The facts that a reader asks for first: gain, losses, whether it was forecast, and what was trained.

    The verdict on tolerances stands before them where there are any.

    Yields:
        A name, its value, and what is said beneath it.
    """
    if (held := held_fact(outcome)) is not None:
        yield "Tolerances", *held
    yield "Target", *_target(outcome.target)
    measured = [name for name in lost_first(plan, outcome) if outcome.domains[name].change]
    lost = [name for name in measured if _direction(outcome.domains[name]) == "loss"]
    gained = sum(_direction(outcome.domains[name]) == "gain" for name in measured)
    beneath = "; ".join(_listed(lost, outcome)) if lost else "none beyond noise"
    yield "Domains that lost", f"{len(lost)} of {len(measured)}", f"{beneath}; {gained} gained"
    checked = [name for name, one in outcome.domains.items() if one.outside_forecast is not None]
    missed = outcome.outside()
    if checked:
        others = f" and {len(missed) - NAMED} more" if len(missed) > NAMED else ""
        beneath = f"outside: {', '.join(missed[:NAMED])}{others}" if missed else "all within their forecast"
        yield "Within the forecast", f"{len(checked) - len(missed)} of {len(checked)}", beneath
    else:
        yield "Within the forecast", "not checked", "the plan had no unit, and the domains share none"
    if (job := outcome.training) is not None:
        yield "Trained", counted(job.steps, "step"), f"{job.method.upper()}, {duration(job.seconds)}"
    else:
        harness = outcome.elsewhere.harness if outcome.elsewhere else None
        by = f", measured by {harness.name}" if harness else ""
        yield "Trained", "without mixplan", f"{model_named(outcome)}{by}; what its trainer read is not known"


def _direction(measured: Measured) -> str | None:
    return measured.change.direction if measured.change else None


def _target(measured: Measured) -> tuple[str, str]:
    change, unit = measured.change, quantity(measured.quantity)
    if change is None:
        return "not measured", "as a whole; see its sources or the warnings"
    clear = "" if change.changed else "; no clear change"
    ends = f"95 % interval {unit.bounds(change.low, change.high)}"
    return (
        unit.change(change.change),
        f"{unit.subject} {unit.value(change.before)} to {unit.value(change.after)}, {ends}{clear}",
    )


def _listed(lost: list[str], outcome: Outcome) -> list[str]:
    """Name the domains that lost most, each with its change."""
    found = [(name, outcome.domains[name]) for name in lost[:NAMED]]
    said = [f"{name} {quantity(one.quantity).change(one.change.change)}" for name, one in found if one.change]
    return [*said, f"{len(lost) - NAMED} more"] if len(lost) > NAMED else said
