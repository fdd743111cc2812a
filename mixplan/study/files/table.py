"""Defines table.json: what a study measured and forecast, as arrays over targets, domains and seeds."""

from __future__ import annotations

from typing import Literal

from mixplan.saved.base_types import Saved

Row = list[float | None]
"""Numbers, None where there is none."""


class TableFile(Saved):
    """table.json; see `mixplan.study.judged.table.Table`, which holds the same as arrays."""

    version: Literal[1]
    targets: list[str]
    domains: list[str]
    development: list[str]
    competitors: list[str]
    bounds: list[str]
    seeds: list[int]
    kinds: dict[str, str]
    live: dict[str, int]
    drift_features: dict[str, int]
    items: dict[str, list[int]]
    measures: dict[str, list[list[Row]]]
    noise: dict[str, list[list[Row]]]
    predictors: dict[str, list[Row]]
    overlaps: dict[str, list[Row]]
    signs: dict[str, list[Row]]
