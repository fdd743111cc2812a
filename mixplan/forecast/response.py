"""Domains' losses without and with extra rows in, how many rows halve a loss out, and how well that foretells losses.

    loss(rows, total) = loss(0) / (1 + rows / half + total / shared)

`rows` are the domain's own, `total` those of all domains together: rows may protect domains that they are not from.
With `shared` infinite this is what the allocation's `min_max` and `diminishing` objectives assume, and `half` is their
`half_rows`. A total is the same however it is spread, so that with it

    loss = loss(0) / (1 + total / shared) / (1 + rows / (half (1 + total / shared)))

is the same objective with another `half_rows` (see `Halving.at`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares, minimize_scalar
from scipy.stats import t as student

Doubles = npt.NDArray[np.float64]

GRID = np.logspace(-3, 6, 91)
"""Amounts among which the best is looked for before it is refined; beyond them rows do all or nothing."""
COARSE = GRID[::6]
"""Amounts of which pairs are tried."""
NEAR = 1e-6
"""By what part of the error without any number two must err less than one to be preferred."""
FEWEST_GROUPS = 3
"""Below these there is no interval: the spread over so few groups says nothing."""


@dataclass(frozen=True)
class Losses:
    """Domains of one target, each once for every mixture that gave extra rows to any domain.

    Attributes:
        without: `[n]` float64, loss where no domain got rows, in any unit; negative where the domain got better.
        after: `[n]` float64, loss with the rows, in the same unit.
        rows: `[n]` float64, rows that the domain got, 0 or more.
        total: `[n]` float64, rows that all domains got together, above 0.
    """

    without: Doubles
    after: Doubles
    rows: Doubles
    total: Doubles


@dataclass(frozen=True)
class Halving:
    """Rows that halve a loss.

    Attributes:
        half: Of the domain's own, where others do nothing; infinite where rows protect their own domain no more than
            others.
        shared: Of any domains; infinite where rows protect their own domain alone.
    """

    half: float
    shared: float = math.inf

    def at(self, total: float) -> float:
        """The domain's own rows that halve what loss is left with so many rows in all."""
        return self.half * (1 + total / self.shared)


@dataclass(frozen=True)
class Response:
    """What was learned of rows.

    Attributes:
        found: By what foretold losses in targets left out best: with rows that protect other domains, or without.
        low: Lower end of `half`'s 95 % interval over targets, by deleting one at a time; None with fewer than three.
        high: Its upper end, may be infinite.
        shared_low: Lower end of `shared`'s.
        shared_high: Its upper end, may be infinite.
        error: Root mean squared error of foretold losses in targets left out, in the losses' unit.
        error_own: The same had rows been taken to protect their own domain alone, their number learned.
        error_nothing: The same had rows been taken to save nothing.
        error_assumed: The same by the number of own rows that was assumed before.
        cases: Losses behind it.
    """

    found: Halving
    low: float | None
    high: float | None
    shared_low: float | None
    shared_high: float | None
    error: float
    error_own: float
    error_nothing: float
    error_assumed: float
    cases: int

    @property
    def helps(self) -> bool:
        """Whether it foretells losses in targets left out better than what learns nothing does."""
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
    rest = [[*known[:place], *known[place + 1 :]] for place in range(len(known))]
    alone = [own_halving(others) for others in rest]
    both = [halving_of(others) for others in rest]
    error_own, error_both = error_of(known, alone), error_of(known, both)
    error_nothing = error_of(known, [Halving(math.inf)] * len(known))
    shared = error_own - error_both > NEAR * error_nothing
    found, others = (halving_of(known), both) if shared else (own_halving(known), alone)
    low, high = interval(found.half, [other.half for other in others])
    shared_low, shared_high = interval(found.shared, [other.shared for other in others])
    return Response(
        found=found,
        low=low,
        high=high,
        shared_low=shared_low,
        shared_high=shared_high,
        error=error_both if shared else error_own,
        error_own=error_own,
        error_nothing=error_nothing,
        error_assumed=error_of(known, [Halving(assumed)] * len(known)),
        cases=sum(len(part.rows) for part in known),
    )


def worth(response: Response, *, assumed: float, unit: str = "") -> str:
    """How well it foretold losses in targets left out, beside its alternatives, in words.

    Args:
        response: What was learned.
        assumed: The `half_rows` that it was compared with.
        unit: Of the losses, with a space in front.
    """
    alone = "" if math.isinf(response.found.shared) else f"own rows alone to {response.error_own:.3g}, "
    return (
        f"in targets left out it foretold losses to {response.error:.3g}{unit} (root mean square), {alone}{assumed:g} "
        f"own rows as assumed to {response.error_assumed:.3g}, rows that save nothing to {response.error_nothing:.3g}"
    )


def halving_text(response: Response) -> str:
    """What rows do to a loss, with intervals, in words."""
    own = ends(response.found.half, response.low, response.high)
    if math.isinf(response.found.shared):
        return f"{own} rows of its own halve a domain's loss"
    any_domain = f"{ends(response.found.shared, response.shared_low, response.shared_high)} rows of any domains halve"
    if math.isinf(response.found.half):
        return f"{any_domain} a domain's loss, and its own do no more than others'"
    return f"{any_domain} a domain's loss, and so do {own} more of its own"


def ends(rows: float, low: float | None, high: float | None) -> str:
    """A number of rows with its interval, in words."""
    return rows_text(rows) if low is None else f"{rows_text(rows)} [{rows_text(low)}, {rows_text(high)}]"


def rows_text(rows: float | None) -> str:
    """A number of rows in words."""
    return "no end" if rows is None or math.isinf(rows) else f"{rows:.3g}"


def foretold(part: Losses, halving: Halving) -> Doubles:
    """`[n]` losses to expect with the rows."""
    return np.asarray(part.without / (1 + part.rows / halving.half + part.total / halving.shared), dtype=np.float64)


def squares(part: Losses, halving: Halving) -> float:
    """Squared errors of all losses together."""
    return float(np.square(part.after - foretold(part, halving)).sum())


def joined(targets: Sequence[Losses]) -> Losses:
    """All targets' losses as one's."""
    return Losses(*(np.concatenate(columns) for columns in zip(*(vars(one).values() for one in targets), strict=True)))


def own_halving(targets: Sequence[Losses]) -> Halving:
    """By least squares, had rows protected their own domain alone; infinite where no number foretells better."""
    return one_number(joined(targets), Halving)


def halving_of(targets: Sequence[Losses]) -> Halving:
    """By least squares: both numbers together from the best of a grid, where that beats either number alone."""
    part = joined(targets)
    alone = [one_number(part, Halving), one_number(part, lambda rows: Halving(math.inf, rows))]
    start = min(
        (Halving(float(half), float(shared)) for half in COARSE for shared in COARSE),
        key=lambda tried: squares(part, tried),
    )
    fitted = least_squares(
        lambda logs: part.after - foretold(part, Halving(*np.exp(logs))),
        np.log([start.half, start.shared]),
        bounds=(math.log(GRID[0]) - 1, math.log(GRID[-1]) + 1),
    )
    both = Halving(*(float(number) for number in np.exp(fitted.x)))
    simple = min(alone, key=lambda tried: squares(part, tried))
    gain = squares(part, simple) - squares(part, both)
    return both if gain > NEAR * squares(part, Halving(math.inf)) else simple


def one_number(part: Losses, halving: Callable[[float], Halving]) -> Halving:
    """The best amount of one kind, from a grid and refined between its neighbours; infinite where none is better.

    Args:
        part: What to foretell.
        halving: Makes an amount of that kind, the other kind infinite.
    """
    errors = [squares(part, halving(float(rows))) for rows in GRID]
    best = int(np.argmin(errors))
    if squares(part, halving(math.inf)) <= errors[best]:
        return halving(math.inf)
    around = np.log(GRID[[max(0, best - 1), min(len(GRID) - 1, best + 1)]])
    fitted = minimize_scalar(lambda log: squares(part, halving(math.exp(log))), bounds=tuple(around), method="bounded")
    return halving(math.exp(fitted.x))


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


def error_of(targets: Sequence[Losses], found: Sequence[Halving]) -> float:
    """Root mean squared error over targets, each foretold by its own entry; every target counts alike."""
    own = [
        float(np.square(part.after - foretold(part, halving)).mean())
        for part, halving in zip(targets, found, strict=True)
    ]
    return math.sqrt(math.fsum(own) / len(own))
