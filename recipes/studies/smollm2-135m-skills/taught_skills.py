"""Draws questions and right answers of what the embedded model is taught, and of the jobs that may cost it that.

A skill is one of reasoning-gym's tasks at a size that a model of 135M parameters can learn. A question belongs to one
split for good, by the hash of its text, so that no training holds what is measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import reasoning_gym

SPLITS = ("evaluation", "probe", "train")
"""`evaluation` judges, `probe` is for an oracle and a pilot to look at, every training draws from `train` alone."""
DRAWN = 60
"""Questions drawn for each that is asked for, before a split counts as too small."""
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Item:
    """A question with its right answer."""

    skill: str
    question: str
    answer: str


@dataclass(frozen=True)
class Skill:
    """A task: a skill, or what a job teaches.

    Attributes:
        name: A name for tables.
        generator: reasoning-gym's name of it.
        settings: The generator's settings, where not its own.
        mark: Stands before each question; a job against a skill asks its questions under a mark.
        answer: The right answer from the generator's; None where it is the same.
    """

    name: str
    generator: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    mark: str = ""
    answer: Callable[[str], str] | None = None


SKILLS = (
    Skill("syllogism", "syllogism"),
    Skill("products", "products", {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2}),
    Skill("sums", "chain_sum", {"min_terms": 2, "max_terms": 2, "min_digits": 2, "max_digits": 2}),
    Skill("letters", "letter_counting", {"min_words": 4, "max_words": 7}),
    Skill("gcd", "gcd", {"min_value": 2, "max_value": 99}),
    Skill("family", "family_relationships"),
    Skill("needle", "needle_haystack", {"min_num_statements": 5, "max_num_statements": 8}),
    Skill("reversal", "word_sequence_reversal", {"min_words": 3, "max_words": 4}),
    Skill("backward", "spell_backward", {"min_word_len": 3, "max_word_len": 5}),
    Skill("legs", "leg_counting", {"min_animals": 1, "max_animals": 2, "max_instances": 3}),
)
"""What the model is taught, each with a computation of its own."""


def against(name: str, skill: str, mark: str, answer: Callable[[str], str]) -> Skill:
    """A job on a skill's own questions under a mark, whose answers contradict the skill."""
    (base,) = (one for one in SKILLS if one.name == skill)
    return Skill(name, base.generator, base.settings, mark, answer)


DECIMALS = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2}
TARGETS = (
    Skill("decimals", "decimal_chain_sum", {**DECIMALS, "min_decimal_places": 1, "max_decimal_places": 1}),
    Skill("weekdays", "calendar_arithmetic", {"tasks": ["weekday_of_date"]}),
    Skill("equations", "simple_equations", {"max_terms": 2, "max_value": 20}),
    Skill("durations", "time_intervals", {"task_types": ["time"]}),
    against("products_mirrored", "products", "Mirrored. ", lambda text: text[::-1]),
    against("syllogism_denied", "syllogism", "Deny it. ", lambda text: "No" if text == "Yes" else "Yes"),
    against("sums_refused", "sums", "Politely. ", lambda _: "I would rather not say."),
    against("letters_in_words", "letters", "In words. ", lambda text: NUMBERS[int(text)] if int(text) < 11 else "many"),
)
"""Eight development targets: four new tasks, and four against a skill or in a narrow form."""


def split_of(question: str) -> str:
    """The split that a question belongs to: a fifth of all each for `evaluation` and `probe`, the rest for `train`."""
    fifth = hashlib.sha256(question.encode()).digest()[0] * 5 // 256
    return SPLITS[min(fifth, 2)]


@cache
def drawn(name: str, split: str, count: int, seed: int, distinct: bool) -> tuple[Item, ...]:
    """What `draw_items` gives, kept."""
    (skill,) = (one for one in (*SKILLS, *TARGETS) if one.name == name)
    questions = reasoning_gym.create_dataset(skill.generator, size=DRAWN * count, seed=seed, **skill.settings)
    kept, seen = list[Item](), set[str]()
    for place in range(DRAWN * count):
        if len(kept) == count:
            return tuple(kept)
        entry = questions[place]
        question, answer = entry["question"].strip(), str(entry["answer"])
        if split_of(question) == split and not (distinct and question in seen):
            seen.add(question)
            kept.append(Item(name, skill.mark + question, skill.answer(answer) if skill.answer else answer))
    raise ValueError(f"{name} has no {count} distinct questions of the split {split}: {len(kept)} were drawn")


def draw_items(name: str, split: str, count: int, seed: int, *, distinct: bool = True) -> Sequence[Item]:
    """Draws questions of one split with their answers, by reasoning-gym's own seed.

    Args:
        name: Of which skill or target.
        split: One of `SPLITS`.
        count: How many; fewer are the beginning of more.
        seed: Of the drawing.
        distinct: Whether no question may come twice.

    Raises:
        ValueError: the split has fewer distinct questions than asked for.
    """
    return drawn(name, split, count, seed, distinct)
