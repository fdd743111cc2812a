"""Reads a unit once for all features: activations token by token and squared changes row by row, sparse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mixplan.features.forward import Pack, read_unit
from mixplan.features.measure import ENCODED_VALUES
from mixplan.features.queries import Unit
from mixplan.features.sparse import VERSION, Entries, Singles, Sparse
from mixplan.features.statistics import Integers
from mixplan.model import Model
from mixplan.runs import content_hash
from mixplan.sae import Sae

MOST_ACTIVE = 512
"""Active features a token, on average, up to which a unit is kept sparse: SAEs in use have 20 to 200."""


def sparse_key(model: Model, sae: Sae, unit: Unit, *, trained: Model | None = None) -> str:
    """Everything that a unit's features depend on, as one hash; no drift dimension is among it."""
    return content_hash(
        "sparse", VERSION, model.fingerprint, model.device.type, torch.get_num_threads(), sae.fingerprint, sae.depth,
        unit.mark, *([trained.fingerprint] if trained else []),
    )  # fmt: skip


def measure_sparse(
    model: Model,
    sae: Sae,
    unit: Unit,
    *,
    trained: Model | None = None,
    pack_tokens: int | None = None,
    on_tokens: Callable[[int], None] | None = None,
) -> Sparse | None:
    """Read one unit, keeping what fired.

    Args:
        model: The model.
        sae: Its SAE.
        unit: What to read.
        trained: See `read_unit`.
        pack_tokens: See `read_unit`.
        on_tokens: Told how many query tokens each pack held.

    Returns:
        None, after the first pack that shows it, where so many features fire that keeping them would take more than
        reading them again is worth; `on_tokens` is then told of no pack.
    """
    rows = _Rows(model, sae, unit)
    read = 0
    for pack in read_unit(model, sae.depth, unit, trained=trained, pack_tokens=pack_tokens):
        with torch.inference_mode():
            rows.add(pack)
        read += len(pack.segments)
        if rows.active > MOST_ACTIVE * read:
            if on_tokens:
                on_tokens(len(pack.segments) - read)
            return None
        if on_tokens:
            on_tokens(len(pack.segments))
    return rows.result()


class _Rows:
    """What fired in one unit, on its way to the host."""

    def __init__(self, model: Model, sae: Sae, unit: Unit) -> None:
        self.sae, self.device = sae, model.device
        self.counts = np.array([query.count for query in unit.queries], dtype=np.int64)
        self.tokens = self.active = 0
        none = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        self.act: list[tuple[Integers, Singles]] = [none]
        self.shift: list[tuple[Integers, Singles]] = [none]
        shape = len(unit.queries), sae.d_in
        self.raw_shift, self.raw_act = (torch.zeros(shape, dtype=torch.float64, device=model.device) for _ in range(2))

    def add(self, pack: Pack) -> None:
        """Add a pack, in slices of tokens small enough to encode at once; a pack holds whole rows."""
        step = max(1, ENCODED_VALUES // self.sae.d_sae)
        begun: tuple[int, Tensor] | None = None
        for left in range(0, len(pack.segments), step):
            cut = slice(left, left + step)
            numbers, lengths = (pack.segments[cut] + pack.queries.start).unique_consecutive(return_counts=True)
            alone, context = pack.alone[cut].float(), pack.context[cut].float()
            self.add_raw(alone, context - alone, numbers, lengths.tolist())
            sums = self.squares(alone, context, lengths.tolist())
            if begun is not None and begun[0] == int(numbers[0]):
                sums[0] += begun[1]
            elif begun is not None:
                self.keep_rows(begun[1][None], torch.tensor([begun[0]]))
            self.keep_rows(sums[:-1], numbers[:-1])
            begun = int(numbers[-1]), sums[-1]
        if begun is not None:
            self.keep_rows(begun[1][None], torch.tensor([begun[0]]))

    def squares(self, alone: Tensor, context: Tensor, lengths: list[int]) -> Tensor:
        """Keep what fires in a slice, and add up squared changes: `[rows, d_sae]` float64."""
        moved, features = self.sae.encode(context), self.sae.encode(alone)
        places = features.nonzero()
        values = features[places[:, 0], places[:, 1]]
        flat = (places[:, 0] + self.tokens) * self.sae.d_sae + places[:, 1]
        self.act.append((flat.cpu().numpy(), values.cpu().numpy()))
        self.active += len(values)
        self.tokens += len(alone)
        squares = moved.sub_(features).square_()
        return torch.stack([part.sum(0, dtype=torch.float64) for part in squares.split(lengths)])

    def add_raw(self, alone: Tensor, raw: Tensor, numbers: Tensor, lengths: list[int]) -> None:
        """Add a slice of the raw stream to its rows."""
        rows = numbers.to(self.device)
        for sums, values in ((self.raw_shift, raw.square()), (self.raw_act, alone.abs())):
            sums[rows] += torch.stack([part.sum(0, dtype=torch.float64) for part in values.split(lengths)])

    def keep_rows(self, sums: Tensor, numbers: Tensor) -> None:
        """Keep what moved in rows that are read to their end, `[rows, d_sae]`."""
        places = sums.nonzero()
        values = sums[places[:, 0], places[:, 1]].float()
        flat = numbers.to(self.device)[places[:, 0]] * self.sae.d_sae + places[:, 1]
        self.shift.append((flat.cpu().numpy(), values.cpu().numpy()))

    def result(self) -> Sparse:
        """What was kept, as arrays."""
        raw_shift, raw_act = (sums.float().cpu().numpy() for sums in (self.raw_shift, self.raw_act))
        return Sparse(self.counts, self.entries(self.act), self.entries(self.shift), raw_shift, raw_act)

    def entries(self, kept: list[tuple[Integers, Singles]]) -> Entries:
        """What was kept of one matrix, put together."""
        places, values = zip(*kept, strict=True)
        return Entries(np.concatenate(places), np.concatenate(values), self.sae.d_sae)
