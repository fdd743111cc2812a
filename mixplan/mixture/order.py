"""Selects planned rows from the domains' pools, and orders them in the shuffled mixture."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mixplan.domains import Domain, Row
from mixplan.errors import DataError
from mixplan.saved.own_voice import OwnVoice


@dataclass(frozen=True)
class Selection:
    """The rows one domain gives.

    Attributes:
        domain: The opened domain (or target).
        count: Rows in the mixture, repeats counted.
        usable: Pool positions to take from, in the pool's seeded order.
        answers: The untrained model's answer by pool position; empty unless the rows carry its own answers, or a
            target's its own words.
        empty_answers: Pool rows passed over because that answer had no text.
        cut_answers: Pool positions whose answer the model had not ended where it was cut; usable only where such
            answers are kept.
        voice: What became of a target's answers that the model was to say in its own words; None where it was not
            asked to.
    """

    domain: Domain
    count: int
    usable: Sequence[int]
    answers: Mapping[int, str] = field(default_factory=dict)
    empty_answers: int = 0
    cut_answers: frozenset[int] = frozenset()
    voice: OwnVoice | None = None

    @property
    def passed_over(self) -> int:
        """Pool rows that give nothing because their answer was cut."""
        return len(self.cut_answers - self.answers.keys())

    @property
    def cut_rows(self) -> int:
        """Rows in the mixture, repeats counted, that carry an answer which was cut."""
        if not self.cut_answers:
            return 0
        return sum(self.position(number) in self.cut_answers for number in range(self.count))

    def position(self, number: int) -> int:
        """Pool position of the selection's row `number`; every row is used once before one is used again."""
        return self.usable[number % len(self.usable)]

    def repeat(self, number: int) -> int:
        """How often that pool row was used before: 0 is its first use."""
        return number // len(self.usable)


def take_target(target: Domain, count: int | None) -> tuple[Selection, ...]:
    """Take the target's own rows, each once; of several sources as many of each as the recipe asks for.

    Args:
        target: The opened target.
        count: How many; all of its pool when None. Sources have amounts of their own.

    Raises:
        DataError: a pool is empty, or smaller than what is asked of it.
    """
    if target.sources:
        return tuple(take_source(source) for source in target.sources)
    found = len(target.pool)
    if found == 0:
        raise DataError(
            "mixture: the target has no pool row left once its evaluation rows are held out. Lower "
            "`target.split.evaluation`, or raise `target.data.limit`."
        )
    if count is not None and count > found:
        raise DataError(
            f"mixture.target_rows is {count}, but the target has {found} pool rows. Lower it to {found}, or leave it "
            "out to take them all."
        )
    return (Selection(target, found if count is None else count, range(found)),)


def take_source(source: Domain) -> Selection:
    """Take the rows that the recipe asks of one of a target's several sources, each once.

    Raises:
        DataError: its pool is empty, or smaller than what is asked of it.
    """
    found, wanted = len(source.pool), source.amount
    if found == 0:
        raise DataError(
            f"mixture: {source.name} has no pool row left once the evaluation rows are held out and what other sources "
            f"have is left out. Lower `{source.key}.split.evaluation`, raise `{source.key}.data.limit`, or remove "
            f"`{source.key}`."
        )
    if wanted > found:
        raise DataError(
            f"{source.key}.rows is {wanted}, but {source.name} has {found} pool rows. Lower it to {found}, or leave it "
            "out to take them all."
        )
    return Selection(source, wanted, range(found))


def take_domain(domain: Domain, count: int, *, max_repeats: int) -> Selection:
    """Take a domain's planned rows from its pool, in the pool's order.

    Raises:
        DataError: the pool, with repeats, is too small.
    """
    found = len(domain.pool)
    if count > found * max_repeats:
        raise DataError(
            f"mixture: domain '{domain.name}' is planned {count} rows, but its {found} pool rows, each used at most "
            f"{max_repeats} {times(max_repeats)}, give {found * max_repeats}. "
            f"{remedy(domain.name, count, found, max_repeats)}"
        )
    return Selection(domain, count, range(found))


def times(count: int) -> str:
    """The word that follows a number of uses."""
    return "time" if count == 1 else "times"


def remedy(name: str, count: int, found: int, max_repeats: int) -> str:
    """The smallest changes that make `count` rows fit."""
    if found == 0:
        return f"Lower `domains.{name}.split`, or cap it with `allocate.caps.{name}: 0`."
    return (
        f"Cap it with `allocate.caps.{name}: {found * max_repeats}`, or allow repeats with "
        f"`budget.max_repeats: {-(-count // found)}`."
    )


def shuffled(selections: Sequence[Selection], seed: int) -> NDArray[np.int64]:
    """Order all rows by a hash of seed, domain, row and repeat.

    Such an order needs 16 bytes a row however long the rows are, is the same on every machine and library version, and
    keeps the rows that two mixtures share in the same order in both.

    Returns:
        `[rows]` int64, numbers counted through the selections one after another.
    """
    total = sum(selection.count for selection in selections)
    keys = np.fromiter(order_keys(selections, seed), dtype=np.uint64, count=total)
    return np.argsort(keys, kind="stable").astype(np.int64, copy=False)


def order_keys(selections: Sequence[Selection], seed: int) -> Iterator[int]:
    """The 64-bit hash that places each row, in the selections' order."""
    for selection in selections:
        start = hashlib.blake2b(f"{seed}\0{selection.domain.name}\0".encode(), digest_size=8)
        for number in range(selection.count):
            row = selection.domain.pool[selection.position(number)]
            digest = start.copy()
            digest.update(f"{row.id}\0{selection.repeat(number)}".encode())
            yield int.from_bytes(digest.digest(), "little")


def walk(selections: Sequence[Selection], order: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield (selection's index, row number within it) in the mixture's order."""
    ends = np.cumsum([selection.count for selection in selections])
    for start in range(0, len(order), 65_536):
        piece = order[start : start + 65_536]
        owners = np.searchsorted(ends, piece, side="right")
        first = np.where(owners > 0, ends[owners - 1], 0)
        yield from zip(owners.tolist(), (piece - first).tolist(), strict=True)


def held_out(domains: Sequence[Domain]) -> dict[str, str]:
    """Content keys of every evaluation row, with the name of the domain it evaluates."""
    return {row.key: domain.name for domain in domains for row in domain.evaluation}


def refuse_held_out(row: Row, domain: str, keys: Mapping[str, str]) -> None:
    """Stop before an evaluation row is trained on.

    Raises:
        DataError: the row's content is in some domain's evaluation.
    """
    if row.key in keys:
        raise DataError(
            f"mixture: row {row.id} of '{domain}' has the same content as an evaluation row of '{keys[row.key]}', "
            "so training on it would spoil the measurement. Nothing was written. Remove it from one of the two."
        )
