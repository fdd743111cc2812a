"""Reads numbers that a caller gives: rows, scores and budgets."""

from __future__ import annotations

import operator
from typing import Any

from mixplan.errors import AllocationError, RecipeError


def number(value: Any, what: str) -> float:
    """A finite or infinite number.

    Raises:
        AllocationError: it is none.
    """
    try:
        return float(no_flag("" if isinstance(value, str | bytes) else value))
    except (TypeError, ValueError, OverflowError) as error:
        raise AllocationError(f"{what}: found {str(value)[:40]!r}, expected a number, 0 or more.") from error


def no_flag(value: Any) -> Any:
    """A value that is not True or False, which Python takes for 1 and 0.

    Raises:
        TypeError: it is.
    """
    if isinstance(value, bool):
        raise TypeError("found a truth value, expected a number")
    return value


def whole_rows(value: Any, what: str) -> int:
    """A whole number of rows.

    Raises:
        AllocationError: it is none.
    """
    try:
        return operator.index(no_flag(value))
    except TypeError as error:
        raise AllocationError(f"{what}: found {value!r}, expected a whole number of rows.") from error


def budget_text(budget: Any) -> str | None:
    """A budget, or several, as `--budget` takes them.

    Raises:
        RecipeError: it is no whole number, list of them or `auto`.
    """
    if budget is None:
        return None
    if budget == "auto":
        return "auto"
    amounts = list(budget) if isinstance(budget, list | tuple) else [budget]
    try:
        return ",".join(str(operator.index(no_flag(amount))) for amount in amounts)
    except TypeError as error:
        raise RecipeError(f"budget: found {budget!r}, expected a whole number or a list of them.") from error
