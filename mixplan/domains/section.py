"""Reads the rows that a section of a recipe names, whatever recipe it is in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mixplan.domains.domain import KeyPath
from mixplan.domains.generator import Generator
from mixplan.domains.passages import Passages
from mixplan.domains.rows import Row, RowReader
from mixplan.domains.sources import Source, open_source
from mixplan.errors import DataError
from mixplan.recipe import DomainSpec
from mixplan.runs import content_hash

Where = Callable[[KeyPath], str]

ROW_KEYS = ("data", "demonstrations")
"""The keys of a section under which it names rows."""


@dataclass(frozen=True)
class Section:
    """What a section's rows are, whatever recipe it is in.

    Attributes:
        rows: Unique, in seeded order.
        reader: What read them, with its counts.
        passages: What rows may share.
        passed: Records of `data` that passed its `where`.
        grader: How answers are graded.
        apart: Rows of `demonstrations`, where the section has them.
    """

    rows: list[Row]
    reader: RowReader
    passages: Passages
    passed: int
    grader: str
    apart: list[Row] | None


Already = dict[str, Section]
"""Sections by the hash of what determines their rows."""


def read_section(
    spec: DomainSpec, path: KeyPath, bases: Sequence[str], seed: int, locate: Where, called: str
) -> Section:
    """Read one section's rows.

    Args:
        spec: The section.
        path: Its key in the recipe.
        bases: The folders that a relative `file` of each of `ROW_KEYS` is relative to.
        seed: Of the draw, and of a generator's entries.
        locate: From a key to its place in the recipe, for messages.
        called: What messages call the section.

    Raises:
        DataError: a source or its rows cannot be used.
    """
    with located(locate((*path, "columns")), called):
        passages = Passages.of(spec)
        reader = RowReader(spec, spec.data.generator is not None, beside=passages.names, note=passages.note)

    def rows_of(key: str, base: str) -> tuple[list[Row], Source]:
        data = spec.data if key == "data" else spec.demonstrations or spec.data
        with located(locate((*path, key)), called):
            source = open_source(data, folder=Path(base), seed=seed)
            rows = list(reader.read(source, data, seed))
        kept = unique(rows, seed)
        if len(rows) > len(kept):
            reader.causes.left_out["duplicate"] += len(rows) - len(kept)
        return kept, source

    rows, source = rows_of("data", bases[0])
    passed = reader.passed
    # Demonstrations may have the same ids.
    noted = replace(passages, texts=dict(passages.texts)) if spec.demonstrations else passages
    with located(locate((*path, "grader")), called):
        grader = grader_of(spec, source)
    apart = rows_of("demonstrations", bases[1])[0] if spec.demonstrations else None
    return Section(rows, reader, noted, passed, grader, apart)


@contextmanager
def located(place: str, called: str) -> Iterator[None]:
    """Open a data error's message with the recipe's place and what the section is called."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{place}: {called}: {error}") from error


def grader_of(spec: DomainSpec, source: Source) -> str:
    """How a section's answers are graded.

    Raises:
        DataError: the generator's scorer is asked for and does not accept its own answers.
    """
    scored = spec.grader in ("auto", "generator") and isinstance(source, Generator) and source.scores_saved_entries()
    if spec.grader == "generator" and not scored:
        raise DataError(f"{source.place}: its scorer does not accept its own saved answers. Set `grader` to `exact`.")
    if spec.grader != "auto":
        return spec.grader
    return "choice" if spec.format == "choice" else "generator" if scored else "exact"


def unique(rows: Iterable[Row], seed: int) -> list[Row]:
    """One row a key, the same one whatever order they come in, ordered by the hash of seed and key."""
    kept: dict[str, Row] = {}
    for row in rows:
        other = kept.setdefault(row.key, row)
        if other is not row and content_hash(content(row)) < content_hash(content(other)):
            kept[row.key] = row
    return sorted(kept.values(), key=lambda row: hashlib.sha256(f"{seed}:{row.key}".encode()).digest())


def content(row: Row) -> list[Any]:
    """What a row says, without where it came from."""
    return [row.key, row.prompt, row.answer, row.rationale, row.options, row.gold, row.entry, row.accepted]
