"""Counts, batch by batch, which rows the optimiser read and on how many of their tokens loss fell, by domain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object

from mixplan.saved.base_types import JsonObject
from mixplan.saved.outcome import Consumption

IGNORED = -100
"""The label on which no loss falls."""

Piece = tuple[int, int, bool]
"""A mixture row's position, its trainable tokens in a trainer's row, and whether the mixture row begins there."""


@dataclass
class Seen:
    """What the optimiser has read so far, in this process.

    Attributes:
        domains: Domain of each row of the mixture.
        readings: Rows read, each time counted, by domain.
        tokens: Trainable tokens read, each time counted, by domain.
        rows: Positions of the rows read.
    """

    domains: Sequence[str]
    readings: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    rows: set[int] = field(default_factory=set)

    def read(self, pieces: Iterable[Piece]) -> None:
        """Count what one row of the trainer's holds, or one prompt that was answered."""
        for row, tokens, begins in pieces:
            self.tokens[self.domains[row]] += tokens
            if begins:
                self.readings[self.domains[row]] += 1
                self.rows.add(row)

    def resume(self, kept: Mapping[str, Any]) -> None:
        """Count on from what a checkpoint kept."""
        self.readings, self.tokens = Counter(kept["readings"]), Counter(kept["tokens"])
        self.rows = {row for row, bit in enumerate(reversed(f"{int(kept['rows'], 16):b}")) if bit == "1"}

    def together(self) -> Seen:
        """What all processes of the job have read; each of them must ask."""
        if PartialState().num_processes == 1:
            return self
        whole = replace(self, readings=Counter(), tokens=Counter(), rows=set())
        for readings, tokens, rows in gather_object([(self.readings, self.tokens, self.rows)]):
            whole.readings.update(readings)
            whole.tokens.update(tokens)
            whole.rows |= rows
        return whole

    def as_json(self) -> JsonObject:
        """What a checkpoint keeps; the rows as a hexadecimal number with one bit each."""
        bits = sum(1 << row for row in self.rows)
        return {"readings": dict(self.readings), "tokens": dict(self.tokens), "rows": f"{bits:x}"}

    def entries(self, prepared: Mapping[str, Consumption]) -> dict[str, Consumption]:
        """What was prepared of each domain, with what was read of it in the place of what could have been.

        Args:
            prepared: By domain.
        """
        distinct = Counter(self.domains[row] for row in self.rows)
        return {
            name: entry.model_copy(
                update={
                    "rows": self.readings[name],
                    "distinct_rows": distinct[name],
                    "trainable_tokens": self.tokens[name],
                }
            )
            for name, entry in prepared.items()
        }


@dataclass
class Answered(Seen):
    """What GRPO has read: prompts, each of which it answers several times.

    Attributes:
        answers: To each prompt.
    """

    answers: int = 1

    def entries(self, prepared: Mapping[str, Consumption]) -> dict[str, Consumption]:
        """As for `Seen`, with rows counted as prompts: the answers to one may be spread over processes."""
        found = super().entries(prepared)
        return {name: entry.model_copy(update={"rows": entry.rows // self.answers}) for name, entry in found.items()}


def whole_rows(labels: Iterable[Sequence[int]], rows: Iterable[int]) -> list[list[Piece]]:
    """What each row of a trainer's holds where each is one row of the mixture.

    Args:
        labels: The trainer's rows' labels.
        rows: The position in the mixture of each.
    """
    return [[(row, trainable(row_labels), True)] for row_labels, row in zip(labels, rows, strict=True)]


def packed_rows(labels: Iterable[Sequence[int]], origins: Iterable[Sequence[int]]) -> list[list[Piece]]:
    """What each packed row holds.

    Args:
        labels: Each packed row's labels.
        origins: For each of its tokens, the position of its row in the mixture.
    """
    begun: set[int] = set()
    packed = []
    for row_labels, places in zip(labels, origins, strict=True):
        tokens = Counter(dict.fromkeys(places, 0))
        tokens.update(place for place, label in zip(places, row_labels, strict=True) if label != IGNORED)
        packed.append([(place, count, place not in begun) for place, count in tokens.items()])
        begun.update(tokens)
    return packed


def trainable(labels: Iterable[int]) -> int:
    """How many labels loss falls on."""
    return sum(label != IGNORED for label in labels)
