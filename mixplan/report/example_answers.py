"""Renders the page's example answers: rows whose answers training changed most, before and after side by side."""

from __future__ import annotations

from collections.abc import Mapping

from mixplan.outcome.units import counted
from mixplan.report.markup import Html, tag
from mixplan.report.measures import quantity
from mixplan.report.tables import left_out, section
from mixplan.report.text_tables import lost_first
from mixplan.saved.outcome import Answered, Measured, Outcome
from mixplan.saved.plan import Plan

PARTS = 100
"""Domains whose examples are written out, those that come first."""

MARKS = {"right": "gain", "wrong": "loss"}
"""A grade's mark in outcome.css; any other has that of no change."""


def answers(plan: Plan, outcome: Outcome) -> Html | None:
    """Show up to three rows a domain with both models' answers, the target's first and then those that lost.

    Args:
        plan: The saved plan, for the order.
        outcome: The saved outcome; one of an older mixplan has no examples.

    Returns:
        The section Answers before and after; None where there is no example.
    """
    harness = outcome.elsewhere.harness if outcome.elsewhere else None
    named = {**outcome.taught(), **{name: outcome.domains[name] for name in lost_first(plan, outcome)}}
    return answers_of(named, brought=harness is not None)


def answers_of(named: Mapping[str, Measured], *, brought: bool = False) -> Html | None:
    """The section Answers before and after; None where there is no example.

    Args:
        named: What was measured, by name.
        brought: Whether the answers are another harness's, so that none was written for the page.
    """
    found = {name: measured.examples for name, measured in named.items() if measured.examples}
    if not found:
        return None
    note = (
        "The held-out rows whose answers training changed most, up to three a domain, so they are no fair sample: the "
        "changes above are of all rows."
    )
    if not brought and any(example.graded is None for examples in found.values() for example in examples):
        note += " Answers that are not graded were written for this page and are cut short."
    shown = list(found.items())[:PARTS]
    folds = [_fold(name, examples, first=name == shown[0][0]) for name, examples in shown]
    rest = tag("p", left_out(len(found) - PARTS), ".", class_="quiet") if len(found) > PARTS else None
    return section("Answers before and after", tag("p", note), *folds, rest)


def _fold(name: str, examples: list[Answered], *, first: bool) -> Html:
    said = f"{counted(len(examples), 'row')}, {_passages(examples)}"
    summary = tag("summary", tag("b", name), " ", tag("span", said, class_="quiet"))
    return tag("details", summary, *map(_example, examples), open="" if first else None)


def _passages(examples: list[Answered]) -> str:
    """Say how the rows' grades or values went, in the order of the rows."""
    if all(example.graded for example in examples):
        return ", ".join(" to ".join(example.graded) for example in examples if example.graded)
    return quantity(examples[0].quantity).subject


def _example(example: Answered) -> Html:
    unit = quantity(example.quantity)
    values = [unit.value(value) for value in example.measured]
    answered = [
        tag("div", tag("dt", when, _grade(example, place)), tag("dd", _text(text)))
        for place, (when, text) in enumerate((("Before ", example.before), ("After ", example.after)))
    ]
    asked = [
        tag("div", tag("dt", "Question"), tag("dd", _text(example.question)), class_="whole"),
        tag("div", tag("dt", "Reference answer"), tag("dd", _text(example.reference)), class_="whole"),
    ]
    figures = f"{example.row}: {unit.subject} {values[0]} to {values[1]}"
    return tag("div", tag("p", figures, class_="quiet line"), tag("dl", *asked, *answered), class_="answered")


def _grade(example: Answered, place: int) -> Html | None:
    if example.graded is None:
        return None
    grade = example.graded[place]
    return tag("span", tag("i", class_=MARKS.get(grade, "none")), grade, class_="mark")


def _text(text: str) -> Html:
    return tag("bdi", text if text.strip() else "(empty)", class_=None if text.strip() else "quiet")
