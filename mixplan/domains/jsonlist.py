"""Reads the items of a file that holds one JSON list, one at a time from a window over the file."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from mixplan.domains.compressed import opened
from mixplan.domains.limits import MAX_ROW_BYTES, not_utf8, too_long
from mixplan.errors import DataError

CHUNK = 2**18
EDGE = 16
"""A parse error closer than this to the window's end may come from the cut alone (`tru`, `\\u00`)."""

_SPACE = re.compile(r"[ \t\r\n]*")


class _Window:
    """The part of the file in memory, and how far it is read."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path = path
        self.file = file
        self.text = ""
        self.at = 0
        self.row = 0
        self.ended = False

    @property
    def place(self) -> str:
        return f"{self.path}, row {self.row}"

    def grow(self) -> None:
        """Drop what is read and take in more."""
        try:
            more = self.file.read(CHUNK)
        except UnicodeDecodeError as error:
            raise DataError(not_utf8(f"{self.path}, after row {self.row}", error)) from error
        self.text = self.text[self.at :] + more
        self.at = 0
        self.ended = not more

    def peek(self) -> str:
        """The next character that is not a space, or nothing at the file's end."""
        while True:
            found = _SPACE.match(self.text, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.text) or self.ended:
                return self.text[self.at : self.at + 1]
            self.grow()

    def value(self) -> str:
        """The JSON text of the next item."""
        decoder = json.JSONDecoder()
        self.row += 1
        self.peek()
        while True:
            try:
                _, end = decoder.raw_decode(self.text, self.at)
            except RecursionError as error:
                raise DataError(f"{self.place}: nested too deeply to read. Flatten the row.") from error
            except json.JSONDecodeError as error:
                cut = error.pos >= len(self.text) - EDGE or error.msg.startswith("Unterminated")
                if not cut or self.ended:
                    raise DataError(f"{self.place}: not JSON ({error.msg}). Write [{{...}}, {{...}}].") from error
                if len(self.text) - self.at > MAX_ROW_BYTES:
                    raise too_long(self.place) from error
                self.grow()
            else:
                text, self.at = self.text[self.at : end], end
                if len(text) > MAX_ROW_BYTES:
                    raise too_long(self.place)
                return text


def json_items(path: Path) -> Iterator[tuple[int, bytes]]:
    """Read a list's items.

    Returns:
        Each item's number from 1 and its JSON text in UTF-8.

    Raises:
        DataError: the list is malformed, cut short, followed by more, or has an item beyond `MAX_ROW_BYTES`.
    """
    with opened(path) as raw:
        window = _Window(path, io.TextIOWrapper(raw, encoding="utf-8-sig", newline=""))
        if window.peek() != "[":
            raise DataError(f"{path}: not a JSON list of objects. Write [{{...}}, {{...}}].")
        window.at += 1
        mark = window.peek()
        while mark != "]":
            text = window.value()
            yield window.row, text.encode("utf-8", "surrogatepass")
            mark = window.peek()
            if mark not in ("]", ","):
                found = f"{mark!r} instead of a comma" if mark else "nothing: the file is cut short"
                raise DataError(f"{window.place}: {found} after it. Write [{{...}}, {{...}}].")
            window.at += mark == ","
        window.at += 1
        if more := window.peek():
            raise DataError(
                f"{path}: {more!r} behind the end of the list, after row {window.row}. Write all rows into one list, "
                "[{...}, {...}], or one object a line."
            )
