"""Learns from measured arms how many extra rows halve a domain's loss: rows of its own, and of any domain."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from mixplan.forecast.earlier_runs import UNIT_NAMES, unit_of
from mixplan.forecast.halving import DRAWN
from mixplan.forecast.response import Losses, Response, halving_text, mixtures_text, respond, worth
from mixplan.saved.evidence import ArmLosses
from mixplan.study.arms.judge import Measured, Study, losses, quantities_of
from mixplan.study.files.arms import RowResponse


def response_of(study: Study, *, assumed: float) -> RowResponse | None:
    """Learn from every arm, domain and budget with rows, by the quantity that stands for the study.

    Args:
        study: What was measured.
        assumed: The `half_rows` that the study's plans were made with.

    Returns:
        The fields of `Response` and of its `found` (infinite ones as None), with a text for the reader. None with fewer
        than two targets that gave domains rows.
    """
    quantity = common_quantity(study)
    if quantity is None:
        return None
    found = respond([losses_of(budgets, quantity) for budgets in study.values()], assumed=assumed)
    if found is None:
        return None
    flat = vars(found.found) | {name: value for name, value in vars(found).items() if name not in ("found", "others")}
    values = {name: or_none(value) for name, value in flat.items()}
    text = told(found, quantity, assumed, len(study))
    return RowResponse.model_validate(
        {"quantity": quantity, "assumed": assumed, **values, "helps": found.helps, "text": text}
    )


def common_quantity(study: Study) -> str | None:
    """The quantity that stands for the study, None where comparisons have none in common."""
    return next(iter(quantities_of(study)), None)


def losses_of(budgets: Mapping[int, Measured], quantity: str) -> Losses:
    """One target's losses, mean over seeds and items, with the rows behind them."""
    columns: list[tuple[float, float, float, float]] = []
    for one in budgets.values():
        bare = losses(one, "none", quantity)
        for arm, given in one.rows.items():
            if arm == DRAWN:
                continue
            own, total = losses(one, arm, quantity), sum(given.values())
            if total:
                columns += [(bare[name].value, loss.value, given.get(name, 0), total) for name, loss in own.items()]
    return Losses(*np.array(columns, dtype=np.float64).reshape(-1, 4).T)


def or_none(value: float | None) -> float | None:
    """A number that JSON has; None for an infinite one."""
    return None if value is None or math.isinf(value) else value


def told(found: Response, quantity: str, assumed: float, targets: int) -> str:
    """The response in words, with what it is worth beside the alternatives."""
    behind = f"{found.cases:,} losses of {targets} targets with {mixtures_text(found)}"
    errors = worth(found, assumed=assumed, unit=UNIT_NAMES.get(quantity, ""))
    if math.isinf(found.found.half) and math.isinf(found.found.shared):
        return f"By no number: over {behind}, rows saved nothing; {errors}."
    end = "helps" if found.helps else "does not help"
    return f"{halving_text(found)}, over {behind}; {errors}: what was learned {end}."


def compared_values(study: Study) -> dict[str, ArmLosses]:
    """Every target's losses with the rows behind them for later plans."""
    quantity = common_quantity(study)
    if quantity is None:
        return {}
    found = {target: losses_of(budgets, quantity) for target, budgets in study.items()}
    return {
        target: ArmLosses.model_validate(
            {"unit": unit_of(quantity), **{name: values.tolist() for name, values in vars(losses).items()}}
        )
        for target, losses in found.items()
    }
