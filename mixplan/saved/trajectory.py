"""Defines the file of what was measured while a model trained: a line to begin, one a measure, one to end.

`trajectory.jsonl` lies in `training/monitor` of a run folder, or in `monitored/NAME` where another trainer is at work.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from mixplan.errors import RunError
from mixplan.runs import translated, write_atomic
from mixplan.saved.base_types import JsonObject, Saved
from mixplan.saved.evaluation import quality
from mixplan.saved.read import File, problems_of

FILE = "trajectory.jsonl"
OWN, OTHERS = Path("training") / "monitor", Path("monitored")
"""Where in a run folder mixplan's own training is measured, and other trainers, each in a folder of its own."""
AGAIN = "Delete the folder; the next training with a monitor writes it anew."


class Part(Saved):
    """What is measured of the target or a domain.

    Attributes:
        measure: `choice` or `likelihood`, by its reference answers.
        headline: The measure that stands for it before and after training.
        quantity: Of `measure`: the probability of the right option, or bits per byte.
        rows: Row ids that `quantity` is taken of.
        kl_rows: Row ids whose own answers KL is taken at.
        tokens: Tokens of these answers.
    """

    measure: Literal["choice", "likelihood"]
    headline: str
    quantity: str
    rows: list[str]
    kl_rows: list[str]
    tokens: int


class Begin(Saved):
    """What is measured, of which job, and by what settings."""

    event: Literal["begin"] = "begin"
    version: Literal[1]
    mixplan: str
    plan: str
    asked: str
    model: str
    steps: int
    processes: int
    settings: JsonObject
    features: int
    top: int
    reused_answers: bool = False
    parts: Annotated[dict[str, Part], Field(min_length=1)]
    warnings: list[str] = Field(default_factory=list)

    @property
    def target_quantities(self) -> dict[str, str]:
        """What the target is measured by, or each of its sources, by name."""
        return {name: part.quantity for name, part in self.parts.items() if is_target(name)}


class PartPoint(Saved):
    """One measure of a part: KL of each row's own answer in nats per token, the quantity's values, and drift."""

    kl: list[float]
    quantity: list[float]
    drift: float | None = None

    @property
    def mean_kl(self) -> float:
        """Mean over rows."""
        return mean(self.kl)

    @property
    def value(self) -> float:
        """Mean over rows."""
        return mean(self.quantity)


class Point(Saved):
    """What was measured after a step; seconds count from the first start, those spent on measuring apart."""

    event: Literal["point"] = "point"
    step: int
    seconds: float
    spent: float
    parts: Annotated[dict[str, PartPoint], Field(min_length=1)]

    def domains(self) -> dict[str, PartPoint]:
        """All but the target and its sources."""
        return {name: part for name, part in self.parts.items() if not is_target(name)}

    def targets(self) -> dict[str, PartPoint]:
        """The target, or its sources."""
        return {name: part for name, part in self.parts.items() if is_target(name)}

    @property
    def worst(self) -> tuple[str, float]:
        """The domain whose behaviour has moved most, and its mean KL."""
        return max(((name, part.mean_kl) for name, part in self.domains().items()), key=lambda pair: pair[1])


class Failed(Saved):
    """A measure that was not possible, which training went on from."""

    event: Literal["failed"] = "failed"
    step: int
    why: str


class Clock(Saved):
    """The time up to a step, written where nothing is measured: seconds since the first start, and those of measuring.

    It holds those of steps, too, that a training which goes on from an earlier checkpoint makes again. A measure is
    expected to take `estimate` seconds.
    """

    event: Literal["clock"] = "clock"
    step: int
    seconds: float
    spent: float
    estimate: float = 0.0


class Kept(Saved):
    """The checkpoint that was chosen, and why; `folder` is relative to the trajectory's."""

    step: int
    folder: str
    why: str


class End(Saved):
    """How a training with a monitor ended."""

    event: Literal["end"] = "end"
    step: int
    seconds: float
    spent: float
    left_out: int
    stopped: str | None = None
    kept: Kept | None = None


Line = Annotated[Begin | Point | Failed | Clock | End, Field(discriminator="event")]
_LINE: TypeAdapter[Begin | Point | Failed | Clock | End] = TypeAdapter(Line)


@dataclass(frozen=True)
class Trajectory:
    """All that was measured while a model trained.

    Attributes:
        begin: What is measured.
        points: By step; the first is of the untrained model. None before that has been read.
        failed: Measures that were not possible.
        end: None while the training is at work, or was killed.
        clock: The newest; None in files of earlier versions.
    """

    begin: Begin
    points: tuple[Point, ...] = ()
    failed: tuple[Failed, ...] = ()
    end: End | None = None
    clock: Clock | None = None

    @property
    def time(self) -> tuple[float, float]:
        """Seconds since the first start, and those of measuring among them, as far as they were written down."""
        entries: list[Point | Clock | End | None] = [*self.points, self.clock, self.end]
        return max(((entry.seconds, entry.spent) for entry in entries if entry is not None), default=(0.0, 0.0))

    def up_to(self, step: int) -> Trajectory:
        """Without what lies behind a step, from which training goes on; its time stays."""
        seconds, spent = self.time
        return replace(
            self,
            clock=Clock(step=step, seconds=seconds, spent=spent, estimate=self.clock.estimate if self.clock else 0.0),
            points=tuple(point for point in self.points if point.step <= step),
            failed=tuple(entry for entry in self.failed if entry.step <= step),
            end=None,
        )

    def gains(self, point: Point) -> list[float]:
        """How much better each row of the target is than at the beginning, in its quantity's unit.

        Empty where sources of the target are measured by different quantities.
        """
        found = self.begin.target_quantities
        if len(quantities := {*found.values()}) != 1:
            return []
        first, sign = self.points[0], quality(quantities.pop())
        return [
            sign * (now - before)
            for name in found
            for before, now in zip(first.parts[name].quantity, point.parts[name].quantity, strict=True)
        ]

    @property
    def trained(self) -> tuple[Point, ...]:
        """The points of trained models: all but that of the untrained one."""
        return self.points[1:]

    def front(self, among: Sequence[Point]) -> list[Point]:
        """Those that no other one of them equals or betters in the target's gain and the worst domain's KL at once."""
        scored = [(point, mean(self.gains(point)), point.worst[1]) for point in among]
        return [
            point
            for point, gain, loss in scored
            if not any(
                (other_gain >= gain and other_loss <= loss) and (other_gain > gain or other_loss < loss)
                for _, other_gain, other_loss in scored
            )
        ]

    def near_best(self, among: Sequence[Point]) -> list[Point]:
        """Points whose gain on the target is that of the best trained one within one standard error, least KL first.

        The error is that of the difference between the two points' gains over the same rows.

        Source: the rule of one standard error of Breiman, Friedman, Olshen and Stone (1984), section 3.4.3.
        """
        best = self.gains(max(self.trained, key=lambda point: mean(self.gains(point))))
        near = []
        for point in among:
            differences = [top - own for top, own in zip(best, self.gains(point), strict=True)]
            if mean(differences) <= standard_error(differences):
                near.append(point)
        return sorted(near, key=lambda point: (point.worst[1], point.step))


@dataclass(frozen=True)
class Named:
    """A trajectory and what its training is called: None for mixplan's own."""

    name: str | None
    trajectory: Trajectory = field(repr=False)


def is_target(name: str) -> bool:
    """Whether a part is the target or one of its sources."""
    return name == "target" or name.startswith("target.")


def mean(values: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0


def standard_error(values: Sequence[float]) -> float:
    """The standard error of the mean; 0 of fewer than two values."""
    if len(values) < 2:
        return 0.0
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1) / len(values))


def write_trajectory(trajectory: Trajectory, folder: Path) -> None:
    """Write a trajectory, whole or not at all.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    behind: list[Point | Failed] = sorted([*trajectory.points, *trajectory.failed], key=lambda entry: entry.step)
    last = [entry for entry in (trajectory.clock, trajectory.end) if entry is not None]
    lines: list[Begin | Point | Failed | Clock | End] = [trajectory.begin, *behind, *last]
    text = "".join(json.dumps({"event": line.event, **line.values()}) + "\n" for line in lines)
    with translated(folder / FILE):
        write_atomic(folder / FILE, text.encode())


def read_trajectory(folder: Path) -> Trajectory | None:
    """Read a trajectory back; None where there is none.

    Raises:
        RunError: a line is damaged or foreign, or of another version; names it.
    """
    saved = File(folder / FILE, "trajectory", AGAIN)
    if not os.path.lexists(saved.path):
        return None
    lines = []
    for number, text in enumerate(saved.bytes().splitlines(), 1):
        try:
            lines.append(_LINE.validate_json(text))
        except ValidationError as error:
            raise RunError(f"{saved.path}:{number}: {'; '.join(problems_of(error)[:3])}. {AGAIN}") from error
    begin = lines[0] if lines else None
    points = tuple(line for line in lines if isinstance(line, Point))
    if not isinstance(begin, Begin) or any(isinstance(line, Begin) for line in lines[1:]):
        raise RunError(f"{saved.path}: expected one line to begin with, and it first. {AGAIN}")
    steps = [point.step for point in points]
    if steps != sorted(set(steps)) or any(not fits(begin, point) for point in points):
        raise RunError(f"{saved.path}: its measures are not one a step, of the parts that it begins with. {AGAIN}")
    failed = tuple(line for line in lines if isinstance(line, Failed))
    ends = [line for line in lines if isinstance(line, End)]
    clocks = [line for line in lines if isinstance(line, Clock)]
    return Trajectory(begin, points, failed, ends[-1] if ends else None, clocks[-1] if clocks else None)


def fits(begin: Begin, point: Point) -> bool:
    """Whether a point holds one value for each row of each part."""
    return point.parts.keys() == begin.parts.keys() and all(
        len(part.quantity) == len(begin.parts[name].rows) and len(part.kl) == len(begin.parts[name].kl_rows)
        for name, part in point.parts.items()
    )


def trajectories(run: Path) -> list[Named]:
    """All of a run folder: mixplan's own training first, then other trainers by name.

    Raises:
        RunError: one is damaged.
    """
    others = sorted(path for path in (run / OTHERS).glob("*") if path.is_dir())
    places = [(None, run / OWN), *((path.name, path) for path in others)]
    found = ((name, read_trajectory(place)) for name, place in places)
    return [Named(name, one) for name, one in found if one is not None]
