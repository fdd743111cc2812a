"""Takes one number an item from a metric of lm-evaluation-harness, and holds it against the figure in the results.

A metric counts as a number an item where its mean over items is the figure in the results. Where the harness keeps
log-likelihoods behind a perplexity, an item's value is bits: of the item (`perplexity`), a word or a byte.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

CLOSE = 1e-6
"""Relative, of a figure in the results and the same taken from its samples."""


@dataclass(frozen=True)
class Column:
    """A metric's values, one an item: the quantity's name, whether more is better, the values, and what to know."""

    quantity: str
    better: int
    values: list[float]
    note: str | None = None


def column_of(metric: str, higher: bool | None, values: Sequence[JsonValue], stated: JsonValue) -> Column | str:
    """One metric's values, or why it has none that can be paired."""
    figure = stated if isinstance(stated, int | float) and not isinstance(stated, bool) else None
    numbers = [float(value) for value in values if isinstance(value, bool | int | float)]
    if len(numbers) == len(values):
        if not all(map(math.isfinite, numbers)):
            return "some items have no finite number"
        mean = math.fsum(numbers) / len(numbers)
        if figure is None or math.isclose(mean, figure, rel_tol=CLOSE, abs_tol=CLOSE):
            return Column(metric, 0 if higher is None else 1 if higher else -1, numbers)
        if is_exponent(-mean, figure):
            note = (
                f"{metric} is compared in bits per item: the samples hold log-likelihoods, of which the harness makes "
                "one figure."
            )
            return Column("bits_per_item", -1, [-value / math.log(2) for value in numbers], note)
        return f"its figure in the results, {figure:.6g}, is not the mean of its samples, {mean:.6g}"
    pairs = [pair for value in values if (pair := weighed(value)) is not None]
    if len(pairs) == len(values) and figure is not None:
        return weighed_column(metric, pairs, figure)
    return "it is no number for a single item"


def is_exponent(log: float, figure: float) -> bool:
    """Whether a figure is e to this."""
    return log < 700 and math.isclose(math.exp(log), figure, rel_tol=CLOSE)


def weighed(value: JsonValue) -> tuple[float, float] | None:
    """A log-likelihood with its number of words or bytes, or None."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    log, weight = value
    if isinstance(log, str | list | dict | None) or isinstance(weight, str | list | dict | None):
        return None
    return (float(log), float(weight)) if math.isfinite(log) and math.isfinite(weight) and weight > 0 else None


def weighed_column(metric: str, pairs: Sequence[tuple[float, float]], figure: float) -> Column | str:
    """Bits of each item, by word or by byte; or why not."""
    rate = -math.fsum(log for log, _ in pairs) / math.fsum(weight for _, weight in pairs)
    if not is_exponent(rate, figure) and not math.isclose(rate / math.log(2), figure, rel_tol=CLOSE):
        return f"its figure in the results, {figure:.6g}, does not follow from its samples"
    unit = "word" if "word" in metric else "byte"
    note = (
        f"{metric} is compared in bits per {unit}, averaged over documents; the harness's own figure weighs each "
        "document by its length."
    )
    return Column(f"bits_per_{unit}", -1, [-log / weight / math.log(2) for log, weight in pairs], note)


def options_in(arguments: JsonValue) -> int:
    """How many options a multiple-choice item was scored on: different pairs of a context and what may follow it.

    Pairs without a context are those of a metric by mutual information, where others have one.
    """
    each = arguments.values() if isinstance(arguments, dict) else arguments if isinstance(arguments, list) else ()
    pairs = {
        (entry.get("arg_0"), entry.get("arg_1")) if isinstance(entry, dict) else tuple(entry[:2])
        for entry in each
        if isinstance(entry, dict | list)
    }
    texts = {pair for pair in pairs if all(isinstance(text, str) for text in pair)}
    return len({pair for pair in texts if pair[0]} or texts)
