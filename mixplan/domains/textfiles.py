"""A JSONL, JSON or CSV file in, its rows as JSON text out, one at a time and in bounded memory."""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixplan.domains.jsonlist import json_items
from mixplan.domains.limits import MAX_ROW_BYTES, not_utf8, too_long, value_kind
from mixplan.errors import DataError


@dataclass(frozen=True)
class TextFile:
    """A text file of rows.

    Attributes:
        path: Where it is.
        unit: What `number` counts, as messages say it: `line` or `row`.
        text_cells: Every cell is text, so that a filter's number is compared as text.
    """

    path: Path
    unit: str
    text_cells: bool

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.path.name

    @property
    def place(self) -> str:
        """The file as messages name it."""
        return str(self.path)

    def raw_rows(self) -> Iterator[tuple[int, bytes]]:
        """Rows in file order: the number of its (last) line or row from 1, and its JSON text in UTF-8.

        Raises:
            DataError: broken text or a row beyond `MAX_ROW_BYTES`, with its number.
        """
        with _readable(self.path):
            if self.unit == "row":
                yield from json_items(self.path)
            elif self.text_cells:
                yield from _csv_rows(self.path)
            else:
                yield from _lines(self.path)

    def decode(self, number: int, content: bytes) -> dict[str, Any]:
        """Read one row's JSON text.

        Raises:
            DataError: it is not a JSON object in UTF-8.
        """
        place = f"{self.path}, {self.unit} {number}"
        try:
            value = json.loads(content.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise DataError(not_utf8(place, error)) from error
        except RecursionError as error:
            raise DataError(f"{place}: nested too deeply to read. Flatten the row.") from error
        except ValueError as error:
            raise DataError(f"{place}: not JSON ({error}). Write one JSON object a line.") from error
        if not isinstance(value, dict):
            raise DataError(f'{place}: holds {value_kind(value)}, not an object of columns. Write {{"column": value}}.')
        return value


def open_text(path: Path) -> TextFile:
    """Take a path as JSONL, JSON or CSV by its suffix; a `.json` file that opens with `{` is JSONL.

    Raises:
        DataError: a `.json` file holds neither a list nor an object.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        with _readable(path), open(path, "rb") as file:
            opening = file.read(2**16).removeprefix(codecs.BOM_UTF8).lstrip()[:1]
        if opening not in (b"[", b"{", b""):
            raise DataError(f'{path}: not a JSON list of objects. Write [{{"column": value}}, ...], or JSONL.')
        return TextFile(path, "row" if opening == b"[" else "line", text_cells=False)
    return TextFile(path, "line", text_cells=suffix == ".csv")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise DataError(f"{path}: no permission to read it. Allow it with `chmod u+r {path}`.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers; never more of a line in memory than a row may have."""
    with open(path, "rb") as file:
        number = 0
        while line := file.readline(MAX_ROW_BYTES + 1):
            number += 1
            if len(line) > MAX_ROW_BYTES:
                raise too_long(f"{path}, line {number}")
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if stripped := line.strip():
                yield number, stripped


def _csv_rows(path: Path) -> Iterator[tuple[int, bytes]]:
    before = csv.field_size_limit(MAX_ROW_BYTES)
    reader = csv.reader(_csv_lines(path), strict=True)
    try:
        header = next(reader, [])
        if doubled := sorted({name for name in header if header.count(name) > 1}):
            raise DataError(f"{path}: its header names column {doubled[0]!r} twice. Rename one.")
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells, but the header has {len(header)}. "
                    "Quote cells that hold commas."
                )
            yield reader.line_num, json.dumps(dict(zip(header, cells, strict=True))).encode()
    except csv.Error as error:
        place = f"{path}, line {reader.line_num}"
        if "field limit" in str(error):
            raise too_long(place) from error
        raise DataError(f'{place}: not CSV ({error}). Quote cells with " and double quotes inside them.') from error
    finally:
        csv.field_size_limit(before)


def _csv_lines(path: Path) -> Iterator[str]:
    """Lines as text, line ends kept, since quoted cells may hold them."""
    with open(path, "rb") as file:
        number = 0
        while line := file.readline(MAX_ROW_BYTES + 1):
            number += 1
            place = f"{path}, line {number}"
            if len(line) > MAX_ROW_BYTES:
                raise too_long(place)
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DataError(not_utf8(place, error)) from error
