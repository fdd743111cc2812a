"""Computes the feature statistics of a unit in memory that does not grow with the number of tokens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mixplan.features.forward import Pack, read_unit
from mixplan.features.queries import Unit
from mixplan.features.statistics import EXAMPLES, VERSION, Columns, Statistics
from mixplan.model import Model
from mixplan.runs import content_hash
from mixplan.sae import Sae, columns_of

ENCODED_VALUES = 1 << 24
"""Feature activations held at once in each reading (64 MB): wide SAEs are encoded in smaller slices of tokens."""


def statistics_key(
    model: Model, sae: Sae, unit: Unit, columns: Columns | None, *, replicas: int, whole: bool,
    trained: Model | None = None,
) -> str:  # fmt: skip
    """Everything a unit's statistics depend on, as one hash."""
    sets = (
        None if columns is None else ["dense", *(kept.tolist() for kept in (columns.drift, columns.low, columns.raw))]
    )
    return content_hash(
        VERSION, model.fingerprint, model.device.type, torch.get_num_threads(), sae.fingerprint, sae.depth, unit.mark,
        unit.draw, sets, replicas, whole, *([trained.fingerprint] if trained else []),
    )  # fmt: skip


def measure_unit(
    model: Model,
    sae: Sae,
    unit: Unit,
    *,
    columns: Columns | None = None,
    replicas: int = 0,
    whole: bool = True,
    trained: Model | None = None,
    pack_tokens: int | None = None,
    on_tokens: Callable[[int], None] | None = None,
) -> Statistics:
    """Read one unit and reduce it.

    Args:
        model: The model.
        sae: Its SAE.
        unit: What to read.
        columns: Dimensions to keep row by row.
        replicas: Bootstrap resamples of `shift` to keep, for drift dimensions.
        whole: Whether to compute all features; when False and the SAE's kind allows it, only `columns` are encoded.
        trained: See `read_unit`; with a unit without demonstrations, `shift` is then what training changed.
        pack_tokens: See `read_unit`.
        on_tokens: Told how many query tokens each pack held.
    """
    sums = _Sums(model, sae, unit, columns, replicas, whole)
    for pack in read_unit(model, sae.depth, unit, trained=trained, pack_tokens=pack_tokens):
        with torch.inference_mode():
            sums.add(pack)
        if on_tokens:
            on_tokens(len(pack.segments))
    return sums.result()


class _Sums:
    """Running sums of one unit."""

    def __init__(self, model: Model, sae: Sae, unit: Unit, columns: Columns | None, replicas: int, whole: bool) -> None:
        self.unit, self.columns, self.device = unit, columns, model.device
        part = None
        if not whole and columns is not None:
            wanted = np.concatenate([columns.drift, columns.low])
            part = columns_of(sae, torch.from_numpy(wanted).to(model.device))
        self.sae, self.whole = part or sae, part is None
        rows, wide = len(unit.queries), sae.d_sae if self.whole else 0

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=torch.float64, device=model.device)

        self.shift, self.act = zeros(wide), zeros(wide)
        self.fired = torch.zeros(wide, dtype=torch.int64, device=model.device)
        self.raw_shift = zeros(sae.d_in)
        self.replicas = zeros(replicas, wide)
        self.weights = resample_counts(unit, replicas).to(model.device)
        names = ["total_shift"] if self.whole else []
        if columns is not None:
            names += ["drift_shift", "drift_act", "low_shift", "raw_icl", "raw_act"]
        self.rows = {name: zeros(rows) for name in names}
        count = 0 if columns is None else len(columns.drift)
        self.by_column = {name: zeros(count) for name in ("drift_shift", "drift_act")}
        self.values = torch.zeros(count, EXAMPLES, device=model.device)
        self.places = torch.full((count, EXAMPLES, 2), -1, dtype=torch.int64, device=model.device)

    def add(self, pack: Pack) -> None:
        """Add a pack, in slices of tokens small enough to encode at once."""
        step = max(1, ENCODED_VALUES // self.sae.d_sae)
        segments = pack.segments.to(self.device) + pack.queries.start
        starts = torch.cat([torch.zeros(1, dtype=torch.int64), torch.bincount(pack.segments).cumsum(0)[:-1]])
        offsets = (torch.arange(len(pack.segments)) - starts[pack.segments]).to(self.device)
        for left in range(0, len(segments), step):
            cut = slice(left, left + step)
            alone, context = pack.alone[cut].float(), pack.context[cut].float()
            self.add_slice(alone, context - alone, self.sae.encode(context), segments[cut], offsets[cut])

    def add_slice(self, alone: Tensor, raw: Tensor, moved: Tensor, segments: Tensor, offsets: Tensor) -> None:
        """Add a slice: `alone`, `raw` `[tokens, d_in]`, `moved` (features with demonstrations) `[tokens, d_sae]`."""
        features = self.sae.encode(alone)
        squares = moved.sub_(features).square_()
        raw_squares = raw.square()
        self.raw_shift += raw_squares.sum(0, dtype=torch.float64)
        if self.whole:
            self.shift += squares.sum(0, dtype=torch.float64)
            self.act += features.sum(0, dtype=torch.float64)
            self.fired += (features > 0).sum(0)
            self.to_rows("total_shift", squares.sum(1), segments)
            if len(self.replicas):
                first, last = int(segments[0]), int(segments[-1]) + 1
                by_row = torch.zeros(last - first, squares.shape[1], device=self.device)
                by_row.index_add_(0, segments - first, squares)
                self.replicas += (self.weights[:, first:last] @ by_row).double()
        if self.columns is not None:
            self.add_columns(self.columns, features, squares, alone, raw_squares, segments, offsets)

    def add_columns(
        self, columns: Columns, features: Tensor, squares: Tensor, alone: Tensor, raw_squares: Tensor,
        segments: Tensor, offsets: Tensor,
    ) -> None:  # fmt: skip
        """Add what is kept for chosen dimensions."""
        count = len(columns.drift)
        drift, low = (torch.from_numpy(chosen).to(self.device) for chosen in (columns.drift, columns.low))
        if not self.whole:
            drift = torch.arange(count, device=self.device)
            low = torch.arange(count, count + len(low), device=self.device)
        raw = torch.from_numpy(columns.raw).to(self.device)
        acts, shifts = features[:, drift], squares[:, drift]
        self.to_rows("drift_shift", shifts.sum(1), segments)
        self.to_rows("drift_act", acts.sum(1), segments)
        self.to_rows("low_shift", squares[:, low].sum(1), segments)
        self.to_rows("raw_icl", raw_squares[:, raw].sum(1), segments)
        self.to_rows("raw_act", alone[:, raw].abs().sum(1), segments)
        self.by_column["drift_shift"] += shifts.sum(0, dtype=torch.float64)
        self.by_column["drift_act"] += acts.sum(0, dtype=torch.float64)
        self.keep_examples(acts, segments, offsets)

    def to_rows(self, name: str, values: Tensor, segments: Tensor) -> None:
        """Add token values to their rows' sums."""
        self.rows[name].index_add_(0, segments, values.double())

    def keep_examples(self, acts: Tensor, segments: Tensor, offsets: Tensor) -> None:
        """Keep each drift dimension's largest activations; the earlier token wins a tie."""
        best, index = acts.T.topk(min(EXAMPLES, len(acts)), dim=1)
        places = torch.stack([segments[index], offsets[index]], dim=2)
        places[best <= 0] = -1
        values, both = torch.cat([self.values, best], 1), torch.cat([self.places, places], 1)
        order = values.sort(dim=1, descending=True, stable=True).indices[:, :EXAMPLES]
        self.values = values.gather(1, order)
        self.places = both.gather(1, order[:, :, None].expand(-1, -1, 2))

    def result(self) -> Statistics:
        """The sums, as arrays."""
        return Statistics(
            tokens=np.array([query.count for query in self.unit.queries], dtype=np.int64),
            shift=self.shift.cpu().numpy(),
            act=self.act.cpu().numpy(),
            fired=self.fired.cpu().numpy(),
            raw_shift=self.raw_shift.cpu().numpy(),
            replicas=self.replicas.cpu().numpy(),
            rows={name: value.cpu().numpy() for name, value in self.rows.items()},
            by_column={name: value.cpu().numpy() for name, value in self.by_column.items()},
            example_values=self.values.cpu().numpy(),
            example_places=self.places.cpu().numpy(),
        )


def resample_counts(unit: Unit, replicas: int) -> Tensor:
    """How often each row stands in each bootstrap resample: independent Poisson(1) counts.

    The counts come from the row's own tokens, so they are the same however the rows are batched, ordered or shared
    between processes.

    Returns:
        `[replicas, rows]` float32.
    """
    columns: list[npt.NDArray[np.int64]] = []
    for query in unit.queries:
        seed = int(content_hash(query.alone)[:16], 16)
        columns.append(np.random.default_rng(seed).poisson(1.0, replicas))
    return torch.from_numpy(np.array(columns, dtype=np.float32).T.reshape(replicas, len(unit.queries)))
