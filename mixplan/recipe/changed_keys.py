"""Names the keys in which a recipe differs from the one that a plan was made with."""

from __future__ import annotations

from collections.abc import Mapping

NAMED = 5
"""Keys that a message names; the others are counted."""


def changed(before: Mapping[str, object], now: Mapping[str, object]) -> str:
    """The recipe keys whose values differ, as a clause.

    Args:
        before: A recipe's values, nested.
        now: Another's, or the same one's by now.

    Returns:
        Such as `: budget.rows, seed changed`; places of files are named only where nothing else differs. Empty where
        the values are the same, as they are where only a file behind a relative place is another.
    """
    flat_before, flat_now = flat(before), flat(now)
    keys = sorted(key for key in {*flat_before, *flat_now} if flat_before.get(key) != flat_now.get(key))
    places = {key for key in keys if key.endswith((".file", ".path")) or key in ("model.name", "forecast.runs")}
    told = [key for key in keys if key not in places] or keys
    more = f" and {len(told) - NAMED} more" if len(told) > NAMED else ""
    return f": {', '.join(told[:NAMED])}{more} changed" if told else ""


def flat(value: Mapping[str, object], above: str = "") -> dict[str, object]:
    """Nested keys as dotted ones."""
    found: dict[str, object] = {}
    for key, below in value.items():
        name = f"{above}.{key}" if above else str(key)
        found |= flat(below, name) if isinstance(below, Mapping) and below else {name: below}
    return found
