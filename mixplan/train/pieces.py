"""Reads a batch in pieces of about one length, whose gradients add up to the batch's own.

A batch's activations are held until its gradients are computed, so they set the peak of a job's memory; and rows of
different lengths are padded to the longest. TRL divides a batch's summed losses by a number of tokens that is known
beforehand, so the losses of its pieces add up to its loss. On a CPU TRL also projects every token on the vocabulary,
prompts and padding among them; here those alone whose next token is trained.

Where a job has dropout, its masks are drawn piece by piece and so are others than TRL's; nothing else differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mixplan.model.attention import rope_stretches_at

Batch = dict[str, Tensor]

PIECE_TOKENS = 512
"""Tokens of a piece, padding included: enough to fill a CPU; a longer row is a piece of its own."""

READ = {"input_ids", "attention_mask", "labels"}
"""What a batch of padded rows holds."""

IN_BACKWARD = ("lomo", "layerwise")
"""What the names of transformers' optimisers end with that step while gradients are computed: one backward a step."""

IGNORED = -100
"""The label of a token that is not trained."""


def divisible(trainer: Any, inputs: Batch, items: Any) -> bool:
    """Whether a batch's loss is the sum of its rows' and nothing of a row depends on the others.

    On a GPU, where a larger pass is a faster one, batches stay as they are.

    Args:
        trainer: TRL's SFT trainer.
        inputs: A batch.
        items: The tokens by which TRL divides summed losses; None where it takes the batch's mean.
    """
    args = trainer.args
    return (
        items is not None
        and args.device.type == "cpu"
        and args.world_size == 1
        and set(inputs) == READ
        and args.loss_type in ("nll", "dft")
        and not args.torch_compile
        and not str(getattr(args.optim, "value", args.optim)).endswith(IN_BACKWARD)
        and not args.neftune_noise_alpha  # its noise depends on the padded length
        and trainer.label_smoother is None
        and trainer.compute_loss_func is None
        and not trainer.aux_loss_enabled  # a mean over the batch's tokens
        and not stretched(trainer.model, inputs)
    )


def stretched(lm: Any, inputs: Batch) -> bool:
    """Whether the longest row of a batch is so long that it turns the positions of the shorter ones, too.

    So it is with `longrope` and `dynamic` ropes beyond the length that they were first trained at.
    """
    config = lm.config.get_text_config()
    longest = rope_stretches_at(config, getattr(config, "max_position_embeddings", None))
    return longest is not None and inputs["input_ids"].shape[1] > longest


def pieces(inputs: Batch, limit: int = PIECE_TOKENS) -> Iterator[Batch]:
    """Cut a batch into pieces, the longest rows first, each without the columns that only pad it.

    Args:
        inputs: `[rows, length]` each.
        limit: Rows times their longest length in one piece; at least one row.
    """
    mask = inputs["attention_mask"]
    lengths = mask.sum(dim=1).tolist()
    part: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if part and (len(part) + 1) * lengths[part[0]] > limit:
            yield trimmed(inputs, part)
            part = []
        part.append(row)
    yield trimmed(inputs, part)


def trimmed(inputs: Batch, rows: list[int]) -> Batch:
    """Some rows of a batch, without the columns in which all of them are padding."""
    used = inputs["attention_mask"][rows].any(dim=0).nonzero().flatten()
    columns = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(None)
    return {name: value[rows][:, columns].contiguous() for name, value in inputs.items()}


def predicted(labels: Tensor) -> Tensor:
    """Which tokens of `[rows, length]` are followed by one that is trained, `[rows, length]` boolean."""
    following = torch.cat([labels[:, 1:], labels.new_full((len(labels), 1), IGNORED)], dim=1)
    return following != IGNORED


@contextmanager
def only_predicting(backbone: Any, piece: Batch) -> Iterator[Batch]:
    """While open, the model hands on the final states of those tokens alone whose next token is trained.

    Args:
        backbone: What gives TRL the states that it projects on the vocabulary.
        piece: What is read.

    Yields:
        The piece with the labels of these tokens, as TRL takes them where they are shifted beforehand.
    """
    wanted = predicted(piece["labels"])
    if not bool(wanted.any()):
        wanted[0, 0] = True  # an empty projection has no gradient
    following = piece["labels"].roll(-1, dims=1)[wanted].masked_fill(~predicted(piece["labels"])[wanted], IGNORED)

    def pick(_module: Any, _args: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[wanted][None]
        return output

    handle = backbone.register_forward_hook(pick)
    try:
        yield {**piece, "shift_labels": following[None]}
    finally:
        handle.remove()


def merge_means(values: dict[str, list[float]], counts: list[int]) -> None:
    """Put the means that a trainer noted of each piece together as the batch's, by the pieces' trained tokens.

    Args:
        values: The trainer's notes by name; those of the last pieces stand at the end.
        counts: Trained tokens of each piece.
    """
    total = sum(counts) or 1
    for name in ("entropy", "mean_token_accuracy"):
        noted = values[name][-len(counts) :]
        values[name][-len(counts) :] = [sum(mean * count for mean, count in zip(noted, counts, strict=True)) / total]
