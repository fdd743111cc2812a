"""Reads a choice's options in the forms that data sets give them, and writes them into its question."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixplan.domains.fields import as_text, listed
from mixplan.domains.limits import value_kind
from mixplan.errors import DataError

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

LETTERED = re.compile(r"\s*\(?([A-Z])[.):]\s*(.*)", re.DOTALL)
"""An option or answer behind its letter: `A. text`, `(A) text`, `A) text`."""


@dataclass(frozen=True, slots=True)
class Options:
    """A choice's options.

    Attributes:
        texts: In order, without letters.
        labels: The data's own name of each, where it has them: the keys of an object, ARC's `label`.
    """

    texts: tuple[str, ...]
    labels: tuple[str, ...] = ()


def read_options(value: Any, place: str, labels: Any = None) -> Options:
    """Read options.

    Options at the end that are null or empty are none: data sets with columns for five leave the fifth empty.

    Args:
        value: A list of texts, a JSON list as text, one text of lettered lines (`A. x`, `B. y`), an object of texts by
            their labels, or an object with the lists `text` and `label`.
        place: The row, for messages.
        labels: The options' own labels, where they stand in a list of their own.

    Raises:
        DataError: fewer than two options, more than there are letters, or an empty one before others.
    """
    if isinstance(value, Mapping):
        value, labels = from_object(value, place)
    if isinstance(value, str):
        texts = _split(value, place)
    elif isinstance(value, list | tuple):
        texts = [(as_text(item, f"{place}: an option") or "").strip() for item in value]
    else:
        raise DataError(f"{place}: the options are {value_kind(value)}, not a list or lettered lines. Map `options`.")
    while texts and not texts[-1]:
        texts.pop()
    found = [LETTERED.fullmatch(text) for text in texts]
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
    names = labels if isinstance(labels, list | tuple) else []
    named = [(as_text(name, f"{place}: an option's label") or "").strip() for name in names[: len(texts)]]
    usable = len(named) == len(texts) and all(named) and len(set(named)) == len(named)
    return Options(tuple(texts), tuple(named) if usable else ())


def from_object(value: Mapping[str, Any], place: str) -> tuple[list[Any], list[Any]]:
    """The texts and labels of options that are given as one object.

    Raises:
        DataError: its values are neither texts nor the lists `text` and `label`.
    """
    texts, labels = value.get("text"), value.get("label")
    if isinstance(texts, list | tuple) and isinstance(labels, list | tuple):
        return list(texts), list(labels)
    nested = [name for name, item in value.items() if isinstance(item, list | tuple | Mapping)]
    if nested:
        raise DataError(
            f"{place}: the options are an object whose {nested[0]!r} holds {value_kind(value[nested[0]])}, not text. "
            f"Name the list inside it, as in `options: COLUMN.{nested[0]}`."
        )
    return list(value.values()), list(value)


def _split(text: str, place: str) -> list[str]:
    """Options out of one text; a line without a letter goes on with the option before it."""
    as_text(text, f"{place}: column of options")
    if (items := listed(text)) is not None:
        return [(as_text(item, f"{place}: an option") or "").strip() for item in items]
    options: list[str] = []
    for line in text.strip().splitlines():
        match = LETTERED.fullmatch(line)
        if match and len(options) < len(LETTERS) and match[1] == LETTERS[len(options)]:
            options.append(match[2].strip())
        elif options:
            options[-1] = f"{options[-1]}\n{line}".strip()
        elif line.strip():
            raise DataError(
                f"{place}: the options begin with {line.strip()[:40]!r}, not with `A.`. Letter them, or list them."
            )
    return options


def render(question: str, options: Sequence[str]) -> str:
    """The question, an empty line, and a line for each option: `A. text`."""
    return "\n".join([question, "", *(f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=False))])
