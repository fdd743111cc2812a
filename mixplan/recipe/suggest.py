"""Suggests the nearest known name for a mistyped one, as a `Did you mean` sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name.

    Returns:
        ` Did you mean 'x'?` with its leading space; when nothing is near and there are few names, ` Known: 'x', 'y'.`;
        else nothing.
    """
    names = sorted(known)
    folded = {candidate.lower(): candidate for candidate in reversed(names)}
    near = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    if near:
        return f" Did you mean {folded[near[0]]!r}?"
    if names and len(names) <= 20:
        return f" Known: {', '.join(map(repr, names))}."
    return ""
