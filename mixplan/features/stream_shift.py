"""Measures how far demonstrations move the residual stream at a unit's tokens, without an SAE."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from mixplan.features.forward import read_unit
from mixplan.features.queries import Unit
from mixplan.model import Model, decoder_blocks

Doubles = npt.NDArray[np.float64]

UP = 2 / 3
"""How far up the model the stream is read: where the studies' SAE reads it, after 20 of 30 blocks."""


@dataclass(frozen=True)
class StreamShift:
    """What one draw of demonstrations moves, row by row.

    Attributes:
        tokens: `[rows]` float64, tokens read of each row.
        squares: `[rows]` float64, sum over a row's tokens of the stream's squared change, added up over its dimensions.
    """

    tokens: Doubles
    squares: Doubles


def depth_read(model: Model) -> int:
    """Blocks before the place where the stream is read; at least one."""
    return max(1, round(UP * len(decoder_blocks(model.lm))))


def stream_shift(
    model: Model, depth: int, unit: Unit, *, on_tokens: Callable[[int], None] | None = None
) -> StreamShift:
    """Read a unit's tokens alone and behind its demonstrations.

    Args:
        model: The model.
        depth: Blocks before the place where the stream is read.
        unit: What to read.
        on_tokens: Told how many tokens each pack held.
    """
    squares = torch.zeros(len(unit.queries), dtype=torch.float64)
    for pack in read_unit(model, depth, unit):
        with torch.inference_mode():
            moved = (pack.context.float() - pack.alone.float()).square().sum(dim=1, dtype=torch.float64).cpu()
        squares.index_add_(0, pack.segments + pack.queries.start, moved)
        if on_tokens:
            on_tokens(len(pack.segments))
    tokens = np.array([query.count for query in unit.queries], dtype=np.float64)
    return StreamShift(tokens, squares.numpy())
