"""Sets the greatest length of a row, and words the messages about malformed values."""

from __future__ import annotations

from typing import Any

from mixplan.errors import DataError

MAX_ROW_BYTES = 4 * 2**20
"""Longer than any prompt a model reads; a longer row is damage, or a file whose line ends went missing."""


def value_kind(value: Any) -> str:
    """What a value is, in words, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list | tuple) else "an object" if isinstance(value, dict) else "another type"


def not_utf8(place: str, error: UnicodeDecodeError) -> str:
    """The message for bytes that are not UTF-8."""
    return (
        f"{place}: not UTF-8 (byte 0x{error.object[error.start]:02x}). "
        "Convert the file, for example with: iconv -f LATIN1 -t UTF-8"
    )


def too_long(place: str) -> DataError:
    """The error for a row beyond `MAX_ROW_BYTES`."""
    return DataError(
        f"{place}: longer than {MAX_ROW_BYTES // 2**20} MiB, which no model reads as one prompt. "
        "Shorten or remove it, or put each row on a line of its own."
    )
