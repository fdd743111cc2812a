"""Reads the rows of JSONL, JSON, CSV and TSV files as JSON text, one at a time and in bounded memory."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mixplan.domains.compressed import kind_of, opened
from mixplan.domains.csvfiles import separated_rows
from mixplan.domains.jsonlist import json_items
from mixplan.domains.limits import MAX_ROW_BYTES, not_utf8, too_long, value_kind
from mixplan.domains.record import Values
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

    def raw_rows(self) -> Iterator[tuple[int, bytes | DataError]]:
        """Rows in file order: the number of its (last) line or row from 1, and its JSON text in UTF-8.

        In place of a line that cannot be a row stands why.

        Raises:
            DataError: the file cannot be read on, as where a JSON list is broken.
        """
        if self.unit == "row":
            yield from json_items(self.path)
        elif self.text_cells:
            yield from separated_rows(self.path)
        else:
            yield from _lines(self.path)

    def decode(self, number: int, content: bytes | DataError) -> Values:
        """Read one row's JSON text.

        Raises:
            DataError: it is not a JSON object in UTF-8.
        """
        if isinstance(content, DataError):
            raise content
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
    """Take a path as JSONL, JSON, CSV or TSV by its suffix; a `.json` file that opens with `{` is JSONL.

    Raises:
        DataError: a `.json` file holds neither a list nor an object.
    """
    suffix = kind_of(path)
    if suffix == ".json":
        with opened(path) as file:
            opening = file.read(2**16).removeprefix(codecs.BOM_UTF8).lstrip()[:1]
        if opening not in (b"[", b"{", b""):
            raise DataError(f'{path}: not a JSON list of objects. Write [{{"column": value}}, ...], or JSONL.')
        return TextFile(path, "row" if opening == b"[" else "line", text_cells=False)
    return TextFile(path, "line", text_cells=suffix in (".csv", ".tsv"))


def _lines(path: Path) -> Iterator[tuple[int, bytes | DataError]]:
    """Lines that are not blank, with their numbers; never more of a line in memory than a row may have."""
    with opened(path) as file:
        number = 0
        while line := file.readline(MAX_ROW_BYTES + 1):
            number += 1
            if len(line) > MAX_ROW_BYTES:
                yield number, too_long(f"{path}, line {number}")
                while line and not line.endswith(b"\n"):
                    line = file.readline(MAX_ROW_BYTES)
                continue
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if stripped := line.strip():
                yield number, stripped
