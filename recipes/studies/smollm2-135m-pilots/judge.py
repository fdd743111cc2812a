"""Completes each target of the study smollm2-135m without itself, from its finished job's changes and from its pilot's.

    python recipes/studies/smollm2-135m-pilots/judge.py

Fit, rank, share of scores, domains, the law of pilots and the scale of intervals are chosen on the other targets alone.
Errors are root mean squares in nats per token over targets, of the domains that were not measured; `whole` counts the
measured too.
"""

import json
import math
from itertools import product
from pathlib import Path

import numpy as np

from mixplan.forecast.by_pilot_checks import left_out
from mixplan.forecast.completion import Doubles, Factors, Seen, complete, fit_factors, reach, unseen
from mixplan.forecast.completion_choice import choose
from mixplan.forecast.completion_scores import with_scores
from mixplan.forecast.earlier_changes import Table
from mixplan.forecast.earlier_pilots import shipped_pairs
from mixplan.forecast.evidence import SHIPPED, run_of
from mixplan.forecast.measured_run import Run
from mixplan.forecast.pilot_law import ASSUMED, Pair, learn_law
from mixplan.saved.evidence import Evidence


def table_of(runs: list[Run], names: list[str]) -> Table:
    """The study's targets as a table, with STS_ICL beside what moved."""
    found = [[run.domains.get(name) for name in names] for run in runs]
    moved = [[None if part is None else part.behaviour for part in row] for row in found]
    scored = [[None if part is None else part.scores["sts_icl"] for part in row] for row in found]
    logs, scores = (
        np.array([[math.nan if value is None else math.log(value) for value in row] for row in rows])
        for rows in (moved, scored)
    )
    return Table(tuple(names), logs, tuple((run.hash,) for run in runs), scores)


def without(table: Table, place: int) -> Table:
    """The table without a target."""
    runs = tuple(run for number, run in enumerate(table.runs) if number != place)
    logs, scores = (np.delete(each, place, axis=0) for each in (table.logs, table.scores))
    return Table(table.names, logs, runs, scores)


def errors(row: Doubles, seen: Seen, factors: Factors, half: float) -> tuple[float, float, float, float]:
    """Mean square error of the rest and of all in nats, of the rest's logarithms, and how many intervals hold."""
    found, rest, there = complete(factors, seen), unseen(row, seen), np.isfinite(row)
    nats, logs = np.exp(found.mean) - np.exp(row), found.mean - row
    held = np.abs(logs[there]) <= half * found.deviation[there] + 1e-9
    return (
        float(np.square(nats[rest]).mean()),
        float(np.square(nats[there]).mean()),
        float(np.square(logs[rest]).mean()),
        float(held[rest[there]].mean()),
    )


def line(title: str, parts: list[tuple[float, float, float, float]]) -> str:
    """One line of the table that is printed."""
    nats, whole, logs, held = (float(np.mean(column)) for column in zip(*parts, strict=True))
    return (
        f"{title}: {len(parts)} targets, error {math.sqrt(nats):.3f} nats (whole {math.sqrt(whole):.3f}), "
        f"{math.sqrt(logs):.2f} in logarithms, intervals hold {held:.3f}"
    )


def by_jobs(table: Table, count: int) -> list[tuple[float, float, float, float]]:
    """Targets completed from their finished jobs' changes in so many domains."""
    parts = []
    for place, row in enumerate(table.logs):
        earlier = without(table, place)
        chosen = choose(earlier.logs, least=count, most=count)
        half = reach(len(earlier.logs)) * chosen.scale
        factors = fit_factors(earlier.logs, chosen.rank)
        parts.append(errors(row, Seen.exact(chosen.places, row), factors, half))
    return parts


def by_pilots(
    table: Table, pairs: list[Pair], count: int, *, law: bool, scores: bool
) -> list[tuple[float, float, float, float]]:
    """Targets completed from their own pilots in so many of the domains that every pilot was measured on.

    Args:
        table: The study's targets.
        pairs: Their pilots.
        count: Domains.
        law: Whether the other targets' pilots say what a pilot becomes; else it is assumed.
        scores: Whether scores may be used beside them.
    """
    shared = set.intersection(*(set(pair.domains) for pair in pairs))
    common = [place for place, name in enumerate(table.names) if name in shared]
    parts = []
    for pair in pairs:
        place = next(number for number, runs in enumerate(table.runs) if pair.run in runs)
        earlier, others = without(table, place), [other for other in pairs if other.run != pair.run]
        known = learn_law(others) if law else ASSUMED
        first = choose(earlier.logs[:, common], least=min(count, len(common)), most=min(count, len(common)))
        places = [common[number] for number in first.places]
        own = table.scores[place] if scores else np.full(len(table.names), math.nan)
        checks = left_out(earlier, places, own, others if law else [], known, pair.log_ratio)
        at = {name: number for number, name in enumerate(pair.domains)}
        pilot = np.array([pair.pilot[at[table.names[number]]] for number in places])
        seen = known.seen(np.array(places, np.int64), pilot, np.zeros(len(places)), pair.log_ratio)
        half = reach(len(earlier.logs)) * checks.scale
        factors = with_scores(earlier.logs, earlier.scores, own, checks.way)
        parts.append(errors(table.logs[place], seen, factors, half))
    return parts


def main() -> None:
    """Print the errors."""
    evidence = Evidence.model_validate_json((SHIPPED / "smollm2-135m.json").read_bytes())
    runs = [run_of(evidence, "study", target) for target in evidence.targets]
    names = list(dict.fromkeys(name for run in runs for name in run.domains))
    table = table_of(runs, names)
    for count in (3, 6, 10):
        print(line(f"finished job's changes in {count} domains", by_jobs(table, count)))
    place = Path(__file__).with_name("pilots.json")
    pairs = list(shipped_pairs(runs)) if place.is_file() else []
    if not pairs:
        return
    found = learn_law(pairs)
    exponents = {run.name.rpartition(": ")[2]: pair.exponent for pair in pairs for run in runs if run.hash == pair.run}
    print(f"law of {found.targets} targets: exponent {found.exponent:.2f}, of each {json.dumps(exponents)}")
    print(f"  a new target's: standard deviation {found.spread:.2f}; a domain's beside it: {found.own:.2f}")
    for count in (3, 6):
        for law, scores in product((True, False), (True, False)):
            said = "the other pilots' law" if law else "the law assumed"
            said += ", scores beside it" if scores else ""
            print(line(f"pilot in {count} domains, {said}", by_pilots(table, pairs, count, law=law, scores=scores)))


if __name__ == "__main__":
    main()
