"""Holds the sums of one unit's reading as arrays that are saved, loaded and added, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

Integers = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

EXAMPLES = 3
"""Tokens kept for each drift dimension to show what fires it."""

VERSION = 3
"""Of the statistics' meaning; part of every cache key."""


@dataclass(frozen=True)
class Columns:
    """Sets of dimensions whose sums are kept row by row, for intervals.

    Attributes:
        drift: `[n]` int64 drift dimensions of the SAE.
        low: Low-shift dimensions of the SAE, a comparison.
        raw: Drift dimensions of the raw stream, a comparison.
    """

    drift: Integers
    low: Integers
    raw: Integers


@dataclass(frozen=True)
class Statistics:
    """Sums over one unit's query tokens; every field adds up over units.

    h is a token's feature activations without demonstrations, d the change demonstrations bring, x and e the same of
    the raw stream.

    Attributes:
        tokens: `[rows]` int64, query tokens of each row.
        shift: `[d_sae]` float64, sum of d². Empty when only columns were read.
        act: `[d_sae]` float64, sum of h. Empty likewise.
        fired: `[d_sae]` int64, tokens with h > 0. Empty likewise.
        raw_shift: `[d_in]` float64, sum of e².
        replicas: `[replicas, d_sae]` float64, `shift` of bootstrap resamples of rows. Empty unless asked for.
        rows: By name, `[rows]` float64 sums over a row's tokens: `drift_shift`, `drift_act`, `low_shift`, `raw_icl`,
            `raw_act`, `total_shift`.
        by_column: By name, `[n]` float64 sums over the drift dimensions: `drift_shift`, `drift_act`.
        example_values: `[n, EXAMPLES]` float32, largest h of each drift dimension.
        example_places: `[n, EXAMPLES, 2]` int64, query in the unit and token among its query tokens; -1 for none.
    """

    tokens: Integers
    shift: Doubles
    act: Doubles
    fired: Integers
    raw_shift: Doubles
    replicas: Doubles
    rows: dict[str, Doubles] = field(default_factory=dict)
    by_column: dict[str, Doubles] = field(default_factory=dict)
    example_values: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, EXAMPLES), np.float32))
    example_places: Integers = field(default_factory=lambda: np.zeros((0, EXAMPLES, 2), np.int64))


def to_bytes(statistics: Statistics) -> bytes:
    """A unit's statistics as safetensors bytes; equal statistics give equal bytes."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for entry in fields(statistics):
        value = getattr(statistics, entry.name)
        if isinstance(value, Mapping):
            arrays |= {f"{entry.name}.{name}": np.ascontiguousarray(array) for name, array in value.items()}
        else:
            arrays[entry.name] = np.ascontiguousarray(value)
    return bytes(save(arrays))


def from_bytes(data: bytes) -> Statistics | None:
    """Statistics from `to_bytes`, or None when the bytes are something else."""
    try:
        arrays: Mapping[str, Any] = load(data)
        flat = {name: array for name, array in arrays.items() if "." not in name}
        nested: dict[str, dict[str, Any]] = {"rows": {}, "by_column": {}}
        for name in set(arrays) - set(flat):
            group, key = name.split(".", 1)
            nested[group][key] = arrays[name]
        return Statistics(rows=nested["rows"], by_column=nested["by_column"], **flat)
    except (SafetensorError, KeyError, TypeError):
        return None
