"""Figures with their intervals in, the cells, tables and headings of RESULTS.md out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mixplan.report.text import number

NOTHING = "–"


def heading(text: str) -> str:
    """A question as a section's title."""
    return f"## {text}"


def lines(parts: Sequence[str]) -> str:
    """Lines of one block."""
    return "\n".join(parts)


def table_of(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a Markdown table; a `|` in a cell stays text."""
    body = [heads, ["---"] * len(heads), *rows]
    return lines(["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in body])


def figure(entry: Mapping[str, Any] | None, *, sign: bool = False, digits: int = 2) -> str:
    """Write a figure with its interval.

    Args:
        entry: `value`, `low`, `high`; None, or a value of None, where it is not defined.
        sign: Whether to write a plus sign.
        digits: Decimals.
    """
    if entry is None or entry["value"] is None:
        return NOTHING
    form = f"{'+' if sign else ''}.{digits}f"
    value = format(entry["value"], form)
    if entry["low"] is None:
        return value
    ends = [NOTHING if entry.get(end) is None else format(entry[end], form) for end in ("low", "high")]
    return f"{value} [{', '.join(ends)}]"


def signed(value: float) -> str:
    """Write a difference."""
    return f"{value:+.2f}"


def told(value: float | None) -> str:
    """Write a number without an interval."""
    return NOTHING if value is None else number(value)
