"""Puts what processes measured together as a point of a trajectory, and says it in a sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from transformers import Trainer

from mixplan.monitor.watch import Share
from mixplan.recipe import DuringSpec, load_recipe, section
from mixplan.saved.trajectory import PartPoint, Point, Trajectory


def settled(run: Path, settings: Mapping[str, Any]) -> DuringSpec:
    """The run's own `evaluate.during` with settings put in its place.

    Raises:
        RecipeError: a setting is unknown or has a wrong value.
    """
    own = load_recipe(run / "recipe.yaml").recipe.evaluate.during
    return section({**(own.model_dump() if own else {}), **settings}, DuringSpec)


def label_of(folder: Path) -> str:
    """A trainer's output folder as a name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", folder.resolve().name).lstrip("-_.") or "trainer"


def said(point: Point, trajectory: Trajectory) -> str:
    """A point as a sentence."""
    domain, worst = point.worst
    first = trajectory.points[0]
    target = [
        f"{name} {trajectory.begin.parts[name].quantity.replace('_', ' ')} {part.value:.3g}"
        + (f" (was {first.parts[name].value:.3g})" if point.step else "")
        for name, part in point.targets().items()
    ]
    moved = f", most in {domain}: KL {worst:.3g} nats per token" if point.step else ""
    return f"measured at step {point.step} of {trajectory.begin.steps}: {', '.join(target)}{moved}"


def gathered(share: Share) -> Share:
    """All processes' shares as one; each process must ask."""
    whole = Share()
    for values, kl, drift in gather_object([(share.values, share.kl, share.drift)]):
        whole.add(Share(values, kl, drift))
    return whole


def point_of(name: str, share: Share, trajectory: Trajectory) -> PartPoint:
    """A part's values in the order of its rows."""
    part = trajectory.begin.parts[name]
    kl = [share.kl[name, row] for row in part.kl_rows]
    values = [share.values[name, row] for row in part.rows]
    if name in share.drift:
        total, tokens = share.drift[name]
        return PartPoint(kl=kl, quantity=values, drift=total / tokens)
    return PartPoint(kl=kl, quantity=values)


def logged(point: Point, trajectory: Trajectory) -> dict[str, float]:
    """A point as trackers take it."""
    values: dict[str, float] = {}
    for name, part in point.parts.items():
        values[f"domain/{name}/kl"] = part.mean_kl
        values[f"domain/{name}/{trajectory.begin.parts[name].quantity}"] = part.value
        if part.drift is not None:
            values[f"domain/{name}/drift"] = part.drift
    values["domain/worst_kl"] = point.worst[1]
    return values


def log(point: Point, trajectory: Trajectory, trainer: Trainer) -> None:
    """Hand a point to the trainer's log and trackers.

    TRL's own `log` would put its running averages in and begin them anew; and any log of a step takes the place of the
    one that is due. The untrained model's is logged as of step 0, whenever it has been read.
    """
    state, due = trainer.state, trainer.control.should_log
    now = state.global_step, state.epoch
    if point.step == 0:
        state.global_step, state.epoch = 0, 0.0
    try:
        Trainer.log(trainer, logged(point, trajectory))
    finally:
        state.global_step, state.epoch = now
        trainer.control.should_log = due
