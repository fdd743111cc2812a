"""Takes a column's value, or fills a template's `{column}` places, for one row."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mixplan.domains.limits import value_kind
from mixplan.errors import DataError
from mixplan.recipe.suggest import did_you_mean

_PLACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class Missing:
    """Stands for a column that a row does not have."""


MISSING = Missing()


def lookup(row: Mapping[str, Any], name: str) -> Any:
    """A column's value: by its whole name, else `a.b` as `b` inside the object in column `a`, `a.0` as a list's first.

    Returns:
        The value, `MISSING` when the row has no such column.
    """
    if name in row:
        return row[name]
    head, dot, rest = name.partition(".")
    inner = row.get(head, MISSING) if dot else MISSING
    if inner is None:
        return None
    if isinstance(inner, list | tuple):
        inner = {str(number): item for number, item in enumerate(inner)}
    return lookup(inner, rest) if isinstance(inner, Mapping) else MISSING


def column_of(name: str, columns: Iterable[str]) -> str:
    """The top-level column that a name, perhaps dotted, reads."""
    names = set(columns)
    parts = name.split(".")
    heads = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((head for head in heads if head in names), name)


@dataclass(frozen=True)
class Template:
    """A compiled column name or template.

    Attributes:
        text: As it was written.
        names: Columns it reads.
        parts: For a template, fixed texts and column names in turn; empty for a plain column.
    """

    text: str
    names: tuple[str, ...]
    parts: tuple[tuple[str, bool], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template; text without `{` is a column's name.

        Raises:
            DataError: a brace without its partner, or an empty place.
        """
        if "{" not in text:
            return cls(text, (text,))
        parts: list[tuple[str, bool]] = []
        end = 0
        for found in _PLACES.finditer(text):
            parts.append((text[end : found.start()], False))
            end = found.end()
            if found[0] in ("{{", "}}"):
                parts.append((found[0][0], False))
            elif found[1] and found[1].strip():
                parts.append((found[1], True))
            else:
                raise DataError(
                    f"template {text!r}: {found[0]!r} is not a place. Write `{{column}}`; double a brace that is text."
                )
        parts.append((text[end:], False))
        return cls(text, tuple(dict.fromkeys(name for name, is_place in parts if is_place)), tuple(parts))

    def value(self, row: Mapping[str, Any], place: str) -> Any:
        """The column's value, or the filled template, in which a null or absent column leaves its place empty.

        Returns:
            None where the column, or every column of the template, is null, empty or not in this row.

        Raises:
            DataError: a template's column holds neither text nor a number.
        """
        if not self.parts:
            value = lookup(row, self.text)
            return None if value is MISSING else value
        values = {name: as_text(lookup(row, name), f"{place}: column {name!r}") for name in self.names}
        if not any(value and value.strip() for value in values.values()):
            return None
        return "".join((values[text] or "") if is_place else text for text, is_place in self.parts)


def as_text(value: Any, place: str) -> str | None:
    """A cell as text: text as it is, numbers and booleans as JSON writes them; None for null, NaN and no cell.

    Raises:
        DataError: the cell holds something else, a NUL character, or half of a surrogate pair.
    """
    if value is None or value is MISSING or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if not isinstance(value, str):
        raise DataError(f"{place} holds {value_kind(value)}, not text. Name a column of text, or write a template.")
    if "\0" in value:
        raise DataError(f"{place} holds a NUL character. Remove it: the file may be damaged or binary.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{place} holds U+{ord(value[error.start]):04X}, half a surrogate pair, not text in UTF-8. Remove it."
        ) from error
    return value


def listed(text: str) -> list[Any] | None:
    """The items of a JSON list that is written as text; None where it is none."""
    if not text.lstrip().startswith("["):
        return None
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return items if isinstance(items, list) else None


def first_text(value: Any, place: str) -> tuple[str | None, tuple[str, ...]]:
    """A cell that may list several accepted texts.

    Returns:
        The first that is not empty, or None, and the others; each stripped.

    Raises:
        DataError: an item is not text or a number.
    """
    items = value if isinstance(value, list | tuple) else [value]
    texts = [(as_text(item, place) or "").strip() for item in items]
    kept = list(dict.fromkeys(text for text in texts if text))
    return (kept[0] if kept else None), tuple(kept[1:])


def fill(row: Mapping[str, Any], template: str) -> str:
    """Fill a template, or take a column, as text.

    Args:
        row: Values by column.
        template: A column's name, or text with `{column}` places.

    Returns:
        The text, of a list its first item; empty where the row has none.

    Raises:
        DataError: the row lacks the column, or it does not hold text.
    """
    parsed = Template.parse(template)
    for name in parsed.names:
        if lookup(row, name) is MISSING:
            raise missing_column(name, row, "the row")
    return first_text(parsed.value(row, "the row"), f"the row: {template!r}")[0] or ""


def missing_column(name: str, columns: Iterable[str], place: str) -> DataError:
    """The error for a column that is not there, naming those that are."""
    found = sorted(columns)
    listed = ", ".join(found[:30]) + (", ..." if len(found) > 30 else "")
    guess = did_you_mean(name, found)
    guess = guess if guess.startswith(" Did you mean") else ""
    return DataError(f"{place}: no column {name!r}; it has {listed or 'none'}.{guess}")
