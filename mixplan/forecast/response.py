"""Learns from measured losses how many extra rows halve a domain's loss, and how well that predicts losses.

    loss(rows, total) = loss(0) / (1 / left(total) + rows / half)
    left(total)       = stays + (1 - stays) / (1 + total / shared)

`rows` are the domain's own, `total` those of all domains together: rows may protect domains that they are not from, all
but a part that `stays` however many there are. With `shared` infinite this is what the allocation's `min_max` and
`diminishing` objectives assume, and `half` is their `half_rows`. A total is the same however it is spread, so that with
it

    loss = left loss(0) / (1 + rows / (half / left))

is the same objective with other scores and another `half_rows` (see `Halving.at`).

loss(0) is measured by another training than loss(rows), and what chance has made of it does not last: domains that lost
much without rows lose less with any, also where rows save nothing. Its expected value therefore takes its place,

    expected loss(0) = mean + lasting (loss(0) - mean),    mean over a target's domains,

with the part of domains' differences that lasts by least squares within targets (see `lasting_of`).

Source: regression calibration, R. J. Carroll and others, Measurement Error in Nonlinear Models (2006), chapter 4.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Amounts = TypeVar("Amounts", float, Doubles)

GRID = np.logspace(-3, 6, 91)
"""Amounts among which the best is looked for before it is refined; beyond them rows do all or nothing."""
COARSE = GRID[::6]
"""Amounts that are tried with others."""
STAYS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Parts that stay, as they are tried with amounts."""
LEAST, MOST = math.log(GRID[0]) - 1, math.log(GRID[-1]) + 1
"""Logarithms between which amounts are refined."""
Kind = tuple[bool, bool, bool]
OWN, ANY, BOTH = (True, False, False), (False, True, False), (True, True, False)
KINDS = (OWN, ANY, BOTH, (False, True, True), (True, True, True))
"""Which of `half`, `shared` and `stays` are learned, the others being infinite or 0; a later one must err less."""
NEAR = 1e-6
"""By what part of the error without any number a later kind must err less than an earlier one to be preferred."""
LASTING = 10
"""Steps in which less of domains' differences is taken to last."""
SURELY = 3.84
"""The 95 % quantile of chi-squared on one degree of freedom, for twice a logarithm of likelihoods."""
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

    def expected(self, lasting: float) -> Losses:
        """The same with the losses to expect without rows in the place of those that were measured, see above."""
        if lasting == 1:
            return self
        mean = float(self.without.mean())
        return replace(self, without=mean + lasting * (self.without - mean))


@dataclass(frozen=True)
class Halving:
    """Rows that halve a loss.

    Attributes:
        half: Of the domain's own, where others do nothing; infinite where rows protect their own domain no more than
            others.
        shared: Of any domains, of the part that they can save; infinite where rows protect their own domain alone.
        stays: Part of a loss, from 0 to 1, that rows of other domains cannot save, however many.
    """

    half: float
    shared: float = math.inf
    stays: float = 0.0

    def left(self, total: Amounts) -> Amounts:
        """The part of every loss that so many rows of any domains leave."""
        return self.stays + (1 - self.stays) / (1 + total / self.shared)

    def at(self, total: float) -> float:
        """The domain's own rows that halve what loss is left with so many rows in all."""
        return self.half / self.left(total)

    def pace(self, total: float) -> float:
        """By how much `1 / left` grows with one more row, wherever it goes."""
        return (1 - self.stays) / self.shared / (1 + self.stays * total / self.shared) ** 2

    def times(self, each: float) -> Halving:
        """The same in another unit, of which a row has so many."""
        return Halving(self.half * each, self.shared * each, self.stays)


@dataclass(frozen=True)
class Response:
    """What was learned of rows.

    Attributes:
        found: By what predicted losses in targets left out best: rows that protect their own domain alone, any domains
            alike, or both, these all of a loss or all but a part that stays.
        low: Lower end of `half`'s 95 % interval over targets, by deleting one at a time; None with fewer than three.
        high: Its upper end, may be infinite.
        shared_low: Lower end of `shared`'s.
        shared_high: Its upper end, may be infinite.
        stays_low: Lower end of the interval of the part that `stays`.
        stays_high: Its upper end.
        error: Root mean squared error of predicted losses in targets left out, in the losses' unit; the least of all
            kinds', so that it flatters what was found a little.
        error_own: The same had rows been taken to protect their own domain alone, their number learned.
        error_all: The same had no part been taken to stay.
        error_nothing: The same had rows been taken to save nothing.
        error_assumed: The same by the number of own rows that was assumed before.
        cases: Losses behind it.
        fewest: Rows of all domains together in the smallest mixture behind it; what fewer do is not known.
        most: In the largest.
        others: What was learned with each target left out, by which intervals are made.
        lasting: The part of differences between domains' losses without rows that lasts, 1 where all of it does.
    """

    found: Halving
    low: float | None
    high: float | None
    shared_low: float | None
    shared_high: float | None
    stays_low: float | None
    stays_high: float | None
    error: float
    error_own: float
    error_all: float
    error_nothing: float
    error_assumed: float
    cases: int
    fewest: float
    most: float
    others: tuple[Halving, ...] = ()
    lasting: float = 1.0

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
    measured = [part for part in targets if len(part.rows)]
    if len(measured) < 2:
        return None
    lasting = lasting_of(measured)
    known = [part.expected(lasting) for part in measured]
    rest = [[*known[:place], *known[place + 1 :]] for place in range(len(known))]
    learned = {kind: [learn(others, kind) for others in rest] for kind in KINDS}
    errors = {kind: error_of(known, others) for kind, others in learned.items()}
    error_nothing = error_of(known, [Halving(math.inf)] * len(known))
    best = OWN
    for kind, error in errors.items():
        if errors[best] - error > NEAR * error_nothing:
            best = kind
    found, others = learn(known, best), learned[best]
    low, high = interval(found.half, [other.half for other in others])
    shared_low, shared_high = interval(found.shared, [other.shared for other in others])
    stays = jackknife(found.stays, [other.stays for other in others])
    return Response(
        found=found,
        low=low,
        high=high,
        shared_low=shared_low,
        shared_high=shared_high,
        stays_low=None if stays is None else max(0.0, stays[0]),
        stays_high=None if stays is None else min(1.0, stays[1]),
        error=errors[best],
        error_own=errors[OWN],
        error_all=min(errors[kind] for kind in (OWN, ANY, BOTH)),
        error_nothing=error_nothing,
        error_assumed=error_of(known, [Halving(assumed)] * len(known)),
        cases=sum(len(part.rows) for part in known),
        fewest=min(float(part.total.min()) for part in known),
        most=max(float(part.total.max()) for part in known),
        others=tuple(others),
        lasting=lasting,
    )


def lasting_of(targets: Sequence[Losses]) -> float:
    """The part of differences between domains' losses without rows that lasts, in tenths.

    It is that by which losses behind rows are explained best, whatever rows do in each target by itself: what they save
    is told by targets' means, what lasts by differences within them. All is taken to last where nearly all seems to,
    nine tenths, and not surely less.

    Args:
        targets: Each with a loss at least.
    """

    def left(lasting: float) -> float:
        parts = [part.expected(lasting) for part in targets]
        return math.fsum(squares(part, learn([part], KINDS[-1])) for part in parts)

    found, whole = 1.0, left(1.0)
    if whole <= NEAR * math.fsum(squares(part, Halving(math.inf)) for part in targets):
        return 1.0  # a law that fits to the last digits leaves no chance to take out
    least = whole
    for step in range(LASTING - 1, -1, -1):
        if (now := left(step / LASTING)) >= least:
            break
        found, least = step / LASTING, now
    domains = sum(len(np.unique(part.without)) for part in targets)
    surely = least < whole * math.exp(-SURELY / domains)
    return found if surely or found < 1 - 1 / LASTING else 1.0


def worth(response: Response, *, assumed: float, unit: str = "") -> str:
    """How well it predicted losses in targets left out, beside its alternatives, in words.

    Args:
        response: What was learned.
        assumed: The `half_rows` that it was compared with.
        unit: Of the losses, with a space in front.
    """
    alone = "" if math.isinf(response.found.shared) else f"own rows alone to {response.error_own:.3g}, "
    if response.found.stays:
        alone = f"with no part that stays to {response.error_all:.3g}, {alone}"
    if response.lasting < 1:
        alone += f"(all with {response.lasting:.0%} of domains' differences without rows, which lasts) "
    return (
        f"in targets left out it predicted losses to {response.error:.3g}{unit} (root mean square), {alone}{assumed:g} "
        f"own rows as assumed to {response.error_assumed:.3g}, rows that save nothing to {response.error_nothing:.3g}"
    )


def mixtures_text(response: Response) -> str:
    """How many rows the mixtures behind it had, in words."""
    least, most = f"{response.fewest:g}", f"{response.most:g}"
    return f"{least} extra rows" if least == most else f"{least} to {most} extra rows"


def halving_text(response: Response) -> str:
    """What rows do to a loss, with intervals, in words."""
    own = ends(response.found.half, response.low, response.high)
    if math.isinf(response.found.shared):
        return f"{own} rows of its own halve a domain's loss"
    rows = ends(response.found.shared, response.shared_low, response.shared_high)
    any_domain = f"{rows} rows of any domains halve {saved_text(response)}"
    if math.isinf(response.found.half):
        return f"{any_domain}, and its own do no more than others'"
    if response.found.stays:
        return f"{any_domain}, and {own} of its own halve all of it"
    return f"{any_domain}, and so do {own} more of its own"


def saved_text(response: Response) -> str:
    """What rows of any domains halve, in words."""
    if not response.found.stays:
        return "a domain's loss"
    low, high = response.stays_low, response.stays_high
    part = f"{1 - response.found.stays:.0%}"
    between = "" if low is None or high is None else f" [{1 - high:.0%}, {1 - low:.0%}]"
    return f"what they can save of a domain's loss, {part}{between} of it"


def ends(rows: float, low: float | None, high: float | None) -> str:
    """A number of rows with its interval, in words."""
    return rows_text(rows) if low is None else f"{rows_text(rows)} [{rows_text(low)}, {rows_text(high)}]"


def rows_text(rows: float | None) -> str:
    """A number of rows in words."""
    return "no end" if rows is None or math.isinf(rows) else f"{rows:.3g}"


def foretold(part: Losses, halving: Halving) -> Doubles:
    """`[n]` losses to expect with the rows."""
    return np.asarray(part.without / (1 / halving.left(part.total) + part.rows / halving.half), dtype=np.float64)


def squares(part: Losses, halving: Halving) -> float:
    """Squared errors of all losses together."""
    return float(np.square(part.after - foretold(part, halving)).sum())


def joined(targets: Sequence[Losses]) -> Losses:
    """All targets' losses as one's."""
    return Losses(*(np.concatenate(columns) for columns in zip(*(vars(one).values() for one in targets), strict=True)))


def learn(targets: Sequence[Losses], kind: Kind) -> Halving:
    """The numbers of one kind by least squares, from the best of a grid; infinite where none foretells losses better.

    Args:
        targets: What to foretell, every loss alike.
        kind: One of `KINDS`.
    """
    from scipy.optimize import least_squares  # loaded where it is used: it takes half a second

    part, (own, shared, stays) = joined(targets), kind
    amounts = [float(amount) for amount in (GRID if sum(kind) == 1 else COARSE)]
    tried = (
        Halving(*numbers)
        for numbers in product(
            amounts if own else [math.inf], amounts if shared else [math.inf], STAYS if stays else [0.0]
        )
    )
    start = min(tried, key=lambda one: squares(part, one))
    free = [name for name, learned in zip(("half", "shared", "stays"), kind, strict=True) if learned]
    # Amounts are refined as logarithms.
    bounds = {name: (0.0, 1.0) if name == "stays" else (LEAST, MOST) for name in free}

    def made(numbers: Iterable[float]) -> Halving:
        named = zip(free, map(float, numbers), strict=True)
        return replace(start, **{name: value if name == "stays" else amount_of(value) for name, value in named})

    fitted = least_squares(
        lambda numbers: part.after - foretold(part, made(numbers)),
        [getattr(start, name) if name == "stays" else math.log(getattr(start, name)) for name in free],
        bounds=tuple(zip(*bounds.values(), strict=True)),
    )
    found, nothing = made(fitted.x), Halving(math.inf)
    gain = squares(part, nothing) - squares(part, found)
    return found if gain > NEAR * squares(part, nothing) else nothing


def amount_of(log: float) -> float:
    """An amount from its logarithm, infinite at the end of what is tried."""
    return math.inf if log > MOST - 1e-3 else math.exp(log)


def interval(half: float, others: Sequence[float]) -> tuple[float | None, float | None]:
    """The 95 % interval over targets of the speed 1 / half, by the jackknife, as rows; its order is turned."""
    found = jackknife(1 / half, [1 / other for other in others])
    if found is None:
        return None, None
    slow, fast = found
    return (1 / fast if fast > 0 else math.inf), (1 / slow if slow > 0 else math.inf)


def jackknife(value: float, others: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval over targets; None with too few.

    Source: B. Efron and C. Stein (1981), The jackknife estimate of variance, Annals of Statistics 9.

    Args:
        value: From all targets.
        others: From all but one, for each.
    """
    count = len(others)
    if count < FEWEST_GROUPS:
        return None
    from scipy.special import stdtrit

    spread = math.sqrt((count - 1) / count * float(np.square(np.array(others) - np.mean(others)).sum()))
    reach = float(stdtrit(count - 1, 0.975)) * spread
    return value - reach, value + reach


def error_of(targets: Sequence[Losses], found: Sequence[Halving]) -> float:
    """Root mean squared error over targets, each foretold by its own entry; every target counts alike."""
    own = [
        float(np.square(part.after - foretold(part, halving)).mean())
        for part, halving in zip(targets, found, strict=True)
    ]
    return math.sqrt(math.fsum(own) / len(own))
