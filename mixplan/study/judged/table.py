"""Holds what a study measured and forecast as arrays over targets, domains and seeds, and their JSON file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mixplan.errors import RunError
from mixplan.saved.read import File, parsed
from mixplan.study.files.read import write_file
from mixplan.study.files.table import TableFile

Doubles = npt.NDArray[np.float64]

VERSION = 1
AGAIN = "Run the study again, `mixplan study run STUDY --run FOLDER`: it makes the table from the cells that are kept."


@dataclass(frozen=True)
class Table:
    """Everything that a study is judged on; T targets, D domains and S seeds in the order of their names.

    Attributes:
        targets: `[T]` names.
        domains: `[D]` names.
        kinds: By domain, its kind, such as `short answers`.
        seeds: `[S]` training seeds.
        development: The targets that choices may be made on; the others are held out.
        measures: By quantity (`kl`, `bits_per_byte`, `gold_probability`, `correct`, …) `[T, D, S]` float64, after less
            before in the quantity's own unit; NaN where it was not measured or is left out, such as the target itself.
        noise: By quantity `[T, D, S]` float64, the standard error of that change over its items.
        predictors: By name `[T, D]` float64; NaN where there is none.
        competitors: Predictors that a forecast has to beat.
        bounds: Predictors that need the trained model: what no forecast is expected to beat.
        overlaps: By drift variant `[T, S]` float64, how many dimensions predicted and actual drift share.
        live: By drift variant, how many dimensions there are to choose from: live features, or the stream's width.
        drift_features: By drift variant, how many each of the two sets holds, the N of D_N.
        signs: By name `[T, D]` float64, forecasts of a direction: above 0 for better, below for worse; NaN where none.
        items: By quantity, `[D]` items measured in each domain, 0 where it was not measured.
    """

    targets: tuple[str, ...]
    domains: tuple[str, ...]
    kinds: dict[str, str]
    seeds: tuple[int, ...]
    development: tuple[str, ...]
    measures: dict[str, Doubles]
    noise: dict[str, Doubles]
    predictors: dict[str, Doubles]
    competitors: tuple[str, ...]
    bounds: tuple[str, ...]
    overlaps: dict[str, Doubles] = field(default_factory=dict)
    live: dict[str, int] = field(default_factory=dict)
    drift_features: dict[str, int] = field(default_factory=dict)
    signs: dict[str, Doubles] = field(default_factory=dict)
    items: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse arrays and names that do not fit each other.

        Raises:
            ValueError: they do not; the message says where.
        """
        cells = (len(self.targets), len(self.domains), len(self.seeds))
        for part, shape in (("measures", cells), ("noise", cells), ("predictors", cells[:2]), ("signs", cells[:2])):
            _shaped(part, getattr(self, part), shape)
        _shaped("overlaps", self.overlaps, (cells[0], cells[2]))
        _named("kinds", self.kinds, self.domains)
        _named("noise", self.noise, tuple(self.measures))
        _named("live", self.live, tuple(self.overlaps))
        _named("drift_features", self.drift_features, tuple(self.overlaps))
        for part, known in (
            ("development", self.targets),
            ("competitors", self.predictors),
            ("bounds", self.predictors),
        ):
            if unknown := [name for name in getattr(self, part) if name not in known]:
                raise ValueError(f"{part}: found '{unknown[0]}', expected one of {', '.join(known)}")
        for quantity, counts in self.items.items():
            if len(counts) != cells[1]:
                raise ValueError(f"items.{quantity}: found {len(counts)} entries, expected {cells[1]}")

    @property
    def forecasts(self) -> tuple[str, ...]:
        """The predictors that are neither competitors nor bounds: the candidates for a forecast."""
        return tuple(name for name in self.predictors if name not in (*self.competitors, *self.bounds))

    @property
    def held_out(self) -> tuple[str, ...]:
        """The targets that no choice was made on."""
        return tuple(name for name in self.targets if name not in self.development)


def _shaped(part: str, arrays: Mapping[str, Doubles], shape: Sequence[int]) -> None:
    for name, values in arrays.items():
        if values.shape != tuple(shape):
            found, expected = (" x ".join(map(str, sizes)) for sizes in (values.shape, shape))
            raise ValueError(f"{part}.{name}: found {found} numbers, expected {expected}")


def _named(part: str, found: Mapping[str, Any], expected: Sequence[str]) -> None:
    if set(found) != set(expected):
        odd = sorted(set(found) ^ set(expected))[0]
        raise ValueError(f"{part}: '{odd}' is {'not expected' if odd in found else 'missing'}")


ARRAYS = ("measures", "noise", "predictors", "overlaps", "signs")
NAMES = ("targets", "domains", "development", "competitors", "bounds")


def write_table(table: Table, path: Path) -> None:
    """Write a table as JSON, atomically; NaN is written as null.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    value: dict[str, object] = {"version": VERSION}
    value |= {part: list(getattr(table, part)) for part in (*NAMES, "seeds")}
    value |= {part: dict(getattr(table, part)) for part in ("kinds", "live", "drift_features")}
    value["items"] = {name: list(counts) for name, counts in table.items.items()}
    value |= {part: {name: _nulls(a.tolist()) for name, a in getattr(table, part).items()} for part in ARRAYS}
    write_file(path, TableFile.model_validate(value))


def read_table(path: Path) -> Table:
    """Read a table back.

    Raises:
        RunError: the file is not there, damaged, or of another version.
    """
    file = File(path, "table.json", AGAIN)
    found = parsed(TableFile, file.bytes(), file)
    try:
        arrays = {part: {name: _array(value) for name, value in getattr(found, part).items()} for part in ARRAYS}
        return Table(
            targets=tuple(found.targets),
            domains=tuple(found.domains),
            kinds=found.kinds,
            seeds=tuple(found.seeds),
            development=tuple(found.development),
            competitors=tuple(found.competitors),
            bounds=tuple(found.bounds),
            live=found.live,
            drift_features=found.drift_features,
            items={name: tuple(counts) for name, counts in found.items.items()},
            **arrays,
        )
    except ValueError as error:
        raise RunError(f"{path}: this is not a whole table of a study: {error}. {AGAIN}") from error


def _array(value: object) -> Doubles:
    """Nested lists as an array, NaN for None.

    Raises:
        ValueError: they are not of one length.
    """
    return np.array(_nans(value), dtype=np.float64)


def _nulls(value: Any) -> Any:
    """Nested lists with None for NaN."""
    if isinstance(value, list):
        return [_nulls(part) for part in value]
    return None if np.isnan(value) else value


def _nans(value: Any) -> Any:
    """Nested lists with NaN for None."""
    if isinstance(value, list):
        return [_nans(part) for part in value]
    return np.nan if value is None else value
