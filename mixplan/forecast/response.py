"""Domains' losses without and with extra rows in, how many rows halve a loss out, and how well that foretells losses.

    loss(rows) = loss(0) / (1 + rows / half)

is what the allocation's `min_max` and `diminishing` objectives assume; `half` is their `half_rows`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.stats import t as student

Doubles = npt.NDArray[np.float64]

GRID = np.logspace(-3, 6, 91)
"""Amounts among which the best is looked for before it is refined; beyond them rows do all or nothing."""
FEWEST_GROUPS = 3
"""Below these there is no interval: the spread over so few groups says nothing."""


@dataclass(frozen=True)
class Losses:
    """Domains of one target, each once for every mixture that gave it rows.

    Attributes:
        without: `[n]` float64, loss where no domain got rows, in any unit; negative where the domain got better.
        after: `[n]` float64, loss with the rows, in the same unit.
        rows: `[n]` float64, rows that the domain got, above 0.
    """

    without: Doubles
    after: Doubles
    rows: Doubles


@dataclass(frozen=True)
class Response:
    """What was learned of rows.

    Attributes:
        half: Rows that halve a domain's loss; infinite where rows save nothing.
        low: Lower end of its 95 % interval over targets, by deleting one at a time; None with fewer than three.
        high: Its upper end, may be infinite.
        error: Root mean squared error of foretold losses in targets left out, in the losses' unit.
        error_nothing: The same had rows been taken to save nothing.
        error_assumed: The same by the number of rows that was assumed before.
        cases: Losses behind it.
    """

    half: float
    low: float | None
    high: float | None
    error: float
    error_nothing: float
    error_assumed: float
    cases: int

    @property
    def helps(self) -> bool:
        """Whether it foretells losses in targets left out better than both alternatives do."""
        return self.error < min(self.error_nothing, self.error_assumed)


def respond(targets: Sequence[Losses], *, assumed: float) -> Response | None:
    """Learn how many rows halve a loss, by least squares over all targets.

    Args:
        targets: One entry a target; at least two, so that each is foretold from others.
        assumed: The `half_rows` to compare with.

    Returns:
        None with fewer than two targets that hold anything.
    """
    known = [part for part in targets if len(part.rows)]
    if len(known) < 2:
        return None
    others = [half_of([*known[:place], *known[place + 1 :]]) for place in range(len(known))]
    half = half_of(known)
    low, high = interval(half, others)
    return Response(
        half=half,
        low=low,
        high=high,
        error=error_of(known, others),
        error_nothing=error_of(known, [math.inf] * len(known)),
        error_assumed=error_of(known, [assumed] * len(known)),
        cases=sum(len(part.rows) for part in known),
    )


def worth(response: Response, *, assumed: float, unit: str = "") -> str:
    """How well it foretold losses in targets left out, beside its alternatives, in words.

    Args:
        response: What was learned.
        assumed: The `half_rows` that it was compared with.
        unit: Of the losses, with a space in front.
    """
    return (
        f"in targets left out it foretold losses to {response.error:.3g}{unit} (root mean square), {assumed:g} rows as "
        f"assumed to {response.error_assumed:.3g}, rows that save nothing to {response.error_nothing:.3g}"
    )


def interval_text(response: Response) -> str:
    """The rows that halve a loss with their interval, in words."""
    if response.low is None:
        return rows_text(response.half)
    return f"{rows_text(response.half)} [{rows_text(response.low)}, {rows_text(response.high)}]"


def rows_text(rows: float | None) -> str:
    """A number of rows in words."""
    return "no end" if rows is None or math.isinf(rows) else f"{rows:.3g}"


def foretold(part: Losses, half: float) -> Doubles:
    """`[n]` losses to expect with the rows."""
    return np.asarray(part.without / (1 + part.rows / half), dtype=np.float64)


def half_of(targets: Sequence[Losses]) -> float:
    """The rows that halve a loss, by least squares; infinite where no number foretells better than none."""

    def squares(half: float) -> float:
        return float(sum(np.square(part.after - foretold(part, half)).sum() for part in targets))

    tried = [squares(float(half)) for half in GRID]
    best = int(np.argmin(tried))
    if squares(math.inf) <= tried[best]:
        return math.inf
    around = np.log(GRID[[max(0, best - 1), min(len(GRID) - 1, best + 1)]])
    found = minimize_scalar(lambda log: squares(math.exp(log)), bounds=tuple(around), method="bounded")
    return math.exp(found.x)


def interval(half: float, others: Sequence[float]) -> tuple[float | None, float | None]:
    """The 95 % interval over targets of the speed 1 / half, by the jackknife, as rows; its order is turned.

    Source: B. Efron and C. Stein (1981), The jackknife estimate of variance, Annals of Statistics 9.
    """
    count = len(others)
    if count < FEWEST_GROUPS:
        return None, None
    speeds = np.array([0.0 if math.isinf(other) else 1 / other for other in others])
    speed = 0.0 if math.isinf(half) else 1 / half
    spread = math.sqrt((count - 1) / count * float(np.square(speeds - speeds.mean()).sum()))
    reach = float(student.ppf(0.975, count - 1)) * spread
    slow, fast = speed - reach, speed + reach
    return (1 / fast if fast > 0 else math.inf), (1 / slow if slow > 0 else math.inf)


def error_of(targets: Sequence[Losses], halves: Sequence[float]) -> float:
    """Root mean squared error over targets, each with its own number of rows; every target counts alike."""
    own = [
        float(np.square(part.after - foretold(part, half)).mean()) for part, half in zip(targets, halves, strict=True)
    ]
    return math.sqrt(math.fsum(own) / len(own))
