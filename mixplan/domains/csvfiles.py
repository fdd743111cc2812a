"""Reads the rows of files with separated cells: CSV, with commas or semicolons, and TSV."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from mixplan.domains.compressed import kind_of, opened
from mixplan.domains.limits import MAX_ROW_BYTES, not_utf8, too_long
from mixplan.errors import DataError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
QUOTES = 'Quote cells with " and double quotes inside them.'


def separated_rows(path: Path) -> Iterator[tuple[int, bytes | DataError]]:
    """Rows as JSON text, with the number of their last line; in place of a row that cannot be read, why.

    Raises:
        DataError: the header cannot be read, or a quoted cell never ends.
    """
    before = csv.field_size_limit(MAX_ROW_BYTES)
    faults: list[DataError] = []
    try:
        with opened(path) as file:
            lines = _lines(path, file, faults)
            first = next(lines, "")
            separator = separator_of(first, kind_of(path))
            reader = csv.reader(itertools.chain([first], lines), delimiter=separator, strict=True)
            header = _header(path, reader, faults)
            while (row := _next(path, reader, faults, header, SEPARATORS[separator])) is not None:
                if row != b"":
                    yield reader.line_num, row
    finally:
        csv.field_size_limit(before)


def separator_of(header: str, kind: str) -> str:
    """What parts the cells: tabs in TSV, else what gives the header the most columns, commas where that is open."""
    if kind == ".tsv":
        return "\t"
    counts = {separator: len(next(csv.reader([header], delimiter=separator), [])) for separator in SEPARATORS}
    return max(counts, key=counts.__getitem__)


def _header(path: Path, reader: Iterator[list[str]], faults: list[DataError]) -> list[str]:
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise DataError(f"{path}, line 1: not CSV ({error}). {QUOTES}") from error
    if faults:
        raise faults[0]
    if doubled := sorted({name for name in header if header.count(name) > 1}):
        raise DataError(f"{path}: its header names column {doubled[0]!r} twice. Rename one.")
    return header


def _next(
    path: Path, reader: Any, faults: list[DataError], header: list[str], separators: str
) -> bytes | DataError | None:
    """The next row, or why it cannot be read; empty for a blank line, None at the end."""
    try:
        cells = next(reader, None)
    except csv.Error as error:
        place = f"{path}, line {reader.line_num}"
        if "unexpected end of data" in str(error):
            # The quote that was left open has swallowed rows that nobody would miss.
            raise DataError(f"{place}: not CSV ({error}). {QUOTES}") from error
        fault = too_long(place) if "field limit" in str(error) else DataError(f"{place}: not CSV ({error}). {QUOTES}")
        faults.clear()
        return fault
    if faults:
        fault = faults[0]
        faults.clear()
        return fault
    if cells is None:
        return None
    if cells and len(cells) != len(header):
        return DataError(
            f"{path}, line {reader.line_num}: {len(cells)} cells, but the header has {len(header)}. "
            f"Quote cells that hold {separators}."
        )
    return json.dumps(dict(zip(header, cells, strict=True))).encode() if cells else b""


def _lines(path: Path, file: IO[bytes], faults: list[DataError]) -> Iterator[str]:
    """Lines as text, line ends kept, since quoted cells may hold them; what cannot be one is noted among the faults."""
    number = 0
    while line := file.readline(MAX_ROW_BYTES + 1):
        number += 1
        place = f"{path}, line {number}"
        if len(line) > MAX_ROW_BYTES:
            faults.append(too_long(place))
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_ROW_BYTES)
            yield "\n"
            continue
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            faults.append(DataError(not_utf8(place, error)))
            yield line.decode("utf-8", "replace")
