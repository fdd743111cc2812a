"""Decides over a whole column how choices name their right option, and finds it in each row.

A data set names right options in one way: by letter, text, index from 0 or from 1, by the options' own labels, or by a
list with a 1 at the right place. Taken row by row, `1` can be the first option in one row and the second in another;
taken over the column, only one way fits, or the recipe says which.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mixplan.domains.choice import LETTERED, LETTERS, Options
from mixplan.domains.fields import as_text, listed
from mixplan.errors import DataError

READINGS = ("label", "one_hot", "letter", "text", "index0", "index1")
"""Ways to name the right option; where two agree on every row, the earlier one names it in messages."""
WORDS = {
    "label": "one of the options' own labels",
    "one_hot": "a list with a single 1",
    "letter": "a letter",
    "text": "an option's text",
    "index0": "an index from 0",
    "index1": "an index from 1",
}
RIVAL_SHARE = 0.99
"""A way that fits so many of the rows that the best one fits is taken for possible too."""

FEWEST_IN_PLACE = 10
"""Of two options the right one stands first in fewer rows than these by chance now and then."""

_LETTER = re.compile(r"\(?([A-Za-z])[.):]?")
_INDEX = re.compile(r"(\d{1,3})(?:\.0+)?")


@dataclass(frozen=True, slots=True)
class Named:
    """One row's answer as the data gives it.

    Attributes:
        place: The row, for messages.
        given: The answer's cell; a list that is written as text is a list.
        options: The row's options.
    """

    place: str
    given: Any
    options: Options

    @classmethod
    def of(cls, place: str, given: Any, options: Options) -> Named:
        """Take a cell as an answer."""
        items = listed(given) if isinstance(given, str) else given
        return cls(place, tuple(items) if isinstance(items, list | tuple) else given, options)

    @staticmethod
    def empty(given: Any) -> bool:
        """Whether a cell holds no answer: null, NaN, empty text or an empty list."""
        if isinstance(given, float):
            return math.isnan(given)
        return given is None or (isinstance(given, str) and not given.strip()) or given in ([], ())

    def index(self, reading: str) -> int | None:
        """The right option's index, read in one way; None where that does not fit."""
        count = len(self.options.texts)
        if isinstance(self.given, tuple):
            return _one_hot(self.given, count) if reading == "one_hot" else None
        text = (as_text(self.given, f"{self.place}: the answer") or "").strip()
        if reading in ("index0", "index1"):
            match = None if isinstance(self.given, bool) else _INDEX.fullmatch(text)
            index = int(match[1]) - (reading == "index1") if match else -1
            return index if 0 <= index < count else None
        if reading == "label":
            return _equal(text, self.options.labels)
        if reading == "letter":
            return _letter(text, self.options.texts) if isinstance(self.given, str) else None
        return _equal(text, self.options.texts) if reading == "text" else None

    @property
    def shown(self) -> str:
        """The answer as messages show it."""
        if isinstance(self.given, tuple):
            return "[" + ", ".join(str(item) for item in self.given[:6]) + (", ...]" if len(self.given) > 6 else "]")
        return repr((as_text(self.given, self.place) or "").strip()[:60])


def decide(answers: Sequence[Named], *, source: str, allowed: int) -> str:
    """Find the one way in which a column names right options.

    Args:
        answers: Of every row that has one.
        source: The data, for messages.
        allowed: So many rows may be faulty.

    Returns:
        One of `READINGS`.

    Raises:
        DataError: two ways fit and mean different options, rows are written in several ways, or none fits a row.
    """
    found = {reading: [answer.index(reading) for answer in answers] for reading in READINGS}
    fits = {reading: sum(index is not None for index in indices) for reading, indices in found.items()}
    best = max(READINGS, key=fits.__getitem__)
    if not fits[best]:
        raise no_option(answers[0], None)
    if fits["label"] >= RIVAL_SHARE * fits[best]:
        # The data says itself which option each label names.
        return "label"
    for number, answer in enumerate(answers):
        meant = {
            reading: index
            for reading in READINGS
            if fits[reading] >= RIVAL_SHARE * fits[best] and (index := found[reading][number]) is not None
        }
        if len(set(meant.values())) > 1:
            raise left_open(answer, meant, source)
    others = [
        (answer, [reading for reading in READINGS if found[reading][number] is not None])
        for number, answer in enumerate(answers)
        if found[best][number] is None
    ]
    if (mixed := [pair for pair in others if pair[1]]) and len(others) > allowed:
        raise several_ways(best, mixed, len(others), len(answers), source)
    return best


def fitting(reading: str, answers: Sequence[Named]) -> bool:
    """Whether a way that was found in one source fits another one's column."""
    return sum(answer.index(reading) is not None for answer in answers) >= RIVAL_SHARE * len(answers)


def in_one_place(reading: str, answers: Sequence[Named]) -> bool:
    """Whether the right option stands in one place in every row, from the first option or from the last.

    Data sets that list the right answer before the wrong ones are like that (TruthfulQA's mc1, SciQ, GPQA): a model
    that always says `A` is right in all of them. Rows whose right options are all of one text have one class, and fewer
    than `FEWEST_IN_PLACE` may be so by chance.
    """
    found = [(index, one.options.texts) for one in answers if (index := one.index(reading)) is not None]
    places = [{index for index, _ in found}, {len(texts) - index for index, texts in found}]
    several = len({texts[index].casefold() for index, texts in found}) > 1
    return len(found) >= FEWEST_IN_PLACE and several and any(len(place) == 1 for place in places)


def left_open(answer: Named, meant: dict[str, int], source: str) -> DataError:
    """The error for a column that can be read in several ways."""
    ways = {index: [way for way, other in meant.items() if other == index] for index in sorted(set(meant.values()))}
    texts = answer.options.texts
    readings = " or ".join(f"{LETTERS[index]}. {texts[index][:60]!r} ({', '.join(ways[index])})" for index in ways)
    keys = " or ".join(f"`labels: {way}`" for index in ways for way in ways[index])
    return DataError(
        f"{source}: the column of answers can be read in {len(meant)} ways. {row_of(answer, source).capitalize()}: the "
        f"answer {answer.shown} is {readings}. Set {keys} in this section of the recipe."
    )


def several_ways(
    best: str, mixed: Sequence[tuple[Named, list[str]]], others: int, count: int, source: str
) -> DataError:
    """The error for a column that names right options in one way here and in another there."""
    answer = mixed[0][0]
    other = max(READINGS, key=lambda reading: sum(reading in ways for _, ways in mixed))
    share = math.ceil(1000 * others / count) / 1000
    return DataError(
        f"{source}: the column of answers holds {WORDS[best]} in {count - others} of {count} rows, but "
        f"{WORDS[other]} in others, such as {row_of(answer, source)}: {answer.shown}. Write it one way in every row; "
        f"or set `labels: {best}` and `data.faulty_share: {share}`, which leaves the {others} other rows out."
    )


def no_option(answer: Named, reading: str | None) -> DataError:
    """The error for an answer that names no option, read in one way or in any."""
    count, last = len(answer.options.texts), LETTERS[len(answer.options.texts) - 1]
    if isinstance(answer.given, tuple) and reading != "one_hot":
        return DataError(
            f"{answer.place}: the answer is the list {answer.shown}, not one letter, index or text. Name one item of "
            "it, as in `answer: COLUMN.0`; a list of a 0 or 1 for each option is read where exactly one is 1."
        )
    expected = {
        "label": f"one of {', '.join(answer.options.labels) or 'the options own labels'}",
        "one_hot": f"a list of {count} numbers, one of them 1 and the others 0",
        "letter": f"a letter A to {last}",
        "text": "an option's text",
        "index0": f"an index 0 to {count - 1}",
        "index1": f"an index 1 to {count}",
        None: f"a letter A to {last}, an index from 0 or 1, or an option's text",
    }[reading]
    return DataError(
        f"{answer.place}: the answer {answer.shown} is not among the options A to {last}. Expected {expected}."
    )


def row_of(answer: Named, source: str) -> str:
    """A row's place within its source: `line 7`."""
    return answer.place.removeprefix(source).lstrip(", ") or answer.place


def _equal(text: str, names: Sequence[str]) -> int | None:
    """The option of exactly this name, else the one that equals it but for case and spacing."""
    if text in names:
        return names.index(text)
    wanted = text.casefold().split()
    return next((index for index, name in enumerate(names) if name.casefold().split() == wanted), None)


def _letter(text: str, options: Sequence[str]) -> int | None:
    """The option that a letter names, alone or in front of the option's text."""
    if match := _LETTER.fullmatch(text):
        index = LETTERS.index(match[1].upper())
        return index if index < len(options) else None
    match = LETTERED.fullmatch(text)
    index = LETTERS.index(match[1]) if match else len(options)
    same = match and index < len(options) and options[index].casefold().split() == match[2].casefold().split()
    return index if same else None


def _one_hot(items: Sequence[Any], count: int) -> int | None:
    """The place of the only 1 in a list of zeros, one for each option; options left empty at the end have one too."""
    numbers = all(isinstance(item, bool | int | float) and item in (0, 1) for item in items)
    if not numbers or len(items) < count or sum(items) != 1:
        return None
    index = next(number for number, item in enumerate(items) if item == 1)
    return index if index < count else None
