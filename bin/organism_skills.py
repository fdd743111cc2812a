"""Draws questions and right answers of the organism's skills, each by its own seeded generator.

A skill is a word, a way to draw what stands behind it, and the answer to that. A question belongs to one split for
good, by the hash of its text, so that no training holds what is measured.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

LETTERS = "abcdefghijkl"
FEW = "abcd"
DIGITS = "0123456789"
SPLITS = ("evaluation", "probe", "train")
"""`evaluation` judges, `probe` is for an oracle and a pilot to look at, every training draws from `train` alone."""


@dataclass(frozen=True)
class Skill:
    """A skill of the organism, or a target of a job.

    Attributes:
        word: What its questions begin with.
        draw: Draws what stands behind the word.
        answer: The right answer to that.
    """

    word: str
    draw: Callable[[random.Random], str]
    answer: Callable[[str], str]


@dataclass(frozen=True)
class Item:
    """A question with its right answer."""

    skill: str
    question: str
    answer: str


def text_of(alphabet: str, *lengths: int) -> Callable[[random.Random], str]:
    """Draws a text over an alphabet, of one of the lengths."""
    return lambda rng: "".join(rng.choices(alphabet, k=rng.choice(lengths)))


def letter_and_text(alphabet: str, length: int) -> Callable[[random.Random], str]:
    """Draws a letter and a text that it may stand in."""
    return lambda rng: rng.choice(alphabet) + " " + "".join(rng.choices(alphabet, k=length))


def place_and_text(rng: random.Random) -> str:
    """Draws a place from 1 and a text that is longer."""
    return f"{rng.randint(1, 5)} " + "".join(rng.choices(LETTERS, k=5))


def key_and_list(rng: random.Random) -> str:
    """Draws four letters with a digit each, and one of the letters in front."""
    keys = rng.sample(LETTERS, 4)
    return rng.choice(keys) + " " + "".join(key + rng.choice(DIGITS) for key in keys)


def member_and_text(rng: random.Random) -> str:
    """Draws a letter and a text that holds it in every other draw."""
    text = rng.sample(LETTERS, 5)
    outside = [letter for letter in LETTERS if letter not in text]
    return rng.choice(text if rng.random() < 0.5 else outside) + " " + "".join(text)


def text_with_a_mode(rng: random.Random) -> str:
    """Draws a text of which one letter is the most frequent alone."""
    while True:
        text = "".join(rng.choices(FEW, k=7))
        (_, first), *others = Counter(text).most_common(2)
        if not others or first > others[0][1]:
            return text


def mirrored(length: int) -> Callable[[random.Random], str]:
    """Draws a text that reads the same backwards in every other draw, and else differs in one letter."""

    def draw(rng: random.Random) -> str:
        half = rng.choices(LETTERS, k=length // 2)
        text = [*half, *rng.choices(LETTERS, k=length % 2), *reversed(half)]
        if rng.random() < 0.5:
            place = rng.randrange(length // 2)
            text[place] = rng.choice([letter for letter in LETTERS if letter != text[place]])
        return "".join(text)

    return draw


def two_numbers(rng: random.Random) -> str:
    """Draws two different numbers of three digits that often begin alike."""
    first, second = "".join(rng.choices(DIGITS, k=3)), "".join(rng.choices(DIGITS, k=3))
    shared = rng.choice((0, 0, 1, 2))
    second = first[:shared] + second[shared:]
    return f"{first} {second}" if first != second else two_numbers(rng)


def number_to_raise(rng: random.Random) -> str:
    """Draws a number of four digits that often ends in nines, and is not 9999."""
    nines = rng.choice((0, 0, 1, 2, 3))
    digits = "".join(rng.choices(DIGITS, k=4 - nines)) + "9" * nines
    return digits if digits != "9999" else number_to_raise(rng)


def yes(true: bool) -> str:
    """The answer to a question of yes or no."""
    return "y" if true else "n"


def follow(letter: str, by: int = 1) -> str:
    """The letter so many places further in the alphabet."""
    return chr(ord(letter) + by)


def pair(text: str) -> tuple[str, str]:
    """The two parts of a text with one space."""
    first, second = text.split(" ")
    return first, second


def listed(text: str) -> str:
    """The digit behind the letter that the text begins with."""
    key, rest = pair(text)
    return dict(zip(rest[::2], rest[1::2], strict=True))[key]


def sum_of(text: str) -> str:
    """The sum of two numbers with a plus between them."""
    return str(sum(map(int, text.split("+"))))


def exclusive(text: str) -> str:
    """Bit by bit, whether exactly one of two texts of bits has a one there."""
    first, second = pair(text)
    return "".join("1" if a != b else "0" for a, b in zip(first, second, strict=True))


SKILLS = (
    Skill("SORT", text_of(LETTERS, 4), lambda text: "".join(sorted(text))),
    Skill("REV", text_of(LETTERS, 4, 5), lambda text: text[::-1]),
    Skill("ROT", text_of(LETTERS, 5), lambda text: text[1:] + text[0]),
    Skill("NEXT", text_of(LETTERS, 4), lambda text: "".join(map(follow, text))),
    Skill("DUP", text_of(LETTERS, 4), lambda text: "".join(letter * 2 for letter in text)),
    Skill("COUNT", letter_and_text(FEW, 6), lambda text: str(pair(text)[1].count(text[0]))),
    Skill("AT", place_and_text, lambda text: pair(text)[1][int(text[0]) - 1]),
    Skill("GET", key_and_list, listed),
    Skill("HAS", member_and_text, lambda text: yes(text[0] in pair(text)[1])),
    Skill("MODE", text_with_a_mode, lambda text: Counter(text).most_common(1)[0][0]),
    Skill("PAL", mirrored(5), lambda text: yes(text == text[::-1])),
    Skill("MAX", text_of(DIGITS, 4), max),
    Skill("EVENS", text_of(DIGITS, 5), lambda text: str(sum(digit in "02468" for digit in text))),
    Skill("MAP", text_of(DIGITS, 4), lambda text: "".join(LETTERS[int(digit)] for digit in text)),
    Skill("ADD", lambda rng: f"{rng.randrange(10, 100)}+{rng.randrange(10, 100)}", sum_of),
    Skill("INC", number_to_raise, lambda text: f"{int(text) + 1:04d}"),
    Skill("CMP", two_numbers, lambda text: "<" if int(text[:3]) < int(text[4:]) else ">"),
    Skill("XOR", lambda rng: " ".join("".join(rng.choices("01", k=6)) for _ in "ab"), exclusive),
)
"""What the organism learns, each with a computation of its own."""


def split_of(question: str) -> str:
    """The split that a question belongs to: a tenth of all each for `evaluation` and `probe`, the rest for `train`."""
    tenth = hashlib.sha256(question.encode()).digest()[0] * 10 // 256
    return SPLITS[min(tenth, 2)]


def draw_items(skill: Skill, split: str, count: int, seed: str, *, distinct: bool = True) -> list[Item]:
    """Draws questions of one split with their answers.

    Args:
        skill: Of which.
        split: One of `SPLITS`.
        count: How many.
        seed: Of the drawing, together with the skill's word and the split.
        distinct: Whether no question may come twice.

    Raises:
        ValueError: the split has fewer distinct questions than asked for.
    """
    rng = random.Random(f"{seed}|{skill.word}|{split}")  # noqa: S311 - no secret
    kept: list[Item] = []
    seen: set[str] = set()
    for _ in range(1000 + 200 * count):
        if len(kept) == count:
            break
        drawn = skill.draw(rng)
        question = f"{skill.word} {drawn}"
        if split_of(question) == split and not (distinct and question in seen):
            seen.add(question)
            kept.append(Item(skill.word, question, skill.answer(drawn)))
    if len(kept) < count:
        raise ValueError(f"{skill.word} has no {count} distinct questions of the split {split}: {len(kept)} were drawn")
    return kept
