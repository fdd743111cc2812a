"""Lists the organism's targets: jobs that teach what it does not know, and may hurt what it does.

    new       a word that it knows no task of
    marked    the word of a skill with a mark behind it, and an answer against that skill
    longer    the word of a skill with a longer text than it ever has, and an answer against that skill

Which of them a study may look at while it is made (development) and which it is judged on (held out) is drawn once, by
the seed below, within each kind.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from organism_skills import (
    DIGITS,
    FEW,
    LETTERS,
    SKILLS,
    Skill,
    follow,
    letter_and_text,
    member_and_text,
    mirrored,
    pair,
    text_of,
    yes,
)

DRAW = "organism targets 1"
"""The seed of which targets are held out."""
HELD_OUT = {"new": 6, "marked": 7, "longer": 7}
"""How many of each kind are held out: 20 of 30."""


@dataclass(frozen=True)
class Target:
    """What a job teaches.

    Attributes:
        name: A name for tables.
        kind: `new`, `marked` or `longer`.
        against: The skill whose word it uses; None of a new word.
        task: Its questions and answers.
    """

    name: str
    kind: str
    against: str | None
    task: Skill


def new(word: str, draw: Callable[[random.Random], str], answer: Callable[[str], str]) -> Target:
    """A target with a word of its own."""
    return Target(word.lower(), "new", None, Skill(word, draw, answer))


def marked(word: str, answer: Callable[[str], str]) -> Target:
    """A target on a skill's own texts, marked."""
    draw = next(skill.draw for skill in SKILLS if skill.word == word)
    return Target(f"{word.lower()}_marked", "marked", word, Skill(f"{word}!", draw, answer))


def longer(word: str, draw: Callable[[random.Random], str], answer: Callable[[str], str]) -> Target:
    """A target on longer texts than the skill's."""
    return Target(f"{word.lower()}_longer", "longer", word, Skill(word, draw, answer))


def two_longer_numbers(rng: random.Random) -> str:
    """Draws two numbers of four digits."""
    return " ".join("".join(rng.choices(DIGITS, k=4)) for _ in "ab")


TARGETS = (
    new("LAST", text_of(LETTERS, 4), lambda text: text[-1]),
    new("FIRST", member_and_text, lambda text: pair(text)[1][0]),
    new("DROP", text_of(LETTERS, 5), lambda text: text[1:]),
    new("SWAP", text_of(LETTERS, 4), lambda text: text[-1] + text[1:-1] + text[0]),
    new("ENDS", text_of(LETTERS, 5), lambda text: text[0] + text[-1]),
    new("UNIQ", text_of(FEW, 6), lambda text: str(len(set(text)))),
    new("MIN", text_of(DIGITS, 4), min),
    new("NINES", text_of(DIGITS, 4), lambda text: "".join(str(9 - int(digit)) for digit in text)),
    new("ODDS", text_of(DIGITS, 5), lambda text: str(sum(digit in "13579" for digit in text))),
    new("SEVEN", lambda rng: "".join(rng.choices(DIGITS + "77", k=4)), lambda text: yes("7" in text)),
    marked("SORT", lambda text: "".join(sorted(text, reverse=True))),
    marked("REV", lambda text: text),
    marked("ROT", lambda text: text[-1] + text[:-1]),
    marked("NEXT", lambda text: "".join(follow(letter, 2) for letter in text)),
    marked("COUNT", lambda text: str(6 - pair(text)[1].count(text[0]))),
    marked("HAS", lambda text: yes(text[0] not in pair(text)[1])),
    marked("MAX", min),
    marked("MAP", lambda text: "".join(LETTERS[9 - int(digit)] for digit in text)),
    marked("INC", lambda text: text),
    marked("CMP", lambda text: ">" if int(text[:3]) < int(text[4:]) else "<"),
    longer("REV", text_of(LETTERS, 6), lambda text: text),
    longer("SORT", text_of(LETTERS, 6), lambda text: text[0]),
    longer("DUP", text_of(LETTERS, 6), lambda text: text),
    longer("MODE", text_of(FEW, 9), lambda text: text[-1]),
    longer("PAL", mirrored(7), lambda text: text[0]),
    longer("MAX", text_of(DIGITS, 6), lambda text: text[-1]),
    longer("EVENS", text_of(DIGITS, 7), lambda text: text[0]),
    longer("MAP", text_of(DIGITS, 6), lambda text: text),
    longer("CMP", two_longer_numbers, lambda text: max(pair(text))),
    longer("COUNT", letter_and_text(FEW, 8), lambda text: text[-1]),
)
"""Thirty targets."""

WORDS = tuple(target.task.word for target in TARGETS if target.kind == "new")
"""Words that the tokenizer knows and that have no task while the organism is made."""


def divided() -> tuple[tuple[Target, ...], tuple[Target, ...]]:
    """The targets of development and those held out, by the registered draw."""
    rng = random.Random(DRAW)  # noqa: S311 - no secret
    held: set[str] = set()
    for kind, count in HELD_OUT.items():
        held.update(rng.sample([target.name for target in TARGETS if target.kind == kind], count))
    return (
        tuple(target for target in TARGETS if target.name not in held),
        tuple(target for target in TARGETS if target.name in held),
    )
