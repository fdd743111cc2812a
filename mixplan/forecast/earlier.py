"""Where earlier runs may be in, those that can teach this plan out: the same model, SAE, scores and kind of job."""

from __future__ import annotations

import glob
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OUTCOME = "outcome.json"
OUTCOME_VERSION = 1
EVIDENCE = "evidence.json"
"""What a study leaves in its folder for later plans: see `mixplan.forecast.evidence`."""

ICL = "icl"
"""What tells the drift where a recipe or outcome does not say."""

UNITS = {"correct": "accuracy", "score": "accuracy", "acc": "accuracy"}
"""Quantities that are the share of items answered rightly; any other is a unit of its own."""
UNIT_NAMES = {"kl": " nats a token", "bits_per_byte": " bits a byte"}
"""What stands behind a number in such a unit; nothing behind a share."""


def unit_of(quantity: str) -> str:
    """The unit of a quantity: domains are pooled only over quantities of one unit."""
    return UNITS.get(quantity, quantity)


@dataclass(frozen=True)
class Kind:
    """What runs must share for one to teach another.

    Attributes:
        model: The untrained model's hash.
        sae: The SAE's hash.
        settings: What gives scores their meaning, and the training method.
    """

    model: str
    sae: str
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, recipe: Mapping[str, Any], model: str, sae: str) -> Kind:
        """The kind of a plan.

        Args:
            recipe: The resolved recipe.
            model: Hash of the untrained model.
            sae: Hash of the SAE.
        """
        return cls(model, sae, settings_of(recipe))


def settings_of(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What an outcome must share with a later plan to teach it: scores of one meaning, and one kind of job."""
    return {
        "method": recipe["train"]["method"],
        "features": recipe["drift"]["features"],
        "drift_demonstrations": recipe["drift"]["demonstrations"],
        "drift_from": recipe["drift"].get("from", ICL),
        "sts_demonstrations": recipe["sts"]["demonstrations"],
    }


@dataclass(frozen=True)
class Found:
    """One domain's change in an earlier run.

    Attributes:
        scores: The plan's scores, by name.
        headline: Measure and quantity that stood for the domain, with the change; None where it was not measured.
        behaviour: Mean token KL from the untrained model; None where it was not measured.
    """

    scores: dict[str, float]
    headline: tuple[str, str, float] | None
    behaviour: float | None


@dataclass(frozen=True)
class Run:
    """An earlier run.

    Attributes:
        name: Its folder's name.
        hash: SHA-256 of its outcome.json.
        domains: What it measured.
        studied: Whether it stands for a study's target rather than for a run of the person's own.
    """

    name: str
    hash: str
    domains: dict[str, Found]
    studied: bool = False


@dataclass(frozen=True)
class History:
    """What there is to learn from.

    Attributes:
        runs: Of the plan's own kind, each outcome once, in the order of their hashes.
        warnings: Files that are no outcomes, and runs that were asked for and cannot teach, in whole sentences.
    """

    runs: tuple[Run, ...] = ()
    warnings: tuple[str, ...] = ()


def earlier_runs(patterns: Sequence[str] | None, *, folder: Path, run: Path, kind: Kind) -> History:
    """Find earlier runs.

    Args:
        patterns: The recipe's `forecast.runs`; None for the folders beside the run's own.
        folder: What the patterns are relative to.
        run: The run's own folder, which is never learned from.
        kind: What a run must share with this one.
    """
    runs: dict[str, Run] = {}
    warnings: list[str] = []
    for place, asked in places(patterns, folder, run, warnings):
        try:
            data = (place / OUTCOME).read_bytes()
            value = json.loads(data)
            same = is_of(kind, value)
            found = Run(place.name, hashlib.sha256(data).hexdigest(), domains_of(value))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            warnings.append(
                f"{place.name}/{OUTCOME} is damaged or no outcome of this mixplan, so the forecast does not learn from "
                "it. Make it again with `mixplan train`, or leave it out of `forecast.runs`."
            )
            continue
        if same:
            runs.setdefault(found.hash, found)
        elif asked:
            warnings.append(
                f"{place.name} is a run of another model, SAE, training method or score setting, so the forecast does "
                "not learn from it."
            )
    return History(tuple(runs[mark] for mark in sorted(runs)), tuple(sorted(warnings)))


def places(patterns: Sequence[str] | None, folder: Path, run: Path, warnings: list[str]) -> Iterator[tuple[Path, bool]]:
    """Folders with an outcome.json, each once, and whether the recipe names them.

    Args:
        patterns: See `earlier_runs`.
        folder: See `earlier_runs`.
        run: See `earlier_runs`.
        warnings: Extended by a pattern that meets no outcome.
    """
    met = {run.resolve()}
    for pattern in [str(run.resolve().parent / "*")] if patterns is None else patterns:
        matches = sorted(glob.glob(str(folder / Path(pattern).expanduser())))
        found = [Path(match) for match in matches if (Path(match) / OUTCOME).is_file()]
        if patterns is not None and not found and not any((Path(match) / EVIDENCE).is_file() for match in matches):
            warnings.append(
                f"forecast.runs: '{pattern}' meets no folder with an {OUTCOME} or {EVIDENCE}, so nothing is learned "
                "there."
            )
        for place in found:
            if (real := place.resolve()) not in met:
                met.add(real)
                yield place, patterns is not None


def is_of(kind: Kind, value: Mapping[str, Any]) -> bool:
    """Whether an outcome is of a kind.

    Raises:
        ValueError: it is of another version.
    """
    if value["version"] != OUTCOME_VERSION:
        raise ValueError(f"version {value['version']}")
    settings = {name: ({"drift_from": ICL} | value["settings"])[name] for name in kind.settings}
    return (value["hashes"]["model"], value["hashes"]["sae"], settings) == (kind.model, kind.sae, dict(kind.settings))


def domains_of(value: Mapping[str, Any]) -> dict[str, Found]:
    """What an outcome says of its domains."""
    found = {}
    for name, domain in value["domains"].items():
        measures, headline = domain["measures"], domain["headline"]
        first = next(iter(measures[headline].items()), None) if headline in measures else None
        found[str(name)] = Found(
            scores={str(score): finite(number) for score, number in domain["predictors"].items() if number is not None},
            headline=(str(headline), str(first[0]), finite(first[1]["change"])) if first else None,
            behaviour=finite(measures["behaviour"]["kl"]["change"]) if "behaviour" in measures else None,
        )
    return found


def finite(value: Any) -> float:
    """A number.

    Raises:
        ValueError: it is none, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"a number was expected, not {value!r}")
    return float(value)
