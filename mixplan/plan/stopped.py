"""Says what of a recipe is read only until it is enough, where reading stopped, and why."""

from __future__ import annotations

from mixplan.plan.looks import DRAWS, LOOKS, SAME_ROWS, Expected
from mixplan.recipe import Recipe
from mixplan.saved.scores import Scores, Stopped


def automatic(recipe: Recipe) -> bool:
    """Whether anything is read only until it is enough."""
    return "auto" in (recipe.drift.query_tokens, recipe.sts.query_tokens)


def stops(recipe: Recipe, name: str) -> bool:
    """Whether the target (under the name `target`) or a domain is read only until it is enough."""
    return (recipe.drift if name == "target" else recipe.sts).query_tokens == "auto"


def stopped_at(scores: Scores, expected: Expected) -> Stopped:
    """How far reading came, and what reading all is expected to change, for the plan.

    Args:
        scores: Of the look.
        expected: What reading all is expected to leave as it is.

    Raises:
        ValueError: the scores are of no look.
    """
    if (looks := scores.looks) is None:
        raise ValueError("scores of a given budget stop at no look")
    read, at_most = sum(one.query_tokens for one in scores.reading.values()), sum(looks.at_most.values())
    last = max(looks.looks.values(), default=0)
    less = sum(look < last for look in looks.looks.values())
    of_these = f", {less} of {len(looks.looks)} readings less far" if less else ""
    read_of = f"Read {read:,} of at most {at_most:,} query tokens (look {last + 1} of {len(LOOKS)}{of_these}): "
    if expected.order is None or expected.rows is None:
        text = (
            "the SAE fires on too many features for all of them to be kept, so nothing says what reading on would "
            "change, and all is read."
        )
    else:
        text = (
            f"reading all of them is expected to pick {expected.dimensions:.0%} of the drift dimensions again and to "
            f"order the domains alike (Spearman {expected.order:.2f}), and no domain's rows change by more than "
            f"{SAME_ROWS} in {expected.rows:.1%} of {DRAWS} draws of it. Intervals are wide enough "
            "to hold at all looks together."
        )
    return Stopped(
        look=last,
        looks=looks.looks,
        query_tokens=read,
        at_most=at_most,
        dimensions=expected.dimensions,
        order=expected.order,
        rows=expected.rows,
        text=read_of + text,
    )
