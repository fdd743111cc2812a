"""Defines what plan.json says of how many extra rows were recommended in all."""

from __future__ import annotations

from typing import Literal

from mixplan.saved.base_types import Saved

TAKEN = "rows are taken to halve a domain's loss"
"""How a plan's evidence says, behind their number, that nothing measured predicts better what rows save."""


class TotalPoint(Saved):
    """What a total is expected to leave of every loss, spread evenly.

    Attributes:
        rows: Of all domains together.
        left: Part of the loss without extra rows; None where nothing says.
        low: Lower end of its 95 % interval over targets; None with fewer than three.
        high: Its upper end.
        measured: Whether mixtures with as few and with as many rows were measured.
    """

    rows: int
    left: float | None = None
    low: float | None = None
    high: float | None = None
    measured: bool = False


class RecommendedTotal(Saved):
    """How many extra rows are enough, by `budget.rows: auto`.

    Attributes:
        rows: The recommendation.
        by: What it follows: `response`, what arms that were compared teach; `nothing_saved`, that rows saved nothing in
            them; or `rule`, a share of the target's rows, where nothing was compared.
        low: Lower end of the 95 % interval of what is enough, over targets; None where there is none.
        high: Its upper end; None where there is none or it has no end.
        points: Half of it, the recommendation and twice it.
        text: The recommendation and its reason.
    """

    rows: int
    by: Literal["response", "nothing_saved", "rule"]
    low: float | None = None
    high: float | None = None
    points: tuple[TotalPoint, ...] = ()
    text: str
