"""Holds what fired on one unit's query tokens, of all features and sparse, for whatever target asks later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mixplan.features.statistics import Integers

Singles = npt.NDArray[np.float32]

VERSION = 2
"""Of what is held; part of every cache key."""

GAPS = (np.uint8, np.uint16)
"""Types in which the distance from one entry to the next is written; whichever takes fewer bytes is used."""


@dataclass(frozen=True)
class Entries:
    """What is not 0 in a matrix of so many lines and one column a feature.

    Attributes:
        places: `[n]` int64, line times width plus column, in rising order.
        values: `[n]` float32.
        width: Columns, d_sae.
    """

    places: Integers
    values: Singles
    width: int

    @property
    def lines(self) -> Integers:
        """`[n]` int64, the line of each entry."""
        return self.places // self.width

    @property
    def columns(self) -> Integers:
        """`[n]` int64, the column of each entry."""
        return self.places % self.width


@dataclass(frozen=True)
class Sparse:
    """One unit's query tokens through every feature; h, d, x and e are as in `Statistics`.

    Attributes:
        tokens: `[rows]` int64, query tokens of each row.
        act: h, a line for each query token, those of a row one behind another.
        shift: Sums of d² over a row's tokens, a line for each row.
        raw_shift: `[rows, d_in]` float32, sums of e².
        raw_act: `[rows, d_in]` float32, sums of |x|.
    """

    tokens: Integers
    act: Entries
    shift: Entries
    raw_shift: Singles
    raw_act: Singles


def to_bytes(sparse: Sparse) -> bytes:
    """A unit as safetensors bytes; equal ones give equal bytes."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "tokens": sparse.tokens,
        "width": np.array([sparse.act.width], dtype=np.int64),
        "raw_shift": sparse.raw_shift,
        "raw_act": sparse.raw_act,
    }
    for name, entries in (("act", sparse.act), ("shift", sparse.shift)):
        arrays[f"{name}.gaps"], arrays[f"{name}.far"] = gaps_of(entries.places)
        arrays[f"{name}.values"] = entries.values
    return bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def joined(parts: Sequence[Sparse]) -> Sparse:
    """Put together what was read of one unit's rows, in parts that follow one another.

    Args:
        parts: One or more, of one SAE.

    Returns:
        What reading all rows at once keeps.
    """
    tokens = [int(part.tokens.sum()) for part in parts]
    rows = [len(part.tokens) for part in parts]
    return Sparse(
        np.concatenate([part.tokens for part in parts]),
        stacked([part.act for part in parts], tokens),
        stacked([part.shift for part in parts], rows),
        np.concatenate([part.raw_shift for part in parts]),
        np.concatenate([part.raw_act for part in parts]),
    )


def stacked(parts: Sequence[Entries], lines: Sequence[int]) -> Entries:
    """Matrices of so many lines each, one below another."""
    width = parts[0].width
    starts = np.cumsum([0, *lines[:-1]])
    places = [part.places + start * width for part, start in zip(parts, starts, strict=True)]
    return Entries(np.concatenate(places), np.concatenate([part.values for part in parts]), width)


def from_bytes(data: bytes) -> Sparse | None:
    """A unit from `to_bytes`, or None when the bytes are something else."""
    try:
        arrays: dict[str, npt.NDArray[Any]] = load(data)
        tokens, width = arrays["tokens"], int(arrays["width"].item())
        act, shift = (
            entries_of(arrays, name, lines, width)
            for name, lines in (("act", int(tokens.sum())), ("shift", len(tokens)))
        )
        raw_shift, raw_act = arrays["raw_shift"], arrays["raw_act"]
    except (SafetensorError, KeyError, ValueError):
        return None
    whole = raw_shift.shape == raw_act.shape and len(raw_shift) == len(tokens)
    return Sparse(tokens, act, shift, raw_shift, raw_act) if whole else None


def entries_of(arrays: dict[str, npt.NDArray[Any]], name: str, lines: int, width: int) -> Entries:
    """One matrix of a unit's arrays.

    Raises:
        KeyError: an array is not there.
        ValueError: they do not belong together.
    """
    places = places_of(arrays[f"{name}.gaps"], arrays[f"{name}.far"])
    values = arrays[f"{name}.values"]
    if len(places) != len(values) or (len(places) and places[-1] >= lines * width):
        raise ValueError(name)
    return Entries(places, values, width)


def gaps_of(places: Integers) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Distances from each place to the one before, in one or two bytes each.

    Args:
        places: `[n]` in rising order, from 0.

    Returns:
        The distances, the largest number of their type standing for one that does not fit, and those, in order.
    """
    gaps = np.diff(places, prepend=0).astype(np.uint64)
    written = []
    for kind in GAPS:
        limit = np.iinfo(kind).max
        far = gaps[gaps >= limit]
        written.append((np.minimum(gaps, limit).astype(kind), far.astype(np.uint32) if fits(far) else far))
    return min(written, key=lambda pair: pair[0].nbytes + pair[1].nbytes)


def fits(far: npt.NDArray[np.uint64]) -> bool:
    """Whether distances fit four bytes each."""
    return not len(far) or int(far.max()) <= np.iinfo(np.uint32).max


def places_of(gaps: npt.NDArray[Any], far: npt.NDArray[Any]) -> Integers:
    """Places from what `gaps_of` gives.

    Raises:
        ValueError: the two do not belong together.
    """
    steps = gaps.astype(np.int64)
    limit = np.iinfo(gaps.dtype).max
    wide = gaps == limit
    if int(wide.sum()) != len(far) or (far < limit).any():
        raise ValueError("far")
    steps[wide] = far.astype(np.int64)
    return np.cumsum(steps)
