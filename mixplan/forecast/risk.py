"""Planning scores and what earlier runs taught in, the forecast of each domain with its reasons out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mixplan.errors import DriftError
from mixplan.forecast.earlier import UNIT_NAMES, History
from mixplan.forecast.expect import Learned, Way, learn
from mixplan.sts import Score

TEXT = "No measured runs yet, so the forecast is relative: "
ONE_RUN = (
    "One earlier run was found, and two are needed, so that what one teaches is checked on the other: until then the "
    "forecast is relative: "
)
RELATIVE = (
    "a domain's risk is its share of all domains' scores. "
    "It says where the job reaches most, not how many points are lost, nor whether the change is a loss or a gain."
)
FEW_RUNS = 6
TITLES = {"accuracy": "Accuracy", "bits_per_byte": "Bits a byte", "kl": "Behaviour"}
NOTHING_MOVES = "Every domain's score is 0, so the forecast cannot tell one from another."


@dataclass(frozen=True)
class Risk:
    """A domain's expected loss, as a share of the expected loss of all domains together.

    Attributes:
        relative_risk: 0 to 1; the domains' sum to 1, or are all 0 when no score is above 0.
        low: The score's lower end over the same total.
        high: The score's upper end over the same total; above 1 where one domain outweighs the rest uncertainly.
    """

    relative_risk: float
    low: float
    high: float


@dataclass(frozen=True)
class Forecast:
    """What to expect of each domain.

    Attributes:
        kind: `relative`: shares of an unknown total, without unit or sign; `scaled`: changes, the planning score scaled
            by one factor; `learned`: changes, for some quantity by factors of each domain's own.
        text: What the forecast rests on, for the reader.
        risks: By domain, in the order given.
        planning: What plans the rows, by domain: the scores given, or the expected change of behaviour.
        learned: What earlier runs taught; None where nothing.
        runs: The runs learned from, by name and hash, sorted.
        warnings: On runs that could not be learned from, in whole sentences.
        evidence: How well such scores told changes in studies of this model and SAE, a sentence each.
    """

    kind: str
    text: str
    risks: dict[str, Risk]
    planning: dict[str, Score] = field(default_factory=dict)
    learned: Learned | None = None
    runs: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()

    def describe(self, name: str) -> dict[str, Any]:
        """One domain's risk, and what earlier runs let expect of it, as JSON values for the plan."""
        risk = self.risks[name]
        found: dict[str, Any] = {"relative_risk": risk.relative_risk, "low": risk.low, "high": risk.high}
        return found | ({"expected": self.learned.describe(name)} if self.learned else {})

    def describe_all(self) -> dict[str, Any]:
        """What the forecast rests on as JSON values, for the plan."""
        return {
            "kind": self.kind,
            "planned_by": "behaviour" if self.learned and self.learned.planning else "score",
            "text": self.text,
            "evidence": list(self.evidence),
            "learned_from": [{"run": name, "hash": mark} for name, mark in self.runs],
        }


def forecast(
    scores: Mapping[str, Score],
    history: History | None = None,
    *,
    score: str = "sts_icl",
    measures: Mapping[str, str] | None = None,
) -> Forecast:
    """Forecast from the planning scores, and from earlier runs where there are at least two.

    The relative risk's interval is the score's own, divided by the total of the scores as they stand. The total's
    uncertainty is common to all domains, so it moves no domain against another and is left out.

    Args:
        scores: The score that plans the mixture, by domain; its unit cancels.
        history: Earlier runs of this model and SAE.
        score: The planning score's name in earlier runs.
        measures: Headline measures that the recipe names, by domain.

    Raises:
        DriftError: a score or an end of its interval is not a finite number of at least 0.
    """
    refuse_no_amounts(scores)
    runs, warnings = (history.runs, history.warnings) if history else ((), ())
    learned = learn(history, scores, score=score, measures=measures or {}) if history else None
    if learned is None:
        text = relative_text(scores, len(runs))
        return Forecast("relative", text, risks_of(scores), dict(scores), warnings=warnings)
    planning = learned.planning or dict(scores)
    return Forecast(
        kind="learned" if any(way.own for way in learned.ways.values()) else "scaled",
        text=learned_text(learned, len(runs), sum(run.studied for run in runs)),
        risks=risks_of(planning),
        planning=planning,
        learned=learned,
        runs=tuple(sorted((run.name, run.hash) for run in runs)),
        warnings=warnings,
    )


def refuse_no_amounts(scores: Mapping[str, Score]) -> None:
    """Stop at a score that is no amount.

    Raises:
        DriftError: see `forecast`.
    """
    for name, score in scores.items():
        if not all(0 <= value < math.inf for value in (score.value, score.low, score.high)):
            raise DriftError(
                f"domain '{name}': found score {score.value} with interval [{score.low}, {score.high}], expected "
                "finite numbers of at least 0. One that is not finite means that activations overflowed: "
                "set `model.dtype: float32` or `bfloat16`."
            )


def risks_of(scores: Mapping[str, Score]) -> dict[str, Risk]:
    """Each domain's share of all scores."""
    total = math.fsum(score.value for score in scores.values())
    return {
        name: Risk(score.value / total, score.low / total, score.high / total) if total else Risk(0.0, 0.0, 0.0)
        for name, score in scores.items()
    }


def relative_text(scores: Mapping[str, Score], runs: int) -> str:
    """What a relative forecast rests on."""
    text = (ONE_RUN if runs else TEXT) + RELATIVE
    return text if any(score.value for score in scores.values()) else f"{text} {NOTHING_MOVES}"


def learned_text(learned: Learned, runs: int, studied: int = 0) -> str:
    """What a forecast in units rests on: which way was used for each unit, and why.

    Args:
        learned: What was learned.
        runs: From how many runs.
        studied: How many of these are targets of studies.
    """
    own = f"{runs - studied} earlier run{'s' if runs - studied != 1 else ''}"
    sources = [f"{studied} targets of studies"] * (studied > 0) + [own] * (runs > studied)
    parts = [
        f"Learned from {' and '.join(sources)} of this model and SAE; errors are root mean squares in runs left out.",
        *(why(way) for way in learned.ways.values()),
        "Rows are planned by the expected change of behaviour."
        if learned.planning
        else "Rows are planned by the score.",
    ]
    if runs < FEW_RUNS:
        parts.append(f"{runs} runs are few: the intervals are wide for it, and the choice may turn with the next run.")
    return " ".join(parts)


def why(way: Way) -> str:
    """One unit's way with its reason."""
    own, one, none = (written(way.unit, error) for error in (way.error_own, way.error_one, way.error_none))
    used = "each domain's own factor is used" if way.own else "one factor for all is used"
    title = TITLES.get(way.unit, way.unit)
    errors = f"domains' own factors erred by {own}, one factor by {one}"
    if min(way.error_own, way.error_one) >= way.error_none:
        return f"{title}: not foretold better than by expecting no change at all, which erred by {none}; {errors}."
    return f"{title}: {used}, because {errors}; expecting no change at all erred by {none}."


def written(unit: str, error: float) -> str:
    """An error with its unit."""
    return f"{100 * error:.1f} points" if unit == "accuracy" else f"{error:.3g}{UNIT_NAMES.get(unit, '')}"
