"""Reads units of a domain's tokens through model and SAE; every unit is kept, so that work resumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mixplan.errors import MixplanError
from mixplan.features.measure import measure_unit, statistics_key
from mixplan.features.queries import Unit
from mixplan.features.statistics import Columns, Statistics, from_bytes, to_bytes
from mixplan.model import Model
from mixplan.reading.progress import Watcher
from mixplan.reading.workers import Workers
from mixplan.runs import store, unseal
from mixplan.sae import Sae


@dataclass(frozen=True)
class Reader:
    """What reading needs: model, SAE, where statistics are kept, who is told, and a trained model to hold beside."""

    model: Model
    sae: Sae
    folder: Path
    watcher: Watcher
    workers: Workers
    trained: Model | None = None

    def read(
        self, units: Sequence[Unit], *, columns: Columns | None = None, replicas: int = 0, whole: bool = True
    ) -> list[Statistics]:
        """Statistics of units, from the cache or read now; with several processes each reads its share."""
        found: list[Statistics | None] = []
        for number, unit in enumerate(units):
            kept = self.kept(unit, columns, replicas, whole)
            if kept is None and number % self.workers.count == self.workers.rank:
                kept = measure_unit(
                    self.model, self.sae, unit, columns=columns, replicas=replicas, whole=whole,
                    trained=self.trained, on_tokens=self.watcher.advance,
                )  # fmt: skip
                store(self.place(unit, columns, replicas, whole), to_bytes(kept))
            elif kept is not None:
                self.watcher.advance(unit.tokens)
            found.append(kept)
        self.workers.wait()
        return [self.again(unit, part, columns, replicas, whole) for unit, part in zip(units, found, strict=True)]

    def again(
        self, unit: Unit, part: Statistics | None, columns: Columns | None, replicas: int, whole: bool
    ) -> Statistics:
        """Statistics that another process has read."""
        part = part or self.kept(unit, columns, replicas, whole)
        if part is None:
            raise MixplanError(
                f"{self.folder}: another process's statistics did not arrive. "
                "All processes must share one cache folder: set MIXPLAN_CACHE to a shared one."
            )
        return part

    def place(self, unit: Unit, columns: Columns | None, replicas: int, whole: bool) -> Path:
        """Where a unit's statistics are kept."""
        key = statistics_key(self.model, self.sae, unit, columns, replicas=replicas, whole=whole, trained=self.trained)
        return self.folder / key[:2] / f"{key}.safetensors"

    def kept(self, unit: Unit, columns: Columns | None, replicas: int, whole: bool) -> Statistics | None:
        """A unit's statistics from the cache, or None; damaged ones are set aside."""
        data = unseal(self.place(unit, columns, replicas, whole))
        return None if data is None else from_bytes(data)
