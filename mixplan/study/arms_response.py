"""Arms as measured in, how many extra rows halve a domain's loss, learned from them, out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from mixplan.forecast.response import Losses, Response, respond
from mixplan.study.arms_judge import QUANTITIES, Measured, Study, domains_of, losses

DRAWN = "random"
"""The arm whose rows differ by seed, while a loss is a mean over seeds."""

UNITS = {"bits_per_byte": " bits a byte", "kl": " nats a token"}


def response_of(study: Study, *, assumed: float) -> dict[str, Any] | None:
    """Learn from every arm, domain and budget with rows, by the first quantity that all domains have.

    Args:
        study: What was measured.
        assumed: The `half_rows` that the study's plans were made with.

    Returns:
        JSON values: the fields of `Response` (infinite ones as None), `quantity`, `assumed`, `helps` and a `text` for
        the reader. None with fewer than two targets that gave domains rows.
    """
    every = [one for budgets in study.values() for one in budgets.values()]
    quantity = next((name for name in QUANTITIES if all(domains_of(one, name) for one in every)), None)
    if quantity is None:
        return None
    found = respond([losses_of(budgets, quantity) for budgets in study.values()], assumed=assumed)
    if found is None:
        return None
    values = {name: finite(value) for name, value in asdict(found).items()}
    text = told(found, quantity, assumed, len(study))
    return {"quantity": quantity, "assumed": assumed, **values, "helps": found.helps, "text": text}


def losses_of(budgets: Mapping[int, Measured], quantity: str) -> Losses:
    """One target's losses, mean over seeds and items, with the rows behind them."""
    without, after, rows = [], [], []
    for one in budgets.values():
        bare = losses(one, "none", quantity)
        for arm, given in one.rows.items():
            if arm == DRAWN:
                continue
            own = losses(one, arm, quantity)
            for name in (name for name in own if given.get(name)):
                without.append(bare[name].value)
                after.append(own[name].value)
                rows.append(given[name])
    return Losses(*(np.array(column, dtype=np.float64) for column in (without, after, rows)))


def finite(value: float | None) -> float | None:
    """A number that JSON has; None for an infinite one."""
    return None if value is None or math.isinf(value) else value


def told(found: Response, quantity: str, assumed: float, targets: int) -> str:
    """The response in words, with what it is worth beside the alternatives."""
    unit = UNITS.get(quantity, "")
    errors = (
        f"In a target left out it foretold losses to {found.error:.3g}{unit} (root mean square); {assumed:g} rows, as "
        f"the plans assumed, to {found.error_assumed:.3g}; rows that save nothing to {found.error_nothing:.3g}"
    )
    behind = f"{found.cases:,} losses of {targets} targets"
    if math.isinf(found.half):
        return f"By no number: over {behind}, rows saved nothing of the domain's own loss. {errors}."
    ends = "" if found.low is None else f" [{rows_of(found.low)}, {rows_of(found.high)}]"
    worth = "so the learned number helps" if found.helps else "so the learned number does not help"
    return f"{rows_of(found.half)}{ends}, over {behind}. {errors}: {worth}."


def rows_of(value: float | None) -> str:
    """A number of rows in words."""
    return "no end" if value is None or math.isinf(value) else f"{value:.3g}"
