"""A measured quantity's name in, its unit out: which quantities may be pooled over domains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

UNITS = {"correct": "accuracy", "score": "accuracy", "acc": "accuracy"}
"""Quantities that are the share of items answered rightly; any other is a unit of its own."""


def unit_of(quantity: str) -> str:
    """The unit of a quantity: domains are pooled only over quantities of one unit."""
    return UNITS.get(quantity, quantity)


def main_quantity(quantities: Iterable[str]) -> str:
    """The first of a measure's quantities, which is the one that stands for it."""
    return next(iter(quantities))


def common_unit(units: Iterable[str]) -> str | None:
    """The unit that most domains have, the first by name among equals; None without any."""
    found = list(units)
    return max(sorted(set(found)), key=found.count, default=None)


def headline_change(measured: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The main quantity of a domain's headline measure with its change; None where it was not measured.

    Args:
        measured: A domain of outcome.json, with `headline` and `measures`.
    """
    quantities = measured["measures"].get(measured["headline"])
    return next(iter(quantities.items())) if quantities else None
