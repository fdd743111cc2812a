"""Chooses domains whose rows are answered together: a pass over many rows takes little longer than one over a few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mixplan.domains import Domain, Row

ROWS = 64
"""Rows that are answered together at most: what is lost when an evaluation is stopped among them."""


class Posed(NamedTuple):
    """One domain with the rows that it is measured on."""

    name: str
    domain: Domain
    rows: Sequence[Row]


def runs_of(parts: Sequence[Posed], most: int = ROWS) -> Iterator[list[Posed]]:
    """Cut domains, in their order, into runs of at most so many rows; one with more is a run of its own.

    Runs hang on the domains alone and not on what was answered before, so that an evaluation that goes on where it was
    stopped answers in the same batches as one that was not.
    """
    run: list[Posed] = []
    for part in parts:
        if run and sum(len(one.rows) for one in (*run, part)) > most:
            yield run
            run = []
        run.append(part)
    if run:
        yield run
