"""Finds domains in which an untrained model's accuracy cannot show a loss, and a measure there that can."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from typing import Protocol

from mixplan.evaluate.intervals import FEWEST_ITEMS
from mixplan.recipe.tolerances import SHARES
from mixplan.saved.evaluation import Measured
from mixplan.saved.outcome import Floor

INSTEAD = ("likelihood", "behaviour")
"""Measures that move without any answer turning wrong, the first that was made is taken."""
BY_CHANCE = 0.05


class Question(Protocol):
    """A row, or an item of another harness, as far as guessing at it goes."""

    @property
    def id(self) -> str:
        """What it is called among what was measured."""

    @property
    def options(self) -> Sized:
        """What it is answered from; empty where answers are free, or where that is not known."""


def is_share(measured: Measured) -> bool:
    """Whether a measure's main quantity is a share of right answers."""
    quantity, values = next(iter(measured.values.items()))
    return quantity in SHARES and all(0 <= value <= 1 for value in values)


def floor_of(headline: str, measures: Mapping[str, Measured], rows: Iterable[Question], *, named: bool) -> Floor | None:
    """Say whether a domain's headline measure is at its floor.

    Nothing is lost where nothing was known: with fewer than six right answers even losing them all is within noise,
    and right answers that guessing explains (one-sided binomial test at 5 %) are none to lose. With fewer than six
    items it is their number that shows nothing, by whatever measure.

    Args:
        headline: The domain's headline measure.
        measures: What was measured of the untrained model.
        rows: The domain's rows, for how many options each has.
        named: Whether the recipe names the headline measure, which then stays.
    """
    from scipy.stats import binom  # takes most of a second

    measured = measures.get(headline)
    if measured is None or len(measured.rows) < FEWEST_ITEMS or not is_share(measured):
        return None
    quantity, values = next(iter(measured.values.items()))
    options = {row.id: len(row.options) for row in rows}
    items = len(values)
    shares = [1 / options[row] if options.get(row) else 0.0 for row in measured.rows]
    chance, right = sum(shares) / items, sum(values)
    guessed = chance > 0 and binom.sf(round(right) - 1, items, chance) > BY_CHANCE
    if right >= FEWEST_ITEMS and not guessed:
        return None
    instead = next((measure for measure in INSTEAD if measure in measures and not named), None)
    return Floor(measure=headline, quantity=quantity, value=right / items, chance=chance, items=items, instead=instead)
