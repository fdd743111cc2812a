"""Runs the ablations that a judged study's file asks for: writes labelled.json, zeroing.json and ablations.json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mixplan.study.ablations.ablate import ablate
from mixplan.study.ablations.own_features import Drift, judge_labels
from mixplan.study.ablations.zeroing import judge_zeroing
from mixplan.study.files.ablations import Ablations, AblationsFile, AskedAblations
from mixplan.study.files.judgement import Of
from mixplan.study.files.own_features import LabelledFile
from mixplan.study.files.read import write_file
from mixplan.study.files.zeroing import ZeroingFile
from mixplan.study.forecasts.formulas import Readings
from mixplan.study.jobs import Bench, Cell, read_drift
from mixplan.study.judged.table import Table


def write_ablations(bench: Bench, cells: Sequence[Cell], table: Table, readings: Readings, folder: Path) -> None:
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
    drifts: dict[tuple[str, int], Drift] = {}
    for cell in cells:
        drift = read_drift(cell)
        assert drift is not None  # a cell without it is not done
        drifts[cell.target, cell.seed] = drift
    labels = judge_labels(readings.targets, readings.domains, drifts, seed=bench.study.spec.seeds[0])
    of = Of(version=1, study=bench.study.hash)
    write_file(folder / "labelled.json", LabelledFile.of_parts(of, labels, seeds=list(table.seeds)))
    question = AskedAblations.model_validate(asked.model_dump(mode="json"))

    def keep(ablated: Ablations) -> None:
        write_file(folder / "ablations.json", AblationsFile.of_parts(of, ablated, asked=question))

    ablations = ablate(bench, cells, table, readings.targets, readings.domains)
    keep(next(ablations))  # numbers of features, for which nothing is read
    first = [cell for cell in cells if cell.seed == bench.study.spec.seeds[0]]
    zeroing = judge_zeroing(bench, first, readings.targets)
    write_file(folder / "zeroing.json", ZeroingFile.of_parts(of, zeroing))
    for ablated in ablations:
        keep(ablated)
