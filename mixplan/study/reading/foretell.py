"""Reads all that a study's forecasts are made of from its untrained model, and writes every forecast down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mixplan.runs import write_json
from mixplan.study.forecasts.formulas import forecasts_of
from mixplan.study.jobs import Bench
from mixplan.study.reading.pilots import forecast_cost
from mixplan.study.reading.readings import domain_reading, target_reading


def read_forecasts(bench: Bench) -> dict[str, Any]:
    """Read the untrained model for every forecast, before anything but pilots is trained.

    Returns:
        `targets` and `domains`: the readings by name; `forecasts` by target and domain; with GRPO their `cost`.
    """
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
    return {"targets": targets, "domains": domains, "forecasts": found, **forecast_cost(bench, targets)}


def write_forecasts(bench: Bench, readings: Mapping[str, Any]) -> None:
    """Write every forecast down, and with GRPO what it cost."""
    shown = {name: readings[name] for name in ("forecasts", "cost") if name in readings}
    write_json(bench.run / "forecasts.json", {"study": bench.study.hash, **shown})


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
