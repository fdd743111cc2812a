"""Picks the evaluation rows whose answers training changed most, for a person to read beside each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher

from mixplan.domains import Row
from mixplan.domains.choice import LETTERS
from mixplan.saved.evaluation import Evaluation, Measured
from mixplan.saved.outcome import Answered, Outcome

SHOWN = 3
"""Rows of a domain."""
DOMAINS = 100
"""Domains with examples, those of a source of the target first and then those that changed most."""
LONGEST = 600
"""Characters of a text that are kept: its beginning and its end."""
BEHIND = {"exact": "score", "choice": "gold_probability"}
"""Measures with answers, and the quantity by which a row's answer changed much."""
FREE = "bits_per_byte"
"""What a row of free text is chosen by; the two models answer it for its example alone."""

Pair = tuple[float, float]
"""A row's value before and after."""

Write = Callable[[str, Sequence[Row]], tuple[Mapping[str, str], Mapping[str, str]]]
"""Has the untrained and the trained model answer rows of a domain: two times texts by row id."""


def with_examples(
    outcome: Outcome, rows: Mapping[str, Sequence[Row]], before: Evaluation, after: Evaluation, write: Write
) -> Outcome:
    """An outcome with the rows whose answers changed most, three a domain.

    Args:
        outcome: Without them.
        rows: Evaluation rows by name, the target's (or each source's of it, `target.NAME`) among them.
        before: The untrained model's evaluation.
        after: The trained model's, on the same items.
        write: Answers rows where no measure did.
    """
    found = {
        name: examples
        for name in first_names(outcome, rows)
        if (examples := examples_of(name, rows[name], before.domains[name], after.domains[name], write))
    }
    if not found:
        return outcome
    parts: dict[str, object] = {
        "sources": {
            name: one.model_copy(update={"examples": found[f"target.{name}"]}) if f"target.{name}" in found else one
            for name, one in outcome.sources.items()
        },
        "domains": {
            name: one.model_copy(update={"examples": found[name]}) if name in found else one
            for name, one in outcome.domains.items()
        },
    }
    if not outcome.sources:
        del parts["sources"]
        if "target" in found:
            parts["target"] = outcome.target.model_copy(update={"examples": found["target"]})
    return outcome.model_copy(update=parts)


def first_names(outcome: Outcome, rows: Mapping[str, Sequence[Row]]) -> list[str]:
    """Which parts have examples: the target or its sources, then the domains whose headline changed most."""
    sizes = {name: abs(one.change.change) for name, one in outcome.domains.items() if one.change}
    taught = ["target", *(f"target.{name}" for name in outcome.sources)] if outcome.sources else ["target"]
    order = [*taught, *sorted(sizes, key=lambda name: (-sizes[name], name))]
    measured = {**outcome.taught(), **outcome.domains}
    return [name for name in order if name in rows and name in measured and measured[name].measures][:DOMAINS]


def examples_of(
    name: str, rows: Sequence[Row], before: Mapping[str, Measured], after: Mapping[str, Measured], write: Write
) -> list[Answered]:
    """The rows of one part whose answers changed most, most first."""
    known = {row.id: row for row in rows}
    for measure, quantity in BEHIND.items():
        if measure in before and measure in after:
            early, late = before[measure], after[measure]
            pairs = [pair for pair in changed_rows(early, late, quantity) if pair[0] in known][:SHOWN]
            said = graded if measure == "exact" else chosen
            return [said(known[row], values, texts_of(early, row), texts_of(late, row)) for row, values in pairs]
    if "likelihood" not in before or "likelihood" not in after:
        return []
    pairs = [pair for pair in changed_rows(before["likelihood"], after["likelihood"], FREE) if pair[0] in known][:SHOWN]
    own, trained = write(name, [known[row] for row, _ in pairs])
    return [
        answered(known[row], FREE, values, (own[row], trained[row]))
        for row, values in pairs
        if row in own and row in trained
    ]


def changed_rows(before: Measured, after: Measured, quantity: str) -> list[tuple[str, Pair]]:
    """Rows by how much a quantity changed, most first; equal ones by how much the answers' words did.

    Returns:
        Row ids with the values before and after, of rows in which something changed.
    """
    late = dict(zip(after.rows, after.values.get(quantity, ()), strict=False))
    early = dict(zip(before.rows, before.values.get(quantity, ()), strict=False))
    found = {row: (value, late[row]) for row, value in early.items() if row in late}
    texts = [dict(zip(one.rows, one.texts.get("answer", ()), strict=False)) for one in (before, after)]

    def size(row: str) -> tuple[float, float]:
        return -abs(found[row][1] - found[row][0]), likeness(texts[0].get(row, ""), texts[1].get(row, ""))

    sizes = {row: size(row) for row in found}
    return [(row, found[row]) for row in sorted(found, key=sizes.__getitem__) if sizes[row] < (0.0, 1.0)]


def likeness(one: str, other: str) -> float:
    """How alike two answers' words are, as far as they are shown: 1 where they are the same."""
    if one == other:
        return 1.0
    return min(SequenceMatcher(None, cut(one).split(), cut(other).split(), autojunk=False).ratio(), 1 - 1e-9)


def texts_of(measured: Measured, row: str) -> dict[str, str]:
    """One row's texts by name."""
    place = measured.rows.index(row)
    return {name: texts[place] for name, texts in measured.texts.items()}


def graded(row: Row, values: Pair, before: Mapping[str, str], after: Mapping[str, str]) -> Answered:
    """A row whose generated answers were graded."""
    grades = (before["outcome"], after["outcome"]) if "outcome" in before and "outcome" in after else None
    return answered(row, BEHIND["exact"], values, (before.get("answer", ""), after.get("answer", "")), grades)


def chosen(row: Row, values: Pair, before: Mapping[str, str], after: Mapping[str, str]) -> Answered:
    """A row whose options were scored: the option that each model found likeliest."""
    picks = (before["chosen"], after["chosen"])
    right = LETTERS[row.gold] if row.gold is not None else ""
    grades = ("right" if picks[0] == right else "wrong", "right" if picks[1] == right else "wrong")
    return answered(row, BEHIND["choice"], values, (option(row, picks[0]), option(row, picks[1])), grades)


def option(row: Row, letter: str) -> str:
    """An option as its letter and its text."""
    place = LETTERS.index(letter)
    return f"{letter}. {row.options[place]}" if place < len(row.options) else letter


def answered(
    row: Row, quantity: str, values: Pair, answers: tuple[str, str], grades: tuple[str, str] | None = None
) -> Answered:
    """One row with both answers, its texts cut."""
    made = Answered(
        row=row.id,
        question=cut(row.prompt[-1][1] if row.prompt else ""),
        reference=cut(row.answer),
        before=cut(answers[0]),
        after=cut(answers[1]),
        quantity=quantity,
        measured=values,
    )
    return made.model_copy(update={"graded": grades}) if grades else made


def cut(text: str) -> str:
    """A text, or the beginning and the end of a long one with how many characters stood between them."""
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]} … ({len(text) - 2 * half:,} characters left out) … {text[-half:]}"
