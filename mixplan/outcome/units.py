"""Says the unit of a measured quantity: which quantities may be pooled over domains, and how one is written."""

from __future__ import annotations

from collections.abc import Iterable

from mixplan.forecast.earlier_runs import UNIT_NAMES
from mixplan.saved.base_types import Expected, Interval
from mixplan.saved.outcome import Change, Measured

PER_CENT = ("accuracy", "correct", "score", "acc", "acc_norm", "exact_match", "gold_probability")
"""Quantities written in per cent, their changes in percentage points."""
TITLES = {
    "correct": "accuracy",
    "score": "share of right answers",
    "acc": "task accuracy",
    "acc_norm": "task accuracy by length-normalised likelihood",
    "exact_match": "share of exact matches",
    "bits_per_word": "bits per word",
    "bits_per_item": "bits per item",
    "gold_probability": "probability of the right option",
    "bits_per_byte": "bits per byte of the reference answers",
    "kl": "behaviour",
}


def counted(count: int, noun: str) -> str:
    """So many of something, such as `1 row` or `1,040 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def main_quantity(quantities: Iterable[str]) -> str:
    """The first of a measure's quantities, which is the one that stands for it."""
    return next(iter(quantities))


def common_unit(units: Iterable[str]) -> str | None:
    """The unit that most domains have, the first by name among equals; None without any."""
    found = list(units)
    return max(sorted(set(found)), key=found.count, default=None)


def headline_change(measured: Measured) -> tuple[str, Change] | None:
    """The main quantity of a domain's headline measure with its change; None where it was not measured."""
    quantities = measured.measures.get(measured.headline or "")
    return next(iter(quantities.items())) if quantities else None


def title(quantity: str) -> str:
    """What a quantity is, in a sentence."""
    return TITLES.get(quantity, quantity)


def value_text(quantity: str, value: float) -> str:
    """A value with its unit."""
    return f"{100 * value:.1f} %" if quantity in PER_CENT else f"{value:.3g}"


def change_text(quantity: str, change: Change | Expected | Interval) -> str:
    """A change with its unit and its interval."""
    value = change.value if isinstance(change, Interval) else change.change
    middle, low, high = (amount(quantity, end) for end in (value, change.low, change.high))
    unit = " points" if quantity in PER_CENT else UNIT_NAMES.get(quantity, "")
    return f"{middle}{unit} [{low}, {high}]"


def amount(quantity: str, change: float) -> str:
    """A change with its sign, without its unit."""
    text = f"{100 * change:+.1f}" if quantity in PER_CENT else f"{change:+.3g}"
    return text[1:] if float(text) == 0 else text
