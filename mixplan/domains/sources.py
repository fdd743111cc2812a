"""Reads the rows of a data spec: filtered, at most `limit` by a seeded draw, never all in memory at once."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mixplan.domains.fields import MISSING, column_of, lookup, missing_column
from mixplan.domains.functions import open_functions
from mixplan.domains.generator import Generator, open_generator
from mixplan.domains.hub import open_hub
from mixplan.domains.locate import file_pattern, locate, python_files
from mixplan.domains.record import Values
from mixplan.domains.tables import Table, open_parquet, open_saved
from mixplan.domains.textfiles import TextFile, open_text
from mixplan.errors import DataError
from mixplan.recipe import DataSpec
from mixplan.recipe.suggest import did_you_mean

Source = TextFile | Table | Generator


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a source.

    Attributes:
        id: The split's, file's or generator's name and the row's index from 0: `test:17`.
        place: The row as messages name it: `data/law.jsonl, line 18`.
        values: By column; none where the row cannot be read.
        fault: Why it cannot.
    """

    id: str
    place: str
    values: Values
    fault: DataError | None = None


def open_source(spec: DataSpec, *, folder: Path, seed: int) -> Source:
    """Open a source without reading its rows.

    Args:
        spec: Which.
        folder: What a relative `file` is relative to.
        seed: Of a generator's entries.

    Raises:
        DataError: it is not there, cannot be read, or names something unknown.
    """
    if spec.hub:
        return open_hub(spec)
    if spec.generator:
        return open_generator(spec, seed)
    path = locate(spec, folder)
    if python_files(spec):
        return open_functions(path, file_pattern(spec))
    if path.is_dir():
        return open_saved(path)
    return open_parquet(path) if path.suffix.lower() == ".parquet" else open_text(path)


def draw(
    source: Source,
    spec: DataSpec,
    *,
    seed: int,
    columns: Collection[str] | None = None,
    shown: Collection[str] = (),
    count: Callable[[int], None] | None = None,
) -> Iterator[Record]:
    """Read the rows that pass `where`, at most `limit` of them, in the source's order.

    Two passes: the first notes which rows pass and draws among them by hash, the second decodes the drawn ones. Rows of
    text files are drawn by their content, so that their order in the file does not matter; rows of tables by their
    position, so that a table's texts are read for the drawn rows alone.

    Args:
        source: An opened source.
        spec: The spec it was opened from.
        seed: Of the draw.
        columns: Columns that will be read; all of them when not given.
        shown: A table's columns of which only it is read whether a row holds anything in them.
        count: Told how many rows pass `where`, of which `limit` are drawn.

    Raises:
        DataError: a column is missing, a row is damaged, or no row passes.
    """
    if isinstance(source, Table):
        for name in (*(columns or ()), *spec.where):
            if column_of(name, source.columns) not in source.columns:
                raise missing_column(name, source.columns, source.place)
    chosen, passed = _drawn(source, spec, seed)
    if count is not None:
        count(passed)
    if isinstance(source, TextFile):
        for index, (number, content) in enumerate(source.raw_rows()):
            if index in chosen:
                place = f"{source.place}, {source.unit} {number}"
                yield _record(f"{source.name}:{index}", place, _read(source, number, content))
        return
    if isinstance(source, Table):
        names = source.columns if columns is None else {column_of(name, source.columns) for name in columns}
        rows = source.rows(sorted({*names} - {*shown}), chosen, shown=sorted(shown))
    else:
        rows = ((index, values) for index, values in source.rows() if index in chosen)
    for index, values in rows:
        yield _record(f"{source.name}:{index}", f"{source.place}, row {index + 1}", values)


def read_records(
    spec: DataSpec, *, folder: Path, seed: int, columns: Collection[str] | None = None
) -> Iterator[Values]:
    """Open a source and read its rows' values by column; see `open_source` and `draw`."""
    for record in draw(open_source(spec, folder=folder, seed=seed), spec, seed=seed, columns=columns):
        if record.fault is not None:
            raise record.fault
        yield record.values


def count_rows(spec: DataSpec, folder: Path) -> int | None:
    """Count a local source's rows: those that pass `where`, at most `limit`.

    A Parquet file or saved data set is counted from its own figures, a text file by its lines, unless `where` asks for
    its columns; a generator makes as many as `limit` says.

    Returns:
        The count, or None for a hub data set, which may need a download.

    Raises:
        DataError: the source cannot be opened or read, or no row passes.
    """
    if spec.hub:
        return None
    source = open_source(spec, folder=folder, seed=0)
    if spec.where:
        return min(spec.limit, sum(1 for _ in _passing(source, spec.where)))
    if isinstance(source, TextFile):
        return min(spec.limit, sum(1 for _ in source.raw_rows()))
    return min(spec.limit, source.count)


def _drawn(source: Source, spec: DataSpec, seed: int) -> tuple[Collection[int], int]:
    """Indices of the rows to read, and how many they were drawn from."""
    if not isinstance(source, TextFile) and not spec.where and 0 < source.count <= spec.limit:
        return range(source.count), source.count
    passed = 0

    def counted() -> Iterator[tuple[int, bytes | None]]:
        nonlocal passed
        for row in _passing(source, spec.where):
            passed += 1
            yield row

    if isinstance(source, TextFile):
        chosen = _drawn_by_content(counted(), spec.limit, seed)
    else:
        chosen = _drawn_by_position((index for index, _ in counted()), spec.limit, seed)
    if not chosen:
        raise DataError(f"{source.place}: has no rows. Give a source with rows.")
    return chosen, passed


def _drawn_by_content(rows: Iterable[tuple[int, bytes | None]], limit: int, seed: int) -> set[int]:
    """Indices of the rows whose content has the smallest hashes."""
    keyed = hashlib.blake2b(key=seed.to_bytes(8, "little"), digest_size=8)

    def rank(content: bytes | None) -> bytes:
        state = keyed.copy()
        state.update(content or b"")
        return state.digest()

    return {index for _, index in heapq.nsmallest(limit, ((rank(content), index) for index, content in rows))}


def _drawn_by_position(indices: Iterable[int], limit: int, seed: int) -> set[int]:
    """Indices with the smallest hashes, taken block by block; the hash is SplitMix64's finaliser, which has no ties."""
    kept = np.empty(0, np.uint64)
    start = np.uint64(int.from_bytes(hashlib.blake2b(seed.to_bytes(8, "little"), digest_size=8).digest(), "little"))
    indices = iter(indices)
    while (block := np.fromiter(itertools.islice(indices, 2**20), np.uint64)).size:
        kept = np.concatenate([kept, block])
        if kept.size > limit:
            mixed = kept + start
            for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
                mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
            kept = kept[np.argpartition(mixed ^ (mixed >> np.uint64(31)), limit)[:limit]]
    return {int(index) for index in kept}


def _passing(source: Source, where: Mapping[str, Any]) -> Iterator[tuple[int, bytes | None]]:
    """Index, and content where it is at hand, of each row that passes `where` or cannot be read.

    Raises:
        DataError: there are rows that can be read, but none passes.
    """
    if isinstance(source, Table) and not where:
        yield from ((index, None) for index in range(source.count))
        return
    test = Filter(where, text_cells=isinstance(source, TextFile) and source.text_cells)
    rows, passed = 0, 0
    for index, content, values in _tested(source, where):
        good = values is None or test.passes(values)
        rows, passed = rows + (values is not None), passed + (values is not None and good)
        if good:
            yield index, content
    if where and rows and not passed:
        raise test.nothing_passed(source.place)


def _tested(source: Source, where: Mapping[str, Any]) -> Iterator[tuple[int, bytes | None, Mapping[str, Any] | None]]:
    """Index, content where it is at hand, and what `where` asks of each row; None where there is nothing to ask."""
    if isinstance(source, TextFile):
        for index, (number, content) in enumerate(source.raw_rows()):
            read = _read(source, number, content) if where else None
            kept = None if isinstance(content, DataError) else content
            yield index, kept, None if isinstance(read, DataError) else read
        return
    names = sorted({column_of(name, source.columns) for name in where}) if isinstance(source, Table) else []
    for index, values in source.rows(names) if isinstance(source, Table) else source.rows():
        yield index, None, values if where and not isinstance(values, DataError) else None


def _read(source: TextFile, number: int, content: bytes | DataError) -> Values | DataError:
    """A row's values, or why it cannot be read."""
    try:
        return source.decode(number, content)
    except DataError as fault:
        return fault


def _record(name: str, place: str, values: Values | DataError) -> Record:
    return Record(name, place, {}, values) if isinstance(values, DataError) else Record(name, place, values)


@dataclass
class Filter:
    """A spec's `where`, and what it met, so that a filter that nothing passes can say why.

    Attributes:
        where: Wanted value, or list of wanted values, by column.
        text_cells: All cells are text (CSV), so wanted values are compared as text.
        seen: Up to 20 values met, by wanted column.
        columns: Columns met.
    """

    where: Mapping[str, Any]
    text_cells: bool
    seen: dict[str, dict[str, None]] = field(default_factory=dict)
    columns: dict[str, None] = field(default_factory=dict)

    def passes(self, values: Mapping[str, Any]) -> bool:
        """Whether every wanted column holds a wanted value."""
        good = True
        for name, wanted in self.where.items():
            found = lookup(values, name)
            if found is MISSING:
                self.columns.update(dict.fromkeys(values))
                return False
            met = self.seen.setdefault(name, {})
            if len(met) < 20:
                met[_shown(found)] = None
            options = wanted if isinstance(wanted, list) else [wanted]
            good = good and any(self._equal(found, option) for option in options)
        return good

    def _equal(self, found: Any, wanted: Any) -> bool:
        if self.text_cells:
            return bool(found == (wanted if isinstance(wanted, str) else json.dumps(wanted)))
        # In Python True == 1; in data they are two things.
        return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)

    def nothing_passed(self, place: str) -> DataError:
        """The error when no row passes: a missing column, or values that never occur."""
        for name, wanted in self.where.items():
            if name not in self.seen:
                return missing_column(name, self.columns, f"{place}: where")
            options = [_shown(option) for option in (wanted if isinstance(wanted, list) else [wanted])]
            met = list(self.seen[name])
            if not set(options) & set(met):
                listed = ", ".join(met[:10]) + (", ..." if len(met) > 10 else "")
                guess = did_you_mean(options[0], met) if isinstance(wanted, str) else ""
                guess = guess if guess.startswith(" Did you mean") else ""
                return DataError(
                    f"{place}: no row has {name} = {' or '.join(options)}; the column holds {listed}.{guess}"
                )
        return DataError(f"{place}: no row passes all of `where` at once ({', '.join(self.where)}). Drop one of them.")


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
