"""Finds the tokens of a domain that fire its drift dimensions most, and shows them in context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mixplan.features.queries import Ids, Unit
from mixplan.features.statistics import EXAMPLES, Statistics
from mixplan.model import Model

BEFORE, AFTER = 12, 6
"""Tokens shown on either side."""


@dataclass(frozen=True)
class Example:
    """A token that fires a feature, with its surroundings.

    Attributes:
        before: Text in front of it, from the question alone.
        token: The token's text.
        after: Text behind it.
        activation: Feature activation, in SAE units.
    """

    before: str
    token: str
    after: str
    activation: float


def examples_of(model: Model, units: Sequence[Unit], statistics: Sequence[Statistics], column: int) -> list[Example]:
    """Tokens that fire one drift dimension most, over a domain's units.

    Args:
        model: For its tokenizer.
        units: The domain's units.
        statistics: Theirs, in the same order.
        column: Which drift dimension, by its position among them.

    Returns:
        At most three, largest activation first; fewer where fewer tokens fire it.
    """
    found = [
        (float(value), number, int(query), int(offset))
        for number, part in enumerate(statistics)
        for value, (query, offset) in zip(part.example_values[column], part.example_places[column], strict=True)
        if query >= 0
    ]
    found.sort(key=lambda entry: (-entry[0], entry[1:]))
    return [show(model, units[number], query, offset, value) for value, number, query, offset in found[:EXAMPLES]]


def add_strongest(
    strongest: dict[int, tuple[str, Example]],
    model: Model,
    domain: str,
    units: Sequence[Unit],
    statistics: Sequence[Statistics],
) -> None:
    """Note for each drift dimension a domain's strongest example, where no domain before had a stronger one.

    Args:
        strongest: By drift dimension (its position among them), the domain and the example; added to.
        model: For its tokenizer.
        domain: Name of the domain.
        units: Its units.
        statistics: Theirs, in the same order.
    """
    columns = max((len(part.example_values) for part in statistics), default=0)
    for column in range(columns):
        peaks = [
            float(value)
            for part in statistics
            for value, (query, _) in zip(part.example_values[column], part.example_places[column], strict=True)
            if query >= 0
        ]
        known = strongest.get(column)
        if peaks and (known is None or max(peaks) > known[1].activation):
            strongest[column] = domain, examples_of(model, units, statistics, column)[0]


def show(model: Model, unit: Unit, position: int, offset: int, activation: float) -> Example:
    """One query token with its surroundings, decoded."""
    query = unit.queries[position]
    start = len(query.alone) - query.count
    place = start + offset
    return Example(
        before=text_of(model, query.alone[max(start, place - BEFORE) : place]),
        token=text_of(model, query.alone[place : place + 1]),
        after=text_of(model, query.alone[place + 1 : place + 1 + AFTER]),
        activation=activation,
    )


def text_of(model: Model, ids: Ids) -> str:
    """Tokens as text."""
    return str(model.tokenizer.decode(list(ids)))
