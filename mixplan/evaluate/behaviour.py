"""Measures how far a trained model's next-token distributions are from the untrained model's on the latter's answers.

For each row the untrained model answers greedily; y(1) ... y(T) are the answer's tokens, the one that ends it included,
and with P the untrained and Q the trained model's distribution over the whole vocabulary,

    kl = 1/T * sum over t of KL( P(. | prompt, y(1) ... y(t-1)) || Q(. | prompt, y(1) ... y(t-1)) ), in nats.

No token is sampled and no answer graded, so nearly all of what it shows is the model's change. It is never below 0: the
untrained model's own value is not 0 but what two of its readings differ by, and changes are held against that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from mixplan.domains import Row
from mixplan.evaluate.answering import Answering
from mixplan.evaluate.packing import Ids, Tree
from mixplan.evaluate.prompts import prompt_text, token_ids
from mixplan.evaluate.reading import Asked, read_together
from mixplan.evaluate.scoring import divergences
from mixplan.model import Model
from mixplan.runs import canonical_json, content_hash, store, unseal
from mixplan.saved.evaluation import Measured

READ_AGAIN = 8
"""Answers that the untrained model reads twice, to see what rounding alone moves."""


@dataclass(frozen=True)
class OwnAnswers:
    """The untrained model's answers to some rows, and where its final states at them are kept.

    The states are kept so that each further trained model is compared without reading the untrained one again.

    Attributes:
        model: The untrained model.
        asked: Each answered row with its prompt and, as the only continuation, its answer.
        states_at: File of the states.
    """

    model: Model
    asked: Asked
    states_at: Path

    def kept(self) -> list[Tensor] | None:
        """Each answer's final states, `[tokens, d_model]` in the model's type; None when they are not kept."""
        data = unseal(self.states_at)
        if data is None:
            return None
        states = load(data)
        return [states[row.id] for row, _ in self.asked]

    def keep(self, states: Sequence[Tensor]) -> None:
        """Keep each answer's final states."""
        named = {row.id: each.contiguous() for (row, _), each in zip(self.asked, states, strict=True)}
        store(self.states_at, save(named))

    def states(self) -> list[Tensor]:
        """Each answer's final states, kept or read now.

        Raises:
            ModelError: the untrained model's output head is of no kind that mixplan knows.
        """
        if (kept := self.kept()) is not None:
            return kept
        _, read = read_together(self.model, [], self.asked, advance=lambda _: None)
        states = [each for (each,) in read]
        self.keep(states)
        return states


def own_answers(untrained: Model, rows: Sequence[Row], answers: Mapping[str, Ids], kept_at: Path) -> OwnAnswers:
    """The untrained model's answers to those rows that have one.

    Args:
        untrained: The untrained model.
        rows: Rows of any format; only their prompts are used.
        answers: Its answers' token ids by row id.
        kept_at: File that keeps the answers; their final states stand beside it.
    """
    asked = [(row, own_tree(untrained, row, answers[row.id])) for row in rows if row.id in answers]
    # Answers that were made again may be others, with other states.
    states_at = kept_at.with_name(f"{kept_at.stem}.{content_hash(answers)[:16]}.safetensors")
    return OwnAnswers(untrained, asked, states_at)


def kept_answers(kept_at: Path) -> dict[str, Ids] | None:
    """The untrained model's answers by row id from the cache, or None."""
    standing = unseal(kept_at)
    return None if standing is None else {name: tuple(ids) for name, ids in json.loads(standing).items()}


def make_answers(
    untrained: Answering, rows: Sequence[Row], *, answer_tokens: int, kept_at: Path, advance: Callable[[int], None]
) -> dict[str, Ids]:
    """Answer rows greedily and keep the answers.

    Args:
        untrained: Answers with the untrained model.
        rows: Rows of any format.
        answer_tokens: Longest answer.
        kept_at: File that keeps them.
        advance: Told how many rows each batch answered.

    Returns:
        Token ids by row id, for the rows whose prompt fits the window with the longest answer.
    """
    kept, answers = untrained.answers(rows, answer_tokens=answer_tokens, advance=advance)
    found = {row.id: answer.ids for row, answer in zip(kept, answers, strict=True)}
    store(kept_at, canonical_json(found).encode())
    return found


def own_tree(model: Model, row: Row, answer: Ids) -> Tree:
    """A row's prompt with an answer that the model gave to it."""
    return Tree(token_ids(model, prompt_text(model, row)), (answer,))


def behaviour_of(model: Model, own: OwnAnswers, states: Sequence[Tensor]) -> Measured:
    """The measure from the trained model's final states at the untrained model's answers.

    Args:
        model: The trained model, of the same vocabulary.
        own: The untrained model's answers.
        states: The trained model's final states, one `[tokens, d_model]` an answer.

    Returns:
        `kl` of each answered row.
    """
    if not states:
        return Measured("behaviour", (), {"kl": ()}, {})
    values = divergences(own.model, torch.cat(own.states()), model, torch.cat(list(states)))
    ends = np.cumsum([len(each) for each in states])[:-1]
    kl = tuple(float(tokens.mean()) for tokens in np.split(values, ends))
    return Measured("behaviour", tuple(row.id for row, _ in own.asked), {"kl": kl}, {})


def equal_readings(own: OwnAnswers, states: Sequence[Tensor]) -> Measured:
    """The measure of the untrained model itself: how far apart two readings of it are, which no change lies in.

    Its first answers are read again, each in a pass of its own, so that numbers are rounded otherwise. The other rows
    have the mean of these. A trained model's movement is held against it as any change is against its value before.

    Args:
        own: Its answers.
        states: Its final states as they are kept, one `[tokens, d_model]` an answer.
    """
    few = own.asked[:READ_AGAIN]
    if not few:
        return Measured("behaviour", (), {"kl": ()}, {})
    _, again = read_together(own.model, [], few, advance=lambda _: None, pack_tokens=1)
    other = [each for (each,) in again]
    found = divergences(own.model, torch.cat(list(states[: len(few)])), own.model, torch.cat(other))
    ends = np.cumsum([len(each) for each in other])[:-1]
    # Rounding may put a divergence just below 0.
    kl = [max(0.0, float(tokens.mean())) for tokens in np.split(found, ends)]
    kl += [float(np.mean(kl))] * (len(own.asked) - len(few))
    return Measured("behaviour", tuple(row.id for row, _ in own.asked), {"kl": tuple(kl)}, {})
