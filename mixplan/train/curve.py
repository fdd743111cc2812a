"""Converts what a trainer logs to points of the training curve, without the trainer's libraries."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

FOLLOWED = "MIXPLAN_FOLLOWED"
"""Environment variable of a training process that another one follows, whose standard input that one holds."""
TIMES = ("step_time", "runtime", "per_second", "flos", "num_tokens")
"""Parts of names whose values differ from run to run, or count from the latest start, so that they are left out."""


Event = dict[str, Any]
"""A line of a training's log: its event, and what belongs to it."""


def curve_point(values: Mapping[str, object]) -> dict[str, object]:
    """A point of the curve from what the trainer logs: its step first, no times, null for what is not finite."""
    numbers = {
        name: value if math.isfinite(float(value)) else None
        for name, value in values.items()
        if isinstance(value, int | float) and not any(word in name for word in TIMES)
    }
    return {"step": numbers.pop("step"), **numbers}


def parsed(line: str) -> Event:
    """One line of the log; empty where a kill cut it short."""
    try:
        return dict(json.loads(line))
    except ValueError:
        return {}
