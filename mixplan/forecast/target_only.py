"""Restates what earlier runs measured as if this plan's job had been trained on its target's rows alone.

Extra rows protect domains: what moved little behind them does not say that the domain moves little. Behaviour that was
measured without extra rows, by the arm `none` of a comparison, stands in its place; else it is restated by what rows
are known to save (see `response`); else domains that got rows are left out. Either says what as many optimiser steps
do on target rows alone, which are more than the run itself made on them. What is left is scaled to the strength of this
plan's job (see `job`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mixplan.forecast.earlier_runs import unit_of
from mixplan.forecast.job import Distance, distance
from mixplan.forecast.matching import Planned, Recognised, recognise
from mixplan.forecast.measured_run import Found, Noise, Run
from mixplan.forecast.response import Halving

Saved = tuple[str, Halving]
"""A unit, and what extra rows save of losses in it."""


@dataclass(frozen=True)
class Known:
    """What there is to learn from, in the terms of this plan.

    Attributes:
        recognised: The runs, their changes scaled to this plan's job without extra rows.
        distances: How far this plan's job is from each run's.
        measured_bare: Changes of domains behind extra rows that were measured without them too.
        restated: Changes that were restated by what rows save.
        left_out: Changes of domains that got rows, which were left out.
        protected: Runs with extra rows.
    """

    recognised: Recognised
    distances: tuple[Distance, ...]
    measured_bare: int = 0
    restated: int = 0
    left_out: int = 0
    protected: int = 0

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs."""
        return self.recognised.runs

    @property
    def groups(self) -> tuple[int, ...]:
        """The number of each run's target."""
        return self.recognised.groups

    @property
    def own(self) -> tuple[int, ...]:
        """Places of the runs of this plan's target."""
        return self.recognised.own

    @property
    def own_targets(self) -> tuple[int, ...]:
        """The numbers of their targets, as `groups` has them."""
        return tuple(sorted({self.groups[place] for place in self.own}))

    def lines(self) -> list[str]:
        """What a reader should know of this, in whole sentences."""
        lines = self.recognised.lines()
        if self.protected:
            parts = [
                f"{count} {what}"
                for count, what in (
                    (self.measured_bare, "were measured without them too, and that is used"),
                    (self.restated, "were restated by what rows save"),
                    (self.left_out, "of domains that got rows were left out"),
                )
                if count
            ]
            runs = "1 earlier run" if self.protected == 1 else f"{self.protected} earlier runs"
            lines.append(f"Extra rows protected domains in {runs}; of the changes measured there {', '.join(parts)}.")
        return lines


def comparable(runs: Sequence[Run], planned: Planned, saved: Callable[[], Saved | None]) -> Known:
    """Restate earlier runs for this plan.

    Args:
        runs: As they were measured.
        planned: This plan.
        saved: What extra rows save, asked only where a run had any; None where that is not known.
    """
    recognised = recognise(runs, planned)
    rows = any(run.extra_rows for run in runs)
    bare = _Bare(saved() if rows else None)
    restated, distances = [], []
    for run in recognised.runs:
        far, before = distance(planned.job, run.job), bare.measured + bare.restated
        domains = {name: scaled(bare.of(run, part), far) for name, part in run.domains.items()}
        restated.append(replace(run, domains=domains))
        distances.append(far if bare.measured + bare.restated == before else distance(planned.job, run.without_rows))
    return Known(
        replace(recognised, runs=tuple(restated)),
        tuple(distances),
        bare.measured,
        bare.restated,
        bare.left_out,
        sum(run.extra_rows > 0 for run in runs),
    )


class _Bare:
    """Takes extra rows out of changes, which stay those of as many steps on target rows, and counts how."""

    def __init__(self, saved: Saved | None) -> None:
        self.saved = saved
        self.measured = self.restated = self.left_out = 0

    def of(self, run: Run, part: Found) -> Found:
        """One domain's changes as they would be had no domain got rows."""
        if not run.extra_rows:
            return part
        behaviour = self.behaviour(run, part)
        headline, noise = part.headline, part.headline_noise
        if headline is not None and headline[:2] == ("behaviour", "kl"):
            noise = behaviour[1]
            headline = None if behaviour[0] is None else (*headline[:2], behaviour[0])
        elif headline is not None:
            change, noise = self.change(headline[2], noise, unit_of(headline[1]), run, part)
            headline = None if change is None else (headline[0], headline[1], change)
        return replace(
            part, headline=headline, headline_noise=noise, behaviour=behaviour[0], behaviour_noise=behaviour[1]
        )

    def behaviour(self, run: Run, part: Found) -> tuple[float | None, Noise]:
        """Behaviour without extra rows."""
        if part.bare is not None:
            self.measured += 1
            times = distance(run.job, run.without_rows).factor
            return times * part.bare, times_noise(part.behaviour_noise, times)
        if part.behaviour is None:
            return None, part.behaviour_noise
        return self.change(part.behaviour, part.behaviour_noise, "kl", run, part)

    def change(self, change: float, noise: Noise, unit: str, run: Run, part: Found) -> tuple[float | None, Noise]:
        """A change without extra rows; None where the domain got rows and what they save is not known."""
        if self.saved is not None and self.saved[0] == unit:
            times = 1 / self.saved[1].left(run.extra_rows) + part.rows / self.saved[1].half
            times *= distance(run.job, run.without_rows).factor
            self.restated += 1
            return change * times, times_noise(noise, times)
        if part.rows:
            self.left_out += 1
            return None, noise
        return change, noise


def scaled(part: Found, far: Distance) -> Found:
    """One domain's changes scaled to this plan's job."""
    factor = far.factor
    if math.isclose(factor, 1.0):
        return part
    headline = part.headline
    return replace(
        part,
        headline=None if headline is None else (headline[0], headline[1], factor * headline[2]),
        behaviour=None if part.behaviour is None else factor * part.behaviour,
        headline_noise=times_noise(part.headline_noise, factor),
        behaviour_noise=times_noise(part.behaviour_noise, factor),
    )


def times_noise(noise: Noise, factor: float) -> Noise:
    """The noise of a change that is multiplied."""
    items, seeds = (None if value is None else factor * value for value in (noise.items, noise.seeds))
    return Noise(items, seeds, noise.count)
