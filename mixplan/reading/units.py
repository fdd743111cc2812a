"""Reads units of a domain's tokens through model and SAE; every unit is kept, so that work resumes.

Of a domain all features are kept, sparse, whatever target asks for them: another one reads no domain again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mixplan.errors import MixplanError
from mixplan.features import sparse
from mixplan.features.column_sums import statistics_of, sums_of_sets
from mixplan.features.in_parts import Parts, together
from mixplan.features.measure import measure_unit, statistics_key
from mixplan.features.measure_sparse import measure_sparse, sparse_key
from mixplan.features.queries import Unit
from mixplan.features.sparse import Sparse
from mixplan.features.statistics import Columns, Doubles, Integers, Statistics, from_bytes, to_bytes
from mixplan.model import Model
from mixplan.reading.progress import Watcher
from mixplan.reading.workers import Workers, deal
from mixplan.runs import store, unseal
from mixplan.sae import ELEMENTWISE, Sae

Read = Callable[[Unit, bool], Statistics | None]
"""A unit's statistics, from the cache; where they are not there and may be read now, read and kept."""


@dataclass(frozen=True)
class Reader:
    """What reading needs: model, SAE, where statistics are kept, who is told, and a trained model to hold beside.

    Attributes:
        parts: By a unit's mark, the parts in which it is read and kept; a unit without them is read as one.
    """

    model: Model
    sae: Sae
    folder: Path
    watcher: Watcher
    workers: Workers
    trained: Model | None = None
    parts: Mapping[str, Parts] = field(default_factory=dict)

    def read(self, units: Sequence[Unit], *, replicas: int = 0) -> list[Statistics]:
        """Statistics of units over all features, from the cache or read now.

        Args:
            units: What to read; with several processes each reads its share.
            replicas: Bootstrap resamples, see `measure_unit`.
        """
        return self.shared(units, lambda unit, now: self.summed(unit, None, now, replicas=replicas))

    def read_columns(self, units: Sequence[Unit], columns: Columns, *, whole: bool = False) -> list[Statistics]:
        """Statistics of units for chosen dimensions, row by row, from what is kept of all features or read now.

        Args:
            units: What to read; with several processes each reads its share.
            columns: The dimensions.
            whole: Whether to give the sums over all features, too; those of top-k kinds always do.
        """
        whole = whole or self.sae.kind not in ELEMENTWISE
        return self.shared(units, lambda unit, now: self.picked(unit, columns, now, whole=whole))

    def shared(self, units: Sequence[Unit], read: Read) -> list[Statistics]:
        """Statistics in the order of the units, each read by the process whose turn it is."""
        ranks = deal([unit.tokens for unit in units], self.workers.count)
        found = [read(unit, rank == self.workers.rank) for unit, rank in zip(units, ranks, strict=True)]
        self.workers.wait()
        return [part or self.arrived(unit, read) for unit, part in zip(units, found, strict=True)]

    def arrived(self, unit: Unit, read: Read) -> Statistics:
        """Statistics that another process has read."""
        part = read(unit, False)
        if part is None:
            raise MixplanError(
                f"{self.folder}: another process's statistics did not arrive. "
                "All processes must share one cache folder: set MIXPLAN_CACHE to a shared one."
            )
        return part

    def picked(self, unit: Unit, columns: Columns, now: bool, *, whole: bool) -> Statistics | None:
        """Statistics for chosen dimensions; of an SAE that fires too much to be kept sparse, for these alone."""
        if (parts := self.parts.get(unit.mark)) is not None:
            return whole_of([self.picked(part, columns, now, whole=whole) for part in parts])
        data = unseal(self.sparse_place(unit))
        kept = None if data is None else sparse.from_bytes(data)
        if kept is not None:
            self.watcher.advance(unit.tokens)
            return statistics_of(kept, columns, whole=whole)
        alone = self.summed(unit, columns, False, whole=whole)
        if alone is not None or not now:
            return alone
        read = self.keep(unit)
        return (
            self.summed(unit, columns, True, whole=whole) if read is None else statistics_of(read, columns, whole=whole)
        )

    def keep(self, unit: Unit) -> Sparse | None:
        """Read a unit and keep all its features; None where too many fire for that."""
        read = measure_sparse(self.model, self.sae, unit, trained=self.trained, on_tokens=self.watcher.advance)
        if read is not None:
            store(self.sparse_place(unit), sparse.to_bytes(read))
        return read

    def sparse_place(self, unit: Unit) -> Path:
        """Where all features of a unit are kept."""
        return self.place(sparse_key(self.model, self.sae, unit, trained=self.trained))

    def summed(
        self, unit: Unit, columns: Columns | None, now: bool, *, replicas: int = 0, whole: bool = True
    ) -> Statistics | None:
        """Sums over a unit; damaged ones are set aside."""
        if (parts := self.parts.get(unit.mark)) is not None:
            return whole_of([self.summed(part, columns, now, replicas=replicas, whole=whole) for part in parts])
        key = statistics_key(self.model, self.sae, unit, columns, replicas=replicas, whole=whole, trained=self.trained)
        data = unseal(self.place(key))
        kept = None if data is None else from_bytes(data)
        if kept is None and now:
            kept = measure_unit(
                self.model, self.sae, unit, columns=columns, replicas=replicas, whole=whole,
                trained=self.trained, on_tokens=self.watcher.advance,
            )  # fmt: skip
            store(self.place(key), to_bytes(kept))
        elif kept is not None:
            self.watcher.advance(unit.tokens)
        return kept

    def sums_of_sets(self, units: Sequence[Unit], sets: Integers, *, act: bool) -> Doubles | None:
        """Sum sets of dimensions row by row, of units that were read.

        Args:
            units: Whose features are kept.
            sets: `[sets, n]` dimensions.
            act: Whether to sum activations in the place of squared changes.

        Returns:
            `[sets, rows]`, the units' rows one behind another; None where not all features of one are kept.
        """
        found = []
        for part in (part for unit in units for part in self.parts_of(unit)):
            data = unseal(self.sparse_place(part))
            kept = None if data is None else sparse.from_bytes(data)
            if kept is None:
                return None
            found.append(sums_of_sets(kept, sets, act=act))
        return np.concatenate(found, axis=1)

    def parts_of(self, unit: Unit) -> Parts:
        """The parts in which a unit is read: itself where it is read as one."""
        return self.parts.get(unit.mark, (unit,))

    def place(self, key: str) -> Path:
        """Where what is kept under a key lies."""
        return self.folder / key[:2] / f"{key}.safetensors"


def whole_of(parts: Sequence[Statistics | None]) -> Statistics | None:
    """A unit's statistics from those of its parts; None while one is not there."""
    found = [part for part in parts if part is not None]
    return together(found) if len(found) == len(parts) else None
