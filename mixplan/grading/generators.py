"""Knows how the scorers of reasoning-gym's generators treat answers whose grade is known, as `bin/graders` found."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

TOLD_SHARE = 0.05
"""Wrong answers accepted, and own ones not accepted, from this share on are told."""
PARTIAL = 0.5
"""Mean score of wrong answers from which on a reward is told."""
SAME_QUESTIONS = 0.5
"""From this share of questions on two seeds give the same ones."""


@dataclass(frozen=True)
class Facts:
    """What the probes found of one generator, with its default options.

    Attributes:
        entries: How many were tried.
        own: Share of entries whose own answer is graded right.
        none: Share of entries that have no answer.
        wrong: By kind of wrong answer, the share of entries that accept it.
        partial: By kind of wrong answer, the mean score.
        same: Share of the questions of one seed that the next seed gives too.
        options: Whether the scorer goes by the options that entries were made with.
    """

    entries: int
    own: float
    none: float
    wrong: dict[str, float]
    partial: dict[str, float]
    same: float
    options: bool


@functools.cache
def known() -> dict[str, Facts]:
    """The facts of every generator, by name."""
    found = json.loads((files("mixplan") / "grading" / "generators.json").read_text(encoding="utf-8"))
    return {name: Facts(**facts) for name, facts in found["generators"].items()}


def warnings_of(name: str, *, rewarded: bool) -> Iterator[str]:
    """What a reader should know before rows of a generator are measured or rewarded, a sentence each.

    Args:
        name: The generator's; nothing is known of one that the pinned reasoning-gym lacks.
        rewarded: Whether its scores are rewards, to which part of the credit counts.
    """
    facts = known().get(name)
    if facts is None:
        return
    if facts.none:
        yield f"generator {name}: {facts.none:.0%} of its entries have no answer."
    elif facts.own < 1 - TOLD_SHARE:
        yield f"generator {name}: its scorer accepts only {facts.own:.0%} of its own answers once they are saved."
    accepted = {kind: part for kind, part in facts.wrong.items() if part > TOLD_SHARE}
    if accepted:
        listed = ", ".join(f"{kind} in {part:.0%} of entries" for kind, part in accepted.items())
        yield f"generator {name}: its scorer accepts wrong answers: {listed}."
    elif rewarded and max(facts.partial.values(), default=0) >= PARTIAL:
        kind, score = max(facts.partial.items(), key=lambda item: item[1])
        yield f"generator {name}: its scorer rewards wrong answers: {kind} scores {score:.2f} on average."
