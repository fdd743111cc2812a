"""Compares the pass marks that were set before the first training with their figures: reached or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixplan.errors import RunError
from mixplan.recipe.suggest import did_you_mean
from mixplan.study.files.figure import JudgedMark


@dataclass(frozen=True)
class Mark:
    """A pass mark of a study.

    Attributes:
        text: What is promised, in words.
        quantity: Where its figure is in the judgement, such as `chosen/kl/pearson/held_out` or
            `overlap/variants/icl`.
        at_least: The least value; None for none.
        low_above: What the interval's lower end has to be above; None for nothing.
    """

    text: str
    quantity: str
    at_least: float | None = None
    low_above: float | None = None


def judge_marks(judged: Mapping[str, Any], marks: Sequence[Mark]) -> list[JudgedMark]:
    """Hold each mark against its figure; a figure or interval that is not defined does not reach it.

    Args:
        judged: The judgement as JSON values, in which marks name a path.
        marks: The study's.

    Raises:
        RunError: a mark names a figure that there is not.
    """
    told = []
    for mark in marks:
        figure = figure_of(judged, mark.quantity)
        value, low = figure["value"], figure["low"]
        high_enough = mark.at_least is None or (value is not None and value >= mark.at_least)
        sure_enough = mark.low_above is None or (low is not None and low > mark.low_above)
        told.append(
            JudgedMark(
                text=mark.text,
                quantity=mark.quantity,
                at_least=mark.at_least,
                low_above=mark.low_above,
                value=value,
                low=low,
                high=figure.get("high"),
                reached=high_enough and sure_enough,
            )
        )
    return told


def figure_of(judged: Mapping[str, Any], quantity: str) -> Mapping[str, Any]:
    """Find a figure by its path.

    Raises:
        RunError: there is none.
    """
    here: Any = judged
    for step in quantity.split("/"):
        if not isinstance(here, Mapping) or step not in here:
            known = sorted(map(str, here)) if isinstance(here, Mapping) else []
            raise RunError(
                f"study mark '{quantity}': there is no '{step}' in the judgement.{did_you_mean(step, known)}"
            )
        here = here[step]
    if not isinstance(here, Mapping) or not {"value", "low"} <= set(here):
        raise RunError(f"study mark '{quantity}': this is not one figure with an interval. Name what stands below it.")
    return here
