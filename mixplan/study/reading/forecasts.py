"""Reads all that a study's forecasts are made of from its untrained model, and writes every forecast down."""

from __future__ import annotations

from collections.abc import Callable

from mixplan.study.files.read import write_file
from mixplan.study.files.work import ForecastsFile
from mixplan.study.forecasts.formulas import Readings, forecasts_of
from mixplan.study.jobs import Bench
from mixplan.study.reading.pilots import forecast_cost
from mixplan.study.reading.readings import domain_reading, target_reading


def read_forecasts(bench: Bench) -> Readings:
    """Read the untrained model for every forecast, before anything but pilots is trained."""
    spec, recipe = bench.study.spec, bench.study.whole.recipe
    targets = {name: target_reading(bench, name) for name in spec.targets}
    domains = {name: domain_reading(bench, name) for name in bench.study.domains}
    found = {
        target: {
            name: forecasts_of(target, targets[target], reading, count=recipe.drift.features, seed=spec.seeds[0])
            for name, reading in domains.items()
            if target in reading.behind
        }
        for target in targets
    }
    return Readings(targets, domains, found, forecast_cost(bench, targets))


def write_forecasts(bench: Bench, readings: Readings) -> None:
    """Write every forecast down, and with GRPO what it cost."""
    file = ForecastsFile(version=1, study=bench.study.hash, forecasts=readings.forecasts)
    write_file(
        bench.run / "forecasts.json", file if readings.cost is None else file.model_copy(update={"cost": readings.cost})
    )


def read_ahead(bench: Bench, ready: Callable[[], bool]) -> None:
    """Read domains from the last one on for the process that reads from the first: in the cache both find all.

    Args:
        bench: The study.
        ready: Whether all is read.
    """
    for name in reversed(bench.study.domains):
        if ready():
            return
        domain_reading(bench, name)
