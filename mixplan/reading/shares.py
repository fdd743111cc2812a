"""Divides what is to be read among processes by tokens; a domain's large unit is read in pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from mixplan.errors import MixplanError
from mixplan.features import sparse
from mixplan.features.forward import longest_pack, packs_of
from mixplan.features.measure import statistics_key
from mixplan.features.queries import Unit
from mixplan.features.statistics import Statistics
from mixplan.model import Model
from mixplan.model.attention import stretches_at
from mixplan.reading.units import Reader
from mixplan.reading.workers import deal
from mixplan.runs import store, unseal

PIECES = 8
"""Pieces a process, at least, in which all work can be cut, so that no process waits for more than an eighth."""


@dataclass(frozen=True)
class Job:
    """What one process reads without the others.

    Attributes:
        cost: Tokens that pass through the model.
        query_tokens: Query tokens, for progress.
        kept: Says whether it was read before.
        read: Reads and keeps it, or finds it kept.
    """

    cost: int
    query_tokens: int
    kept: Callable[[], bool]
    read: Callable[[], object]


@dataclass(frozen=True)
class Division:
    """A unit and the pieces in which it is read; one piece is the unit itself."""

    unit: Unit
    pieces: tuple[Unit, ...]


def cost_of(unit: Unit) -> int:
    """Tokens that pass through the model when a unit is read, both shared beginnings once."""
    own = sum(len(query.alone) - unit.alone_prefix + len(query.context) - unit.context_prefix for query in unit.queries)
    return own + unit.alone_prefix + unit.context_prefix


def divide(unit: Unit, model: Model, *, most: int) -> Division:
    """Cut a unit between packs, so that its pieces read just what the whole would.

    Args:
        unit: What to read.
        model: What reads it; one whose positions turn with the longest text reads a unit whole.
        most: Tokens of a piece, about; a pack or the shared beginnings may be more.
    """
    cost, shared = cost_of(unit), unit.alone_prefix + unit.context_prefix
    if cost <= most or stretches_at(model) is not None:
        return Division(unit, (unit,))
    packs = list(packs_of(unit, longest_pack(model)))
    # Each piece reads the shared beginnings again, so one is at least as long as they are.
    count = min(len(packs), max(1, (cost - shared) // max(1, shared)), -(-cost // most))
    ends = [packs[len(packs) * number // count - 1].stop for number in range(1, count + 1)]
    pieces = [replace(unit, queries=unit.queries[start:stop]) for start, stop in pairwise([0, *ends])]
    return Division(unit, tuple(pieces))


def read_ahead(reader: Reader, units: Sequence[Unit], also: Sequence[Job] = ()) -> None:
    """Read domains' units, and other jobs, with all processes; with one process there is nothing to do ahead.

    What is read has the bytes that one process gives. Units that another run has kept are not dealt out, so that a
    run that resumes is divided as evenly as a new one.

    Args:
        reader: Reads and keeps.
        units: What to keep of all features. An SAE too dense for that is read later, by drift dimensions.
        also: Jobs that cannot be cut, such as the target's units.

    Raises:
        MixplanError: what another process read did not arrive.
    """
    workers = reader.workers
    if workers.count == 1:
        return
    everything = [*also, *(job_of(reader, unit) for unit in units)]
    missing = workers.agreed(lambda: [number for number, job in enumerate(everything) if not job.kept()])
    most = max(1, sum(job.cost for job in everything) // (workers.count * PIECES))
    left = [number - len(also) for number in missing if number >= len(also)]
    divisions = [divide(units[number], reader.model, most=most) for number in left]
    jobs = [also[number] for number in missing if number < len(also)]
    jobs += [
        (job_of if len(division.pieces) == 1 else piece_job)(reader, piece)
        for division in divisions
        for piece in division.pieces
    ]
    ranks = deal([job.cost for job in jobs], workers.count)
    mine = [job for job, rank in zip(jobs, ranks, strict=True) if rank == workers.rank]
    title = f"reading this process's part of target and domains, one of {workers.count}"
    reader.watcher.stage(title, sum(job.query_tokens for job in mine), "tokens")
    for job in mine:
        job.read()
    workers.wait()
    cut = [division for division in divisions if len(division.pieces) > 1]
    for division in cut[workers.rank :: workers.count]:
        join(reader, division)
    workers.wait()


def job_of(reader: Reader, unit: Unit) -> Job:
    """A unit of a domain as a job."""
    place = reader.sparse_place(unit)
    return Job(cost_of(unit), unit.tokens, lambda: unseal(place) is not None, lambda: reader.keep(unit))


def piece_job(reader: Reader, piece: Unit) -> Job:
    """A piece of a domain's unit as a job; an empty file says of one that it is too dense to be kept."""
    job, place = job_of(reader, piece), reader.sparse_place(piece)

    def read() -> None:
        if job.read() is None:
            store(place, b"")

    return replace(job, read=read)


def summed_job(reader: Reader, unit: Unit, *, replicas: int) -> Job:
    """A unit of the target as a job; its sums are added up in one order, so it is not cut."""
    place = reader.place(
        statistics_key(reader.model, reader.sae, unit, None, replicas=replicas, whole=True, trained=reader.trained)
    )

    def read() -> Statistics | None:
        return reader.summed(unit, None, True, replicas=replicas)

    return Job(cost_of(unit), unit.tokens, lambda: unseal(place) is not None, read)


def join(reader: Reader, division: Division) -> None:
    """Keep a unit whose pieces were read, and let go of these; nothing where the SAE is too dense to be kept.

    Raises:
        MixplanError: a piece that another process read is not there, nor the unit, which another run may have kept.
    """
    places = [reader.sparse_place(piece) for piece in division.pieces]
    data = [unseal(place) for place in places]
    if None not in data:
        found = [part for one in data if one and (part := sparse.from_bytes(one)) is not None]
        if len(found) == len(places):
            store(reader.sparse_place(division.unit), sparse.to_bytes(sparse.joined(found)))
    elif any(one is not None for one in data) and unseal(reader.sparse_place(division.unit)) is None:
        raise MixplanError(
            f"{reader.folder}: another process's statistics did not arrive. "
            "All processes must share one cache folder: set MIXPLAN_CACHE to a shared one."
        )
    for place in places:
        place.unlink(missing_ok=True)
