"""Measures what demonstrations of another domain change in a model's predictions when put in front of questions.

Demonstrations in front of a question are a rehearsal of training on them. With P the model's next-token distributions
without the demonstrations and Q with them, both on the model's own answer y(1) ... y(T) to the bare question,

    kl               = 1/T * sum over t of KL( P(. | question, y(1) ... y(t-1)) || Q(. | the same) ), in nats
    bits_per_byte    = -log2 Q(reference answer) / bytes - (-log2 P(reference answer) / bytes)
    gold_probability = the right option's share of all options' probability, under Q - under P
    gold_margin      = log P(right option) - log(sum over the other options of P), under Q - under P.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mixplan.domains import Row
from mixplan.evaluate.behaviour import own_tree
from mixplan.evaluate.choice import ask_choice
from mixplan.evaluate.likelihood import ask_likelihood, bits_per_byte
from mixplan.evaluate.packing import Ids
from mixplan.evaluate.prompts import fitting
from mixplan.evaluate.reading import read_together
from mixplan.evaluate.scoring import divergences
from mixplan.features.queries import in_front
from mixplan.model import Model


@dataclass(frozen=True)
class Item:
    """What a model does with one question.

    Attributes:
        bits_per_byte: Of the reference answer.
        options: `[options]` log-probability of each option's answer; empty where the row is no choice.
        states: `[tokens, d_model]` final states at its own answer, in the model's type.
    """

    bits_per_byte: float
    options: NDArray[np.float64]
    states: Tensor


@dataclass(frozen=True)
class Plain:
    """What a model does with bare questions, which any number of fronts is compared with.

    Attributes:
        answers: The model's own answers' token ids, by row id.
        items: By row id, those rows that fit the model's window.
    """

    answers: Mapping[str, Ids]
    items: dict[str, Item]


@dataclass(frozen=True)
class Preview:
    """What demonstrations change, item by item.

    Attributes:
        rows: The items' row ids, in order.
        values: By quantity, one an item: `kl` and `bits_per_byte`; of choice rows `gold_probability` and `gold_margin`.
    """

    rows: tuple[str, ...]
    values: dict[str, tuple[float, ...]]


def plain(model: Model, rows: Sequence[Row], answers: Mapping[str, Ids], *, advance: Callable[[int], None]) -> Plain:
    """Read bare questions once, for all fronts that they are compared with.

    Args:
        model: The model.
        rows: Rows of any format.
        answers: Its own answers' token ids by row id; a row without one is left out.
        advance: Told how many rows each pass read.

    Raises:
        ModelError: the model's output head is of no kind that mixplan knows.
    """
    return Plain(answers, read_items(model, rows, answers, advance))


def preview(
    model: Model,
    rows: Sequence[Row],
    fronts: Sequence[tuple[Row, ...]],
    *,
    before: Plain,
    advance: Callable[[int], None],
) -> Preview:
    """What demonstrations in front of questions change.

    Each front is read once for all its questions.

    Args:
        model: The model.
        rows: Questions, all of choices or none.
        fronts: One or more draws of demonstrations; the questions are dealt to them in turn.
        before: The same questions without demonstrations, by `plain`.
        advance: Told how many rows each pass read.

    Returns:
        The quantities above of each row that fits the model's window with its demonstrations.

    Raises:
        ModelError: the chat template refuses the demonstrations, or the model's output head is of no kind that mixplan
            knows.
    """
    known = [row for row in rows if row.id in before.items]
    after: dict[str, Item] = {}
    for number, front in enumerate(fronts):
        behind = [replace(row, prompt=in_front(front, row.prompt)) for row in known[number :: len(fronts)]]
        after |= read_items(model, behind, before.answers, advance)
    kept = [row for row in known if row.id in after]
    pairs = [(row, before.items[row.id], after[row.id]) for row in kept]
    values = {
        "kl": tuple(float(divergences(model, bare.states, model, shown.states).mean()) for _, bare, shown in pairs),
        "bits_per_byte": tuple(shown.bits_per_byte - bare.bits_per_byte for _, bare, shown in pairs),
    }
    if rows and all(row.options for row in rows):
        values |= {
            quantity: tuple(of(row, shown.options) - of(row, bare.options) for row, bare, shown in pairs)
            for quantity, of in (("gold_probability", gold_probability), ("gold_margin", gold_margin))
        }
    return Preview(tuple(row.id for row in kept), values)


def read_items(
    model: Model, rows: Sequence[Row], answers: Mapping[str, Ids], advance: Callable[[int], None]
) -> dict[str, Item]:
    """Read everything that is asked of each row, by row id; rows that do not fit the window whole are left out."""
    answered = [row for row in rows if row.id in answers]
    own = fitting(model, answered, [own_tree(model, row, answers[row.id]) for row in answered])
    asked = ask_likelihood(model, [row for row, _ in own])
    fits = {row.id for row, _ in asked}
    choices = [row for row, _ in asked if row.options]
    options = ask_choice(model, choices)
    fits -= {row.id for row in choices} - {row.id for row, _ in options}
    reference = [(row, tree) for row, tree in asked if row.id in fits]
    followed = [(row, tree) for row, tree in own if row.id in fits]
    (picked, needed), states = read_together(model, [options, reference], followed, advance=advance)
    logs = {
        row.id: np.array([branch.log for branch in branches])
        for (row, _), branches in zip(options, picked, strict=True)
    }
    return {
        row.id: Item(bits_per_byte(row, answer), logs.get(row.id, np.zeros(0)), each)
        for (row, _), (answer,), (each,) in zip(reference, needed, states, strict=True)
    }


def gold_probability(row: Row, options: NDArray[np.float64]) -> float:
    """The right option's share of all options' probability."""
    return float(np.exp(options[right(row)] - np.logaddexp.reduce(options)))


def gold_margin(row: Row, options: NDArray[np.float64]) -> float:
    """Log-probability of the right option over that of all others together."""
    return float(options[right(row)] - np.logaddexp.reduce(np.delete(options, right(row))))


def right(row: Row) -> int:
    """Position of the right option."""
    assert row.gold is not None  # every choice row has one
    return row.gold
