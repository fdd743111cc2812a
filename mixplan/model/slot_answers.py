"""Answers prompts in slots behind what they begin with, each slot going to the next prompt once its own has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from torch import Tensor

from mixplan.model.beginnings import STEP_COSTS, Beginning, Ids, beginnings_of
from mixplan.model.families import text_config
from mixplan.model.finite import refuse_scores
from mixplan.model.load import Model
from mixplan.model.slots import Slots

Choose = Callable[[Tensor, Sequence[int], Sequence[int]], Tensor]
"""Next tokens, `[rows]` int64, from their logits, which prompts they belong to, and how many tokens each has so far."""

BATCH_TOKENS = {"cpu": 8192, "cuda": 32768}
"""Rows times their longest possible length in one batch: what keys and values may take, a few GB on large models."""

KEPT_BYTES = {"cpu": 1 << 29}
"""What keys and values of a small model may take, where that is more tokens."""

FILL_TOKENS = {"cpu": 1024, "cuda": 8192}
"""Tokens of prompts that are read into free slots in one pass."""

LEAVE_AT = 4
"""Free slots are filled once they are one in so many, or hold all that waits. Ended rows leave a padded batch likewise:
taking them out copies the keys and values of the others."""


def answer_in_slots(
    model: Model,
    prompts: Sequence[Ids],
    max_new_tokens: int,
    choose: Choose,
    *,
    ends: frozenset[int] = frozenset(),
    on_answers: Callable[[int], None] | None = None,
    slots: int | None = None,
) -> list[Ids]:
    """Answer prompts, those of about one length after one another in the same slots.

    Args:
        model: The model.
        prompts: Token ids.
        max_new_tokens: Longest answer, in tokens.
        choose: Takes the next tokens.
        ends: Tokens that end an answer.
        on_answers: Told how many answers have ended.
        slots: How many prompts are answered at once; what the device holds when not given.

    Returns:
        Each answer's token ids, the token that ended it included.
    """
    behind = beginnings_of(prompts, STEP_COSTS.get(model.device.type, 100) * max_new_tokens)
    answers: list[list[int]] = [[] for _ in prompts]

    def note(rows: Sequence[int], logits: Tensor) -> set[int]:
        """Take each row's next token; the rows that have ended with it."""
        refuse_scores(logits, model.name, model.dtype)
        chosen = choose(logits.to(model.device), rows, [len(answers[row]) for row in rows])
        for row, token in zip(rows, chosen.tolist(), strict=True):
            answers[row].append(token)
        ended = {row for row in rows if answers[row][-1] in ends or len(answers[row]) == max_new_tokens}
        for row in ended:
            behind[row].answered()
        if ended and on_answers:
            on_answers(len(ended))
        return ended

    texts = [prompt[len(one.tokens) :] for prompt, one in zip(prompts, behind, strict=True)]
    lengths = [len(text) + max_new_tokens for text in texts]
    limit, each = room_beside(behind, most_tokens(model))
    for waiting in alike([length + each for length in lengths], limit):
        longest = lengths[waiting[-1]]
        together(waiting, behind)
        room = slots or max(1, min(len(waiting), limit // (longest + each)))
        held, active = Slots(model, room, longest), list[int]()
        while waiting or active:
            free = held.size - len(active)
            if waiting and (len(waiting) <= free or free * LEAVE_AT >= held.size):
                read = next_to_fill(texts, waiting, free, FILL_TOKENS.get(model.device.type, 1024))
                forget(behind, [*active, *read], each)
                logits = held.fill([texts[row] for row in read], [behind[row] for row in read])
                active += read
            else:
                read = list(active)
                logits = held.step([answers[row][-1] for row in active])
            leave(held, active, note(read, logits))
    return [tuple(answer) for answer in answers]


def most_tokens(model: Model) -> int:
    """Tokens whose keys and values are held at once: a pass over many rows takes little longer than one over a few."""
    config, least = text_config(model.lm), BATCH_TOKENS.get(model.device.type, 8192)
    names = ("num_hidden_layers", "num_attention_heads", "hidden_size")
    layers, heads, hidden = (getattr(config, name, None) for name in names)
    if not (layers and heads and hidden):
        return least
    width = getattr(config, "head_dim", None) or hidden // heads
    kept = getattr(config, "num_key_value_heads", None) or heads
    bytes_a_token = 2 * layers * kept * width * model.lm.dtype.itemsize
    return max(least, int(KEPT_BYTES.get(model.device.type, 0) // bytes_a_token))


def room_beside(behind: Sequence[Beginning], limit: int) -> tuple[int, int]:
    """What is left for texts of so many tokens, and how many of it each slot's beginning takes.

    All beginnings are held at once where they take up to half; else no more than one a slot, which is counted so.
    """
    lengths = {id(one): len(one.tokens) for one in behind}
    total = sum(lengths.values())
    return (limit - total, 0) if 2 * total <= limit else (limit, max(lengths.values()))


def forget(behind: Sequence[Beginning], rows: Sequence[int], each: int) -> None:
    """Let go of the beginnings that no row in a slot is behind; rows that wait behind one read it anew.

    Args:
        behind: What each prompt is read behind.
        rows: Those in a slot.
        each: Room of a slot's beginning; 0 where there is room for all, and none is let go of.
    """
    needed = {id(behind[row]) for row in rows}
    for one in behind:
        if each and id(one) not in needed:
            one.cache = None


def leave(held: Slots, active: list[int], ended: set[int]) -> None:
    """Free the slots of the rows that have ended; the last slot's row moves into each."""
    for slot in reversed([slot for slot, row in enumerate(active) if row in ended]):
        held.leave(slot)
        active[slot] = active[-1]
        active.pop()


def alike(lengths: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Cut texts into runs that are answered in the same slots: a slot has the room of its run's longest text.

    Args:
        lengths: Longest length of each text with its answer.
        limit: Room of all slots together.

    Yields:
        Positions, the longest text's last: all that is left where it fits at once, else texts of more than half the
        longest's length.
    """
    left = sorted(range(len(lengths)), key=lambda row: (lengths[row], -row))
    while left:
        longest = lengths[left[-1]]
        run = [row for row in left if len(left) * longest <= limit or 2 * lengths[row] > longest]
        left = left[: len(left) - len(run)]
        yield run


def together(waiting: list[int], behind: Sequence[Beginning]) -> None:
    """Sort prompts that are answered in the same slots so that those behind one beginning follow one another.

    Args:
        waiting: Their positions, the longest last; beginnings keep the order of their longest.
        behind: What each prompt is read behind.
    """
    place = {id(behind[row]): number for number, row in enumerate(waiting)}
    waiting.sort(key=lambda row: place[id(behind[row])])


def next_to_fill(texts: Sequence[Ids], waiting: list[int], free: int, limit: int) -> list[int]:
    """Take the texts that are read into slots next off the end of those waiting; at least one."""
    new = [waiting.pop()]
    while waiting and len(new) < free and sum(len(texts[row]) for row in (*new, waiting[-1])) <= limit:
        new.append(waiting.pop())
    return new
