"""Finds domains in which an untrained model's accuracy cannot show a loss, and a measure there that can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mixplan.domains import Row
from mixplan.evaluate.intervals import FEWEST_ITEMS
from mixplan.saved.evaluation import Measured
from mixplan.saved.outcome import Floor

GRADED = {"choice": "correct", "exact": "score"}
"""Measures that grade answers, each with its quantity."""
INSTEAD = ("likelihood", "behaviour")
"""Measures that move without any answer turning wrong, the first that was made is taken."""
FEW = 2 * FEWEST_ITEMS
"""With fewer items it is their number that shows nothing."""
BY_CHANCE = 0.05


def floor_of(headline: str, measures: Mapping[str, Measured], rows: Sequence[Row], *, named: bool) -> Floor | None:
    """Say whether a domain's headline measure is at its floor.

    Nothing is lost where nothing was known: with fewer than six right answers even losing them all is within noise,
    and right answers that guessing explains (one-sided binomial test at 5 %) are none to lose.

    Args:
        headline: The domain's headline measure.
        measures: What was measured of the untrained model.
        rows: The domain's rows, for how many options each has.
        named: Whether the recipe names the headline measure, which then stays.
    """
    from scipy.stats import binom  # takes most of a second

    measured = measures.get(headline)
    if measured is None or headline not in GRADED or len(measured.rows) < FEW:
        return None
    quantity = GRADED[headline]
    values, options = measured.values[quantity], {row.id: len(row.options) for row in rows}
    items = len(values)
    shares = [1 / options[row] if options.get(row) else 0.0 for row in measured.rows]
    chance, right = sum(shares) / items, sum(values)
    guessed = chance > 0 and binom.sf(round(right) - 1, items, chance) > BY_CHANCE
    if right >= FEWEST_ITEMS and not guessed:
        return None
    instead = next((measure for measure in INSTEAD if measure in measures and not named), None)
    return Floor(measure=headline, quantity=quantity, value=right / items, chance=chance, items=items, instead=instead)
