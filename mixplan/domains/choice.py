"""Options and answer as data sets write them in, the options' texts and the right one's index out."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from mixplan.domains.fields import as_text
from mixplan.domains.limits import value_kind
from mixplan.errors import DataError

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_LETTERED = re.compile(r"\s*\(?([A-Z])[.):]\s*(.*)", re.DOTALL)
_LETTER = re.compile(r"\(?([A-Za-z])[.):]?")


def read_options(value: Any, place: str) -> tuple[str, ...]:
    """Read options.

    Args:
        value: A list of texts, a JSON list as text, or one text of lettered lines (`A. x`, `B. y`).
        place: The row, for messages.

    Returns:
        The options' texts in order, without letters.

    Raises:
        DataError: fewer than two options, more than there are letters, or an empty one.
    """
    if isinstance(value, str):
        texts = _split(value, place)
    elif isinstance(value, list | tuple):
        texts = [(as_text(item, f"{place}: an option") or "").strip() for item in value]
    else:
        raise DataError(f"{place}: the options are {value_kind(value)}, not a list or lettered lines. Map `options`.")
    found = [_LETTERED.fullmatch(text) for text in texts]
    if len(texts) > 1 and [match and match[1] for match in found] == list(LETTERS[: len(texts)]):
        texts = [match[2].strip() for match in found if match]
    if len(texts) < 2:
        raise DataError(
            f"{place}: {len(texts)} option{'' if len(texts) == 1 else 's'}, but a choice needs two or more."
        )
    if len(texts) > len(LETTERS):
        raise DataError(
            f"{place}: {len(texts)} options, but only {len(LETTERS)} letters. Use `format: question_answer`."
        )
    if "" in texts:
        raise DataError(f"{place}: option {LETTERS[texts.index('')]} is empty. Remove it or fill it in.")
    return tuple(texts)


def _split(text: str, place: str) -> list[str]:
    """Options out of one text; a line without a letter goes on with the option before it."""
    as_text(text, f"{place}: column of options")
    if text.lstrip().startswith("["):
        try:
            listed = json.loads(text)
        except ValueError:
            listed = None
        if isinstance(listed, list):
            return [(as_text(item, f"{place}: an option") or "").strip() for item in listed]
    options: list[str] = []
    for line in text.strip().splitlines():
        match = _LETTERED.fullmatch(line)
        if match and len(options) < len(LETTERS) and match[1] == LETTERS[len(options)]:
            options.append(match[2].strip())
        elif options:
            options[-1] = f"{options[-1]}\n{line}".strip()
        elif line.strip():
            raise DataError(
                f"{place}: the options begin with {line.strip()[:40]!r}, not with `A.`. Letter them, or list them."
            )
    return options


def find_answer(answer: Any, options: Sequence[str], place: str) -> int:
    """Find the right option.

    Args:
        answer: A letter (`B`, `(b)`), an index from 0, an option's text, or both (`B. text`).
        options: The options' texts.
        place: The row, for messages.

    Returns:
        The right option's index.

    Raises:
        DataError: no option is meant, or two different ones could be.
    """
    text = (as_text(answer, f"{place}: the answer") or "").strip()
    meant = set(_by_text(text, options))
    if isinstance(answer, str) or not meant:
        meant |= _by_letter_or_index(text, options)
    if len(meant) == 1:
        return meant.pop()
    last = LETTERS[len(options) - 1]
    if meant:
        both = " and ".join(LETTERS[index] for index in sorted(meant))
        raise DataError(f"{place}: the answer {text[:60]!r} could mean options {both}. Write it as `B. text`.")
    raise DataError(
        f"{place}: the answer {text[:60]!r} is not among the options A to {last}. "
        f"Give a letter A to {last}, an index 0 to {len(options) - 1}, or an option's text."
    )


def _by_text(text: str, options: Sequence[str]) -> list[int]:
    """The option of exactly this text, else the one that equals it but for case and spacing."""
    if text in options:
        return [options.index(text)]
    folded = [" ".join(option.casefold().split()) for option in options]
    wanted = " ".join(text.casefold().split())
    return [folded.index(wanted)] if wanted in folded else []


def _by_letter_or_index(text: str, options: Sequence[str]) -> set[int]:
    if match := _LETTER.fullmatch(text):
        index = LETTERS.index(match[1].upper())
        return {index} if index < len(options) else set()
    if re.fullmatch(r"\d{1,2}", text):
        # Digits that are an option's text mean that text.
        return {int(text)} if int(text) < len(options) and text not in options else set()
    if match := _LETTERED.fullmatch(text):
        index = LETTERS.index(match[1])
        return {index} if _by_text(match[2].strip(), options) and _same(options, index, match[2]) else set()
    return set()


def _same(options: Sequence[str], index: int, text: str) -> bool:
    return index < len(options) and options[index].casefold().split() == text.casefold().split()


def render(question: str, options: Sequence[str]) -> str:
    """The question, an empty line, and a line for each option: `A. text`."""
    return "\n".join([question, "", *(f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=False))])
