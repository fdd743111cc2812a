"""Finds the rows that share a passage, so that they fall on one side of the evaluation split."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from mixplan.domains.duplicates import normalised
from mixplan.domains.fields import MISSING, Template, lookup
from mixplan.domains.rows import CONVERSATION, Row
from mixplan.recipe import DomainSpec

LONG_CHARACTERS = 60
"""A shared text shorter than this is a stock question rather than a passage, unless the recipe names its column."""

INSTRUCTION_SHARE = 0.5
"""A text that more than this share of the rows have is an instruction, which tells no row from another, unless the
recipe names its column."""


@dataclass
class Passages:
    """The texts that rows were made from, by column, as far as they may be passages.

    Attributes:
        names: Columns that may hold a passage.
        named: The recipe says what keeps rows together: the first of the columns in which a row has a text.
        texts: By row id, the length in characters and the hash of each column's text.
    """

    names: tuple[str, ...]
    named: bool
    texts: dict[str, tuple[tuple[int, str], ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: DomainSpec) -> Passages:
        """What may be a passage: the column of `group`, or those beside others in the template of the question.

        Where each answer of a conversation is a row, the conversation is what its rows share, too.
        """
        said = [spec.group] if isinstance(spec.group, str) else []
        if spec.turns == "all":
            said.append(CONVERSATION)
        if said:
            return cls(tuple(said), named=True)
        template = spec.columns.question or spec.columns.prompt
        names = Template.parse(template).names if template and spec.group and spec.data.generator is None else ()
        return cls(names if len(names) > 1 else (), named=False)

    def note(self, row: str, values: Mapping[str, Any]) -> None:
        """Note a row's texts, by its id and its values by column."""
        if self.names:
            self.texts[row] = tuple(_text(lookup(values, name)) for name in self.names)

    def groups(self, rows: Collection[str]) -> Groups:
        """Tell which rows, by their ids, share a passage: a text of the longest column that has shared texts.

        What the recipe names is shared however many rows have it, and however short it is.
        """
        if self.named:
            found = {row: next((key for _, key in self.texts[row] if key), "") for row in rows if row in self.texts}
            several = any(count > 1 for key, count in Counter(found.values()).items() if key)
            return Groups(self.names[0], {row: key for row, key in found.items() if key}) if several else Groups()
        columns = [[self.texts[row][column] for row in rows if row in self.texts] for column in range(len(self.names))]
        if not columns or not columns[0]:
            return Groups()
        longest = max(range(len(columns)), key=lambda column: median(length for length, _ in columns[column]))
        counts = Counter(key for _, key in columns[longest] if key)
        shared = [length for length, key in columns[longest] if counts[key] > 1]
        if not shared or max(counts.values()) > INSTRUCTION_SHARE * len(rows) or median(shared) < LONG_CHARACTERS:
            return Groups()
        keys = {row: self.texts[row][longest][1] for row in rows if row in self.texts}
        return Groups(self.names[longest], {row: key for row, key in keys.items() if key})


@dataclass(frozen=True)
class Groups:
    """Which rows share a passage.

    Attributes:
        column: Where the passages stand; None where no row shares one.
        keys: A passage's hash by row id; rows without a passage have none.
    """

    column: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict)

    def draw(self, rows: Sequence[Row], count: int, seed: int, *, fill: bool) -> list[Row]:
        """Draw rows, with all that share a passage with one of them.

        Passages are taken in the order of a hash, so that each row is as likely to be drawn, whatever its passage; one
        with more rows than are still missing is passed over. Where that makes less than half of the rows, the largest
        that fit come first.

        Args:
            rows: In seeded order.
            count: How many.
            seed: Of the draw.
            fill: Draw rows by themselves where whole passages leave some missing; this is done at any rate where they
                make less than half of the rows.

        Returns:
            At most `count` rows, in their order.
        """
        if self.column is None or len(rows) <= count:
            return list(rows[:count])
        together = self._together(rows)
        order = sorted(together, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
        taken = _whole([together[key] for key in order], count)
        if 2 * len(taken) < count:
            taken = _whole(sorted((together[key] for key in order), key=len, reverse=True), count)
        if fill or 2 * len(taken) < count:
            others = (place for place in range(len(rows)) if place not in taken)
            taken.update(list(itertools.islice(others, count - len(taken))))
        return [rows[place] for place in sorted(taken)]

    def unparted(self, rows: Sequence[Row], count: int) -> int:
        """For how many rows `draw` parts no passage: as many of `count` as may be, else the fewest; 0 for one passage.

        Args:
            rows: All rows.
            count: How many are wanted.
        """
        together = sorted(self._together(rows).values(), key=len, reverse=True)
        if len(together) < 2:
            return 0
        return len(_whole(together, count)) or len(together[-1])

    def _together(self, rows: Sequence[Row]) -> dict[str, list[int]]:
        """The places of rows that share a passage, by its hash; of a row without one by the row's."""
        together: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            together.setdefault(self.keys.get(row.id, row.key), []).append(place)
        return together

    def of(self, rows: Sequence[Row]) -> set[str]:
        """The passages of some rows."""
        return {self.keys[row.id] for row in rows if row.id in self.keys}


def _whole(groups: Iterable[list[int]], count: int) -> set[int]:
    """All of each group in turn that still fits among `count`."""
    taken: set[int] = set()
    for group in groups:
        if len(taken) + len(group) <= count:
            taken.update(group)
    return taken


def _text(value: Any) -> tuple[int, str]:
    """Length and hash of a cell; no hash where it is empty."""
    if value is MISSING or value is None or value == "":
        return 0, ""
    text = normalised(value) if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return len(text), hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
