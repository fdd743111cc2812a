"""Chooses how many evaluation rows are measured, so that a training pays for reading them before and while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mixplan.monitor.rows import Asked, Place

WANTED = 4
"""Measures in a training for which rows are given up."""
FIRST_BY = 3
"""The first of them is to be made in this part of what a training has for measuring: a third."""
FEWEST = 1
"""Rows of a part that are always taken."""


@dataclass(frozen=True)
class Rates:
    """How long the untrained model's reading has taken; each is of the process that took longest.

    Attributes:
        answering: Seconds of answering for each token that a measure reads.
        reading: Seconds of a measure for each.
        opening: Seconds that bringing its weights back and forth takes.
    """

    answering: float
    reading: float
    opening: float

    def beginning(self, tokens: int) -> float:
        """Seconds that reading the untrained model takes on rows of so many tokens."""
        return self.opening + (self.answering + self.reading) * tokens if tokens else 0.0

    def measure(self, tokens: int) -> float:
        """Seconds that a measure takes."""
        return self.reading * tokens


def order(asked: Mapping[str, Asked]) -> list[Place]:
    """All rows in the order in which they are taken: the first ones of each part, then the parts by their sizes."""
    places = []
    for number, (name, part) in enumerate(asked.items()):
        for at, row in enumerate(part.rows):
            last = at >= FEWEST
            places.append(((last, at / len(part.rows) if last else at, number), (name, row)))
    return [place for _, place in sorted(places)]


def fewest(asked: Mapping[str, Asked]) -> int:
    """The rows below which nothing is measured."""
    return sum(min(FEWEST, len(part.rows)) for part in asked.values())


def only(asked: Mapping[str, Asked], places: Sequence[Place]) -> dict[str, Asked]:
    """All parts with some of their rows alone."""
    return {name: part.only({row for own, row in places if own == name}) for name, part in asked.items()}


def affordable(tokens: Sequence[int], least: int, read: int, rates: Rates, room: float) -> int:
    """How many rows leave a training room for `WANTED` measures, the first of them early; 0 where none has any.

    Args:
        tokens: What a measure reads of each row, in the order in which rows are taken.
        least: The rows below which nothing is measured: so many, as long as one measure can be made.
        read: Rows that the untrained model has been read on already.
        rates: How long that took.
        room: Seconds that the whole training has for what is yet to be done.
    """

    def seconds(count: int) -> tuple[float, float]:
        more = rates.beginning(sum(tokens[read:count])) if count > read else 0.0
        return more, rates.measure(sum(tokens[:count]))

    for count in range(len(tokens), least, -1):
        more, measure = seconds(count)
        if more + WANTED * measure <= room and FIRST_BY * (more + measure) <= room:
            return count
    return least if sum(seconds(least)) <= room else 0


def said_rows(asked: Mapping[str, Asked], whole: Mapping[str, Asked]) -> str:
    """How many rows are measured of how many, such as `2 to 4 of 8 to 24`."""
    return " of ".join(span({len(part.rows) for part in one.values()}) for one in (asked, whole))


def span(counts: set[int]) -> str:
    """Counts from the least to the most."""
    return str(min(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
