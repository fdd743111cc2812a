"""Holds a further process of a study back until the first one has written down what will be judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mixplan.runs import quoted
from mixplan.study.arms.make import plans_written
from mixplan.study.asked.spec import LoadedStudy
from mixplan.study.files.read import read_whole
from mixplan.study.files.work import ForecastsFile
from mixplan.study.jobs import Bench, wait_until
from mixplan.study.reading.forecasts import read_ahead


def wait_for_forecasts(bench: Bench) -> None:
    """Wait until every forecast is written, reading domains meanwhile for the process that writes them."""

    def ready() -> bool:
        return forecasts_written(bench.study, bench.run)

    read_ahead(bench, ready)
    wait_for_first(bench, ready)


def wait_for_plans(bench: Bench) -> None:
    """Wait until every plan of a study of arms is written."""
    wait_for_first(bench, lambda: plans_written(bench.study, bench.run))


def wait_for_first(bench: Bench, ready: Callable[[], bool]) -> None:
    """Wait for the first process, and say so.

    Args:
        bench: The study.
        ready: Whether what will be judged is written down.
    """
    command = f"mixplan study run {quoted(bench.study.path)} --run {quoted(bench.run)}"
    wait_until(ready, bench.watcher, f"waiting until `{command}` has written down what will be judged")


def forecasts_written(study: LoadedStudy, run: Path) -> bool:
    """Whether the forecasts of this very study are."""
    known = read_whole(ForecastsFile, run / "forecasts.json")
    return known is not None and known.study == study.hash
