"""Runs the ablations that a judged study's file asks for: writes labelled.json, zeroing.json and ablations.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mixplan.runs import write_json
from mixplan.study.ablations.ablate import ablate
from mixplan.study.ablations.labelled import Drift, judge_labels
from mixplan.study.ablations.zeroing import judge_zeroing
from mixplan.study.jobs import Bench, Cell, read_drift
from mixplan.study.judged.table import Table


def write_further(bench: Bench, cells: Sequence[Cell], table: Table, readings: Mapping[str, Any], folder: Path) -> None:
    """Look further into a judged study, the quickest first; no target is trained, and what is known is kept.

    Features are taken out of the cells of the first seed alone: every condition is measured with each of them.

    Args:
        bench: The study's model and data.
        cells: The cells that were judged.
        table: Their measures.
        readings: What `read_forecasts` gave.
        folder: Where the files go.

    Raises:
        MixplanError: see `ablate` and `judge_zeroing`.
    """
    asked = bench.study.spec.ablations
    if asked is None:
        return
    head = {"study": bench.study.hash}
    drifts: dict[tuple[str, int], Drift] = {}
    for cell in cells:
        drift = read_drift(cell)
        assert drift is not None  # a cell without it is not done
        drifts[cell.target, cell.seed] = drift
    labels = judge_labels(readings["targets"], readings["domains"], drifts, seed=bench.study.spec.seeds[0])
    write_json(folder / "labelled.json", head | {"seeds": list(table.seeds)} | labels)

    def keep(ablated: dict[str, Any]) -> None:
        write_json(folder / "ablations.json", head | {"asked": asked.model_dump(mode="json")} | ablated)

    ablations = ablate(bench, cells, table, readings["targets"], readings["domains"])
    keep(next(ablations))  # numbers of features, for which nothing is read
    first = [cell for cell in cells if cell.seed == bench.study.spec.seeds[0]]
    write_json(folder / "zeroing.json", head | judge_zeroing(bench, first, readings["targets"]))
    for ablated in ablations:
        keep(ablated)
