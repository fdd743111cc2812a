"""Finds earlier runs of which a pilot was measured and the finished job too, and what studies have measured of both."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from mixplan.errors import RunError
from mixplan.forecast.earlier_runs import OUTCOME, places
from mixplan.forecast.evidence import SHIPPED
from mixplan.forecast.matching import groups_of
from mixplan.forecast.measured_run import Run
from mixplan.forecast.pilot_law import Pair
from mixplan.saved.pilot import PILOT, PilotDomain, StudyPilots, read_pilot
from mixplan.saved.plan import Job


def earlier_pairs(
    runs: Sequence[Run], patterns: Sequence[str] | None, *, folder: Path, run: Path, model: str
) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    """Pair pilots with finished jobs.

    Args:
        runs: What the plan learns from, in its own words and not scaled.
        patterns: The recipe's `forecast.runs`; pilots that come with mixplan are asked where their study's targets are
            among the runs.
        folder: What the patterns are relative to.
        run: The run's own folder.
        model: Hash of the untrained model, whose runs these are: a pilot of another, or of another job than the run's,
            was left behind by an earlier plan in the same folder.

    Returns:
        The pairs, in the order of the runs, and sentences on pilots that cannot be read.
    """
    by_hash, warnings = {one.hash: one for one in runs if not one.studied}, list[str]()
    found: dict[str, Pair] = {}
    for place, _ in places(patterns, folder, run, []):
        try:
            pilot = read_pilot(place / PILOT)
        except RunError as error:
            warnings.append(f"forecast.from: {error}")
            continue
        mark = hashlib.sha256((place / OUTCOME).read_bytes()).hexdigest() if pilot is not None else ""
        if pilot is not None and (one := by_hash.get(mark)) is not None:
            steps = one.job.steps if one.job is not None else 0.0
            same = pilot.model == model and pilot.job.model_copy(update={"steps": steps}) == one.job
            pair = paired(one, pilot.job, pilot.domains) if same else None
            found |= {} if pair is None else {mark: pair}
    found |= {pair.run: pair for pair in shipped_pairs(runs)}
    targets = zip(runs, groups_of(runs), strict=True)
    pairs = tuple(replace(found[one.hash], target=str(group)) for one, group in targets if one.hash in found)
    return pairs, tuple(warnings)


def shipped_pairs(runs: Sequence[Run]) -> Iterator[Pair]:
    """Pairs of studies' targets whose pilots come with mixplan."""
    for place in sorted((SHIPPED / "pilots").glob("*.json")):
        try:
            study = StudyPilots.model_validate_json(place.read_bytes())
        except (OSError, ValidationError) as error:
            raise RunError(f"{place} is damaged. Install mixplan again.") from error
        named = {f"{study.title}: {target}": pilot for target, pilot in study.targets.items()}
        for one in runs:
            if one.studied and (pilot := named.get(one.name)) is not None:
                pair = paired(one, pilot.job, pilot.domains)
                if pair is not None:
                    yield pair


def paired(run: Run, job: Job, domains: Mapping[str, PilotDomain]) -> Pair | None:
    """One run's pilot with its finished job, in the domains that both moved; None where there is nothing to pair.

    What moved little behind extra rows says nothing: there the arm without any stands for the job, or nothing does.
    """
    if run.job is None:
        return None
    rows = []
    for name, pilot in domains.items():
        part = run.domains.get(name)
        change = None if part is None else part.bare if run.extra_rows else part.behaviour
        if change is not None and change > 0 and pilot.change > 0:
            rows.append((name, math.log(pilot.change), math.log(change)))
    whole = run.without_rows if run.extra_rows else run.job
    if not rows or whole is None:
        return None
    return Pair(
        run=run.hash,
        target=run.hash,
        log_ratio=math.log(whole.strength / job.strength),
        domains=tuple(row[0] for row in rows),
        pilot=np.array([row[1] for row in rows]),
        job=np.array([row[2] for row in rows]),
    )
