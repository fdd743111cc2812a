"""Learns from arms that were compared earlier how many extra rows halve a domain's loss, and says why so many."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from mixplan.domains.content_sketch import Content, same_content
from mixplan.errors import RunError
from mixplan.forecast.earlier_runs import Kind, of_another_config, other_levers, places, unit_of
from mixplan.forecast.evidence import evidence_files
from mixplan.forecast.factors import numeric_libraries
from mixplan.forecast.measured_run import NONE
from mixplan.forecast.response import Halving, Losses, Response, halving_text, joined, mixtures_text, respond, worth
from mixplan.runs import cached, content_hash
from mixplan.saved import read_earlier_outcome
from mixplan.saved.evidence import Evidence
from mixplan.saved.outcome import Outcome
from mixplan.saved.total import TAKEN

VERSION = 3
"""Of how it is learned what rows save; part of the key under which that is kept."""
RESPONSE: TypeAdapter[Response | None] = TypeAdapter(Response | None)
"""Its form in the cache."""
DRAWN = "random"
"""The arm whose rows differ by seed, while a loss is a mean over seeds."""


@dataclass(frozen=True)
class Compared:
    """The arms of one target.

    Attributes:
        unit: Of the losses.
        losses: Every domain, once for each arm that gave any domain rows.
        target: Sketch of the target; None where it was saved without one.
    """

    unit: str
    losses: Losses
    target: Content | None = None


@dataclass(frozen=True)
class Amount:
    """What halves a domain's loss.

    Attributes:
        rows: Extra rows, its own and any domains'.
        text: Where the numbers are from, for the reader.
        unit: Of the losses that they were learned from; None where they were not.
        response: What was learned, for intervals; None where it was not taken.
    """

    rows: Halving
    text: str
    unit: str | None = None
    response: Response | None = None


def halving_rows(patterns: Sequence[str] | None, *, folder: Path, run: Path, kind: Kind, usual: float) -> Amount:
    """Learn how many extra rows halve a domain's loss, where that foretells losses better than the usual number.

    Damaged files are passed over; the forecast warns of them.

    Args:
        patterns: The recipe's `forecast.runs`; None for the folders beside the run's own and what comes with mixplan.
        folder: What the patterns are relative to.
        run: The run's own folder, which is never learned from.
        kind: Arms of other models and training methods teach nothing.
        usual: The number to use where nothing better is learned.
    """
    known = compared_earlier(patterns, folder=folder, run=run, kind=kind)
    if not known:
        return Amount(Halving(usual), f"{usual:g} {TAKEN}: no arms were compared earlier.")
    unit, targets, response = learned_from(known, usual)
    if response is None:
        return Amount(
            Halving(usual),
            f"{usual:g} {TAKEN}: the arms of one target alone teach nothing.",
        )
    return chosen(response, targets, usual, unit)


def rows_save(
    patterns: Sequence[str] | None, *, folder: Path, run: Path, kind: Kind, usual: float
) -> tuple[str, Halving] | None:
    """What extra rows save of losses, and in which unit; None where nothing learned predicts losses better.

    Args:
        patterns: As for `halving_rows`.
        folder: What the patterns are relative to.
        run: The run's own folder.
        kind: See `halving_rows`.
        usual: The number that what is learned has to beat.
    """
    known = compared_earlier(patterns, folder=folder, run=run, kind=kind)
    if not known:
        return None
    unit, _, response = learned_from(known, usual)
    return (unit, response.found) if response is not None and response.helps else None


def compared_earlier(patterns: Sequence[str] | None, *, folder: Path, run: Path, kind: Kind) -> list[Compared]:
    """Arms of all targets that were compared earlier, each file and each study once; damaged ones are passed over."""
    found: dict[str, tuple[str, list[Compared]]] = {}
    for place in (*(at for at, _ in places(patterns, folder, run, [])), *evidence_files(patterns, folder, run)):
        try:
            value, mark = read_earlier_outcome(place) if place.is_dir() else read_evidence(place)
            if same_job(kind, value):
                study = value.study if isinstance(value, Evidence) else None
                found.setdefault(study or mark, (mark, list(compared_in(value))))
        except (RunError, OSError, ValueError):
            continue
    return of_targets(one for _, several in sorted(found.values(), key=lambda entry: entry[0]) for one in several)


def of_targets(known: Iterable[Compared]) -> list[Compared]:
    """One entry a target: arms of several runs of one target are together, so that it is left out whole."""
    found: list[Compared] = []
    for one in known:
        same = [other.unit == one.unit and same_content(other.target, one.target) for other in found]
        place = next((number for number, is_same in enumerate(same) if is_same), None)
        if place is None:
            found.append(one)
        else:
            found[place] = replace(found[place], losses=joined([found[place].losses, one.losses]))
    return found


def read_evidence(place: Path) -> tuple[Evidence, str]:
    """A study's evidence.json and its SHA-256.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged.
    """
    data = place.read_bytes()
    return Evidence.model_validate_json(data), hashlib.sha256(data).hexdigest()


def learned_from(known: Sequence[Compared], usual: float) -> tuple[str, int, Response | None]:
    """The unit that most targets' losses have, how many have it, and what rows save of them.

    Args:
        known: At least one target's arms.
        usual: The number to compare with.
    """
    counts = Counter(one.unit for one in known)
    unit = min(counts, key=lambda name: (-counts[name], name))
    losses = [one.losses for one in known if one.unit == unit]
    inputs = [usual, *([column.tolist() for column in vars(one).values()] for one in losses)]

    def made() -> dict[str, object] | None:
        response = respond(losses, assumed=usual)
        return None if response is None else asdict(response)

    value = cached("responses", content_hash(VERSION, numeric_libraries(), json.dumps(inputs)), made)
    return unit, counts[unit], RESPONSE.validate_python(value)


def chosen(response: Response, targets: int, usual: float, unit: str) -> Amount:
    """The learned numbers where they foretell better, else the usual one, with the reason."""
    errors, learned = worth(response, assumed=usual), halving_text(response)
    if not response.helps:
        return Amount(
            Halving(usual),
            f"{usual:g} {TAKEN}, because arms of {targets} targets teach nothing that predicts better; by them "
            f"{learned}: {errors}.",
        )
    behind = f"arms of {targets} targets with {mixtures_text(response)}"
    return Amount(response.found, f"{learned}, learned from {behind}: {errors}.", unit, response)


def same_job(kind: Kind, value: Outcome | Evidence) -> bool:
    """Whether arms were trained from the plan's model by its training method, with its levers.

    Rows that a lever acts on save something else than rows without it.
    """
    model = value.hashes.model if isinstance(value, Evidence) else value.hashes.get("model")
    same = (model, value.settings.method) == (kind.model, kind.settings.method)
    return same and not of_another_config(kind, value.config) and not other_levers(kind, value)


def compared_in(value: Outcome | Evidence) -> Iterator[Compared]:
    """The targets of one outcome's or study's comparison.

    Raises:
        ValueError: a loss lacks its rows.
    """
    if isinstance(value, Evidence):
        for one in value.compared.values():
            yield Compared(one.unit, losses_from(one.without, one.after, one.rows, one.total))
    elif value.arms is not None and value.arms.quantity:
        arms = value.arms.arms
        bare = arms[NONE].losses if NONE in arms else {}
        given = [
            (bare[name], loss, float(arm.rows.get(name, 0)), float(total))
            for arm_name, arm in arms.items()
            if (arm_name != DRAWN or arm.seeds == 1) and (total := sum(arm.rows.values()))
            for name, loss in arm.losses.items()
            if name in bare
        ]
        if given:
            target = None if value.content is None else Content.from_json(value.content.target.values())
            yield Compared(unit_of(value.arms.quantity), losses_from(*zip(*given, strict=True)), target)


def losses_from(
    without: Sequence[float], after: Sequence[float], rows: Sequence[float], total: Sequence[float]
) -> Losses:
    """Columns as arrays.

    Raises:
        ValueError: they differ in length.
    """
    if not len(without) == len(after) == len(rows) == len(total):
        raise ValueError("a loss lacks its rows")
    return Losses(*(np.array(column, dtype=np.float64) for column in (without, after, rows, total)))
