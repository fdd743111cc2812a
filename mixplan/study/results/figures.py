"""Writes figures with their intervals as the cells, tables and headings of RESULTS.md."""

from __future__ import annotations

from collections.abc import Sequence

from mixplan.report.text import number
from mixplan.saved.base_types import Interval
from mixplan.study.files.figure import Bounded

NOTHING = "–"
NAMES = {
    "kl": "behaviour (token KL, nats a token)",
    "bits_per_byte": "likelihood (bits a byte of the reference answer)",
    "gold_probability": "probability of the right option",
    "gold_margin": "margin of the right option (nats)",
    "correct": "accuracy of choice",
    "score": "share of right answers",
}
"""What a study's measures are called."""


def heading(text: str) -> str:
    """A question as a section's title."""
    return f"## {text}"


ASKED = "How it was asked"
"""Heads what was registered, behind the answers in short."""


def in_short(parts: Sequence[str]) -> list[str]:
    """Gather each section's question with its answers, the paragraphs that open in bold; nothing where there is none.

    Args:
        parts: The blocks of all sections, headings among them.
    """
    found: dict[str, list[str]] = {}
    question = ""
    for part in parts:
        if part.startswith("## "):
            question = part.removeprefix("## ")
        elif question and part.startswith("**"):
            found.setdefault(question, []).append(part.replace("**", ""))
    told = [f"- *{asked}* {' '.join(answers)}" for asked, answers in found.items()]
    return [heading("In short"), lines(told)] if told else []


def lines(parts: Sequence[str]) -> str:
    """Lines of one block."""
    return "\n".join(parts)


def table_of(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a Markdown table; a `|` in a cell stays text."""
    body = [heads, ["---"] * len(heads), *rows]
    return lines(["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in body])


def figure(entry: Bounded | Interval | None, *, sign: bool = False, digits: int = 2) -> str:
    """Write a figure with its interval.

    Args:
        entry: The figure; None, or a value of None, where it is not defined.
        sign: Whether to write a plus sign.
        digits: Decimals.
    """
    if entry is None or entry.value is None:
        return NOTHING
    form = f"{'+' if sign else ''}.{digits}f"
    value = format(entry.value, form)
    if entry.low is None:
        return value
    ends = [NOTHING if end is None else format(end, form) for end in (entry.low, entry.high)]
    return f"{value} [{', '.join(ends)}]"


def signed(value: float) -> str:
    """Write a difference."""
    return f"{value:+.2f}"


def told(value: float | None) -> str:
    """Write a number without an interval."""
    return NOTHING if value is None else number(value)


def side(entry: Bounded | None, bar: float = 0.0) -> str:
    """Where a figure's whole interval lies: `above` the bar, `below` it, or `unsure`, also without an interval."""
    if entry is None or entry.value is None or entry.low is None or entry.high is None:
        return "unsure"
    return "above" if entry.low > bar else "below" if entry.high < bar else "unsure"


def listed(words: Sequence[str]) -> str:
    """Write words one after the other, the last after `and`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
