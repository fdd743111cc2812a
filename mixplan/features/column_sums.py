"""Sums chosen dimensions of what a unit's reading keeps of all features, with no model at hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mixplan.features.sparse import Entries, Singles, Sparse
from mixplan.features.statistics import EXAMPLES, Columns, Doubles, Integers, Statistics


def statistics_of(sparse: Sparse, columns: Columns, *, whole: bool) -> Statistics:
    """Statistics of one unit for chosen dimensions, in float64 and always in the same order.

    Args:
        sparse: All features of the unit.
        columns: Dimensions to sum row by row.
        whole: Whether to give the sums over all features, too.
    """
    rows = len(sparse.tokens)
    row_of = np.repeat(np.arange(rows), sparse.tokens)
    drift = columns.drift
    act_tokens, act_columns, acts = chosen(sparse.act, drift)
    shift_rows, shift_columns, shifts = chosen(sparse.shift, drift)
    low_rows, _, lows = chosen(sparse.shift, columns.low)
    by_row = {
        "drift_shift": added(shift_rows, shifts, rows),
        "drift_act": added(row_of[act_tokens], acts, rows),
        "low_shift": added(low_rows, lows, rows),
        "raw_icl": sparse.raw_shift[:, columns.raw].sum(1, dtype=np.float64),
        "raw_act": sparse.raw_act[:, columns.raw].sum(1, dtype=np.float64),
    }
    if whole:
        by_row["total_shift"] = added(sparse.shift.lines, sparse.shift.values, rows)
    values, places = examples(act_columns, act_tokens, acts, count=len(drift), tokens=sparse.tokens)
    act = sparse.act.columns if whole else np.zeros(0, dtype=np.int64)
    width = sparse.act.width if whole else 0
    fired = np.bincount(act[sparse.act.values > 0], minlength=width) if whole else act
    return Statistics(
        tokens=sparse.tokens,
        shift=added(sparse.shift.columns, sparse.shift.values, width) if whole else np.zeros(0),
        act=added(act, sparse.act.values, width) if whole else np.zeros(0),
        fired=fired.astype(np.int64),
        raw_shift=sparse.raw_shift.sum(0, dtype=np.float64),
        replicas=np.zeros((0, width)),
        rows=by_row,
        by_column={
            "drift_shift": added(shift_columns, shifts, len(drift)),
            "drift_act": added(act_columns, acts, len(drift)),
        },
        example_values=values,
        example_places=places,
    )


def sums_of_sets(sparse: Sparse, sets: Integers, *, act: bool) -> Doubles:
    """Sum each of several sets of dimensions row by row.

    Args:
        sparse: All features of the unit.
        sets: `[sets, n]` dimensions.
        act: Whether to sum activations in the place of squared changes.

    Returns:
        `[sets, rows]`.
    """
    rows, entries = len(sparse.tokens), sparse.act if act else sparse.shift
    union = np.unique(sets)
    lines, columns, values = chosen(entries, union)
    if act:
        lines = np.repeat(np.arange(rows), sparse.tokens)[lines]
    dense = added(lines * len(union) + columns, values, rows * len(union)).reshape(rows, len(union))
    return np.stack([dense[:, np.searchsorted(union, one)].sum(axis=1) for one in sets])


def chosen(entries: Entries, dimensions: Integers) -> tuple[Integers, Integers, Singles]:
    """The entries of some dimensions: their lines, which of the dimensions each is of, and their values."""
    position = np.full(entries.width, -1, dtype=np.int64)
    position[dimensions] = np.arange(len(dimensions))
    column = position[entries.columns]
    kept = np.flatnonzero(column >= 0)
    return entries.places[kept] // entries.width, column[kept], entries.values[kept]


def added(groups: Integers, values: Singles, count: int) -> Doubles:
    """`[count]` float64 sums of values by group, each added in the order given."""
    return np.asarray(np.bincount(groups, weights=values.astype(np.float64), minlength=count), dtype=np.float64)


def examples(
    columns: Integers, lines: Integers, values: Singles, *, count: int, tokens: Integers
) -> tuple[Singles, npt.NDArray[np.int64]]:
    """Each dimension's largest activations; the earlier token wins a tie.

    Args:
        columns: `[n]` which dimension each activation is of.
        lines: `[n]` which query token of the unit.
        values: `[n]` how large.
        count: Dimensions.
        tokens: `[rows]` query tokens of each row.

    Returns:
        `example_values` and `example_places` of `Statistics`.
    """
    best = np.zeros((count, EXAMPLES), dtype=np.float32)
    places = np.full((count, EXAMPLES, 2), -1, dtype=np.int64)
    order = np.lexsort((lines, -values, columns))
    order = order[values[order] > 0]
    of = columns[order]
    rank = np.arange(len(order)) - np.searchsorted(of, of)
    shown = order[rank < EXAMPLES]
    at = columns[shown], rank[rank < EXAMPLES]
    ends = np.cumsum(tokens)
    row = np.searchsorted(ends, lines[shown], side="right")
    best[at] = values[shown]
    places[at] = np.stack([row, lines[shown] - (ends - tokens)[row]], axis=1)
    return best, places
