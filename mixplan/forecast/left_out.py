"""Names what was measured and does not teach this plan, one line for each reason, with the key that would let it in."""

from __future__ import annotations

from collections.abc import Sequence

from mixplan.forecast.earlier_runs import History, LeftOut

SHOWN = 3
"""Runs that a line names; the others are counted."""


def left_out_lines(parts: Sequence[LeftOut]) -> list[str]:
    """Say what was left out.

    A study that comes with mixplan and is of another model is passed over: it says nothing to whom it is no use.

    Args:
        parts: In any order.

    Returns:
        A whole sentence for each reason, in alphabetical order.
    """
    lines = []
    shown = [part for part in parts if not (part.shipped and part.reason == "model")]
    for reason in sorted({part.reason for part in shown}):
        group = sorted((part for part in shown if part.reason == reason), key=lambda part: part.name)
        many = len(group) > 1
        listed = joined([part.name for part in group])
        what = "measured with other settings" if reason == "settings" else f"of another {reason}"
        lines.append(
            f"The forecast does not learn from {listed}, {'which are' if many else 'which is'} {what}; "
            f"{keys_of(group)} would let {'them' if many else 'it'} in."
        )
    return lines


def left_out_lines_of(history: History) -> tuple[list[str], list[str]]:
    """The lines that a person is warned with, and those that the report holds.

    Warned of is what the recipe names, and, where nothing teaches the plan, what would with other settings of it.
    """
    warned = [one for one in history.left_out if one.asked or (not history.runs and one.reason == "settings")]
    beside = [one for one in history.left_out if one not in warned]
    return left_out_lines(warned), left_out_lines(beside)


def joined(names: Sequence[str]) -> str:
    """Names in a row, at most so many."""
    unique = list(dict.fromkeys(names))
    if len(unique) > SHOWN + 1:
        return f"{', '.join(unique[:SHOWN])} and {len(unique) - SHOWN} more"
    return " and ".join([", ".join(unique[:-1]), unique[-1]] if len(unique) > 1 else unique)


def keys_of(group: Sequence[LeftOut]) -> str:
    """The keys that would let them in: with their values where all need the same."""
    if len({part.keys for part in group}) == 1:
        return " with ".join(f"`{key}`" for key in group[0].keys)
    names = dict.fromkeys(key.partition(":")[0] for part in group for key in part.keys)
    return " and ".join(f"`{name}` as theirs" for name in names)
