"""Gives the logits that predict each token of a prompt's answers, with a gradient, the prompt read once if it can be.

- packed: the prompt and then all answers in one row, each answer hidden from the others by a mask;
- whole: each answer behind a prompt of its own, shorter ones filled up at the end, which nothing before it sees.

Which of both is checked once per model against plain passes (see `mixplan.model.selfcheck`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mixplan.model.answers import centred
from mixplan.model.attention import longest_row, masks_by_kind
from mixplan.model.beginnings import Ids
from mixplan.model.load import Model
from mixplan.model.selfcheck import Checked, Sample, Way, settled
from mixplan.model.stream import taken, takes_positions

CHECKED = 2
"""Tokens at a text's end whose predictions are held against plain passes."""


def answer_logits(model: Model, prompt: Ids, answers: Sequence[Ids], way: Way) -> Tensor:
    """Logits of the tokens of answers, each behind the prompt and what stands before it in its own answer.

    Args:
        model: The model.
        prompt: Token ids, at least one.
        answers: Token ids of each, at least one.
        way: `packed` or `whole`.

    Returns:
        `[tokens of all answers, vocabulary]`, answer by answer.
    """
    together = way == "packed" and len(prompt) + sum(map(len, answers)) <= longest_row(model)
    return packed(model, prompt, answers) if together else side_by_side(model, prompt, answers)


def packed(model: Model, prompt: Ids, answers: Sequence[Ids]) -> Tensor:
    """The same by one row of prompt and answers."""
    lengths, start = [len(answer) for answer in answers], len(prompt)
    ids = torch.tensor([[*prompt, *(token for answer in answers for token in answer)]], device=model.device)
    # Number 0 is the prompt, which all see.
    owner = torch.repeat_interleave(torch.arange(len(answers) + 1), torch.tensor([start, *lengths]))
    places = torch.cat([torch.arange(start), *(torch.arange(start, start + length) for length in lengths)])
    index = torch.arange(len(owner))
    allowed = (owner[None, :] == 0) | (owner[:, None] == owner[None, :])
    mask = masks_by_kind(model, allowed & (index[:, None] >= index[None, :]), places, places)
    before = index[start:] - 1
    before[places[start:] == start] = start - 1  # an answer's first token is predicted by the prompt's last
    given = taken(model.lm, use_cache=False, logits_to_keep=before.to(model.device))
    logits: Tensor = model.lm(
        input_ids=ids, position_ids=places[None].to(model.device), attention_mask=mask, **given
    ).logits[0]
    return logits if len(logits) == len(before) else logits[before.to(logits.device)]


def side_by_side(model: Model, prompt: Ids, answers: Sequence[Ids]) -> Tensor:
    """The same by a row an answer."""
    longest = max(map(len, answers))
    rows = [[*prompt, *answer, *[0] * (longest - len(answer))] for answer in answers]
    given = taken(model.lm, use_cache=False, logits_to_keep=longest + 1)
    logits: Tensor = model.lm(input_ids=torch.tensor(rows, device=model.device), **given).logits[:, -longest - 1 : -1]
    return torch.cat([row[: len(answer)] for row, answer in zip(logits, answers, strict=True)])


def answer_way(model: Model) -> Checked:
    """How answers are read behind their prompt, checked once and kept.

    Raises:
        ModelError: plain passes themselves do not give one result.
    """

    def plain(tokens: Tensor, length: int) -> Tensor:
        return centred(model.lm(input_ids=tokens).logits[0, length - CHECKED - 1 : length - 1])

    def ours(way: Way, sample: Sample) -> Tensor:
        answers = [text[sample.prefix :] for text in sample.texts]
        logits = answer_logits(model, sample.texts[0][: sample.prefix], answers, way)
        return centred(torch.cat([part[-CHECKED:] for part in logits.split([len(answer) for answer in answers])]))

    ways: tuple[Way, ...] = ("packed", "whole") if takes_positions(model) else ("whole",)
    return settled(model, "answers behind their prompt", read=ours, plain=plain, ways=ways)
