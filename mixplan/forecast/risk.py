"""Forecasts each domain's change from planning scores and what earlier runs taught, and says what that rests on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from mixplan.errors import DriftError
from mixplan.forecast.by_pilot import Piloted, by_pilot, with_behaviour
from mixplan.forecast.earlier_runs import UNIT_NAMES, History
from mixplan.forecast.expected_change import Learned, learn
from mixplan.forecast.job import REACH, Distance
from mixplan.forecast.matching import Planned
from mixplan.forecast.target_only import Known, Saved, comparable
from mixplan.forecast.ways import Way
from mixplan.saved import plan as saved
from mixplan.saved.plan import Risk as Risk
from mixplan.sts import Score

NOTHING = "No measured runs yet, so the forecast is relative: "
NOTHING_OF_MODEL = "No measured runs of this model yet, so the forecast is relative: "
NOTHING_FITS = "No measured run fits this plan's model, SAE and score settings, so the forecast is relative: "
NOTHING_ASKED = "`forecast.runs: []` lets no measured run in, so the forecast is relative: "
ONE_TARGET = (
    "{runs} found, {what}, and two different targets are needed, so that what one teaches is checked on the other; "
    "train another target, or name a run of one in `forecast.runs`. Until then the forecast is relative: "
)
RELATIVE = (
    "a domain's risk is its share of all domains' scores. "
    "It says where the job reaches most, not how many points are lost, nor whether the change is a loss or a gain."
)
MOVED_NOTHING = (
    "forecast.from: the pilot moved none of the domains that it was measured on by more than noise, so that it says "
    "nothing and the forecast is made without it. Give it more steps with `forecast.pilot.steps`, or set "
    "`model.dtype: float32`, which reads small changes better."
)
PLANNED_BY_BEHAVIOUR = "Rows are planned by the expected change of behaviour."
FEW_TARGETS = 6
TITLES = {"accuracy": "Accuracy", "bits_per_byte": "Bits per byte", "kl": "Behaviour"}
NOTHING_MOVES = "Every domain's score is 0, so the forecast cannot tell one from another."


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
        known: Earlier runs in this plan's terms; None where there was nowhere to look for them.
        runs: The runs learned from, sorted: name, hash, and whether it is a study's target.
        warnings: On runs that could not be learned from, in whole sentences.
        evidence: How well such scores predicted changes in studies of this model and SAE, and what was left out, a
            sentence each.
        pilot: What was taken from a pilot of the job; None where there was none.
    """

    kind: str
    text: str
    risks: dict[str, Risk]
    planning: dict[str, Score] = field(default_factory=dict)
    learned: Learned | None = None
    known: Known | None = None
    runs: tuple[tuple[str, str, bool], ...] = ()
    warnings: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    pilot: saved.PilotUse | None = None

    def describe(self, name: str) -> Risk:
        """One domain's risk, and what earlier runs let expect of it, for the plan."""
        risk = self.risks[name]
        return risk.model_copy(update={"expected": self.learned.describe(name)}) if self.learned else risk

    def describe_all(self) -> saved.Forecast:
        """What the forecast rests on, for the plan."""
        found = saved.Forecast(
            kind=self.kind,
            planned_by="behaviour" if self.learned and self.learned.planning else "score",
            text=self.text,
            evidence=list(self.evidence),
            learned_from=[
                saved.LearnedFrom(run=name, hash=mark, **({"studied": True} if studied else {}))
                for name, mark, studied in self.runs
            ],
        )
        return found if self.pilot is None else found.model_copy(update={"pilot": self.pilot})


def forecast(
    scores: Mapping[str, Score],
    history: History | None = None,
    *,
    score: str = "sts_icl",
    measures: Mapping[str, str] | None = None,
    planned: Planned | None = None,
    saved: Callable[[], Saved | None] = lambda: None,
) -> Forecast:
    """Forecast from the planning scores, and from earlier runs where there are any of two targets or of this one.

    The relative risk's interval is the score's own, divided by the total of the scores as they stand. The total's
    uncertainty is common to all domains, so it moves no domain against another and is left out.

    Args:
        scores: The score that plans the mixture, by domain; its unit cancels.
        history: Earlier runs of this model and SAE; None where none may be learned from.
        score: The planning score's name in earlier runs.
        measures: Headline measures that the recipe names, by domain.
        planned: By what runs' domains and targets are recognised as this plan's, and how far its job is from theirs.
        saved: What extra rows save, asked where an earlier run had any.

    Raises:
        DriftError: a score or an end of its interval is not a finite number of at least 0.
    """
    refuse_no_amounts(scores)
    if history is None:
        return Forecast("relative", relative_text(scores, NOTHING), risks_of(scores), dict(scores))
    planned = planned or Planned()
    known = comparable(history.runs, planned, saved)
    learned = learn(known, scores, score=score, measures=measures or {})
    if planned.pilot is not None and planned.job is not None:
        piloted = by_pilot(planned.pilot, planned.job, known, scores, score)
        if piloted is not None:
            return from_pilot(piloted, learned, known, history, score)
        history = replace(history, warnings=(*history.warnings, MOVED_NOTHING))
    if learned is None:
        text = relative_text(scores, why_nothing(history, known))
        return Forecast("relative", text, risks_of(scores), dict(scores), known=known, warnings=history.warnings)
    planning = learned.planning or dict(scores)
    return Forecast(
        kind="learned" if learned.weights or any(way.own for way in learned.ways.values()) else "scaled",
        text=" ".join([learned_text(learned, known, score), *known.lines()]),
        risks=risks_of(planning),
        planning=planning,
        learned=learned,
        known=known,
        runs=tuple(sorted((run.name, run.hash, run.studied) for run in history.runs)),
        warnings=history.warnings,
    )


def from_pilot(piloted: Piloted, learned: Learned | None, known: Known, history: History, score: str) -> Forecast:
    """A forecast whose changes of behaviour come from a pilot; what earlier runs say of other measures stands."""
    merged = with_behaviour(piloted, learned)
    parts = [piloted.text]
    if learned is not None and (way := learned.ways.get("kl")) is not None:
        error = written("kl", way.errors.choice or getattr(way.errors, way.by))
        parts.append(f"Without a pilot, behaviour is forecast with an error of {error} in targets left out.")
    parts.append(learned_text(merged, known, score) if merged.ways else PLANNED_BY_BEHAVIOUR)
    planning = merged.planning or {}
    return Forecast(
        kind="learned",
        text=" ".join([*parts, *known.lines()]),
        risks=risks_of(planning),
        planning=planning,
        learned=merged,
        known=known,
        runs=tuple(sorted((run.name, run.hash, run.studied) for run in history.runs)),
        warnings=history.warnings,
        pilot=piloted.use,
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
        name: Risk(relative_risk=score.value / total, low=score.low / total, high=score.high / total)
        if total
        else Risk(relative_risk=0.0, low=0.0, high=0.0)
        for name, score in scores.items()
    }


def why_nothing(history: History, known: Known) -> str:
    """Why nothing was learned, as the opening of a relative forecast."""
    count, targets = len(known.runs), len(set(known.groups))
    if not count:
        foreign = all(part.shipped and part.reason == "model" for part in history.left_out)
        if history.warnings or not foreign:
            return NOTHING_FITS
        return NOTHING_OF_MODEL if history.left_out else NOTHING_ASKED if history.closed else NOTHING
    runs = "1 earlier run was" if count == 1 else f"{count} earlier runs were"
    if targets > 1:
        return f"{runs} found, but too little was measured of them to learn from, so the forecast is relative: "
    return ONE_TARGET.format(runs=runs, what="of one target" if count == 1 else "all of one target")


def relative_text(scores: Mapping[str, Score], opening: str) -> str:
    """What a relative forecast rests on."""
    text = opening + RELATIVE
    return text if any(score.value for score in scores.values()) else f"{text} {NOTHING_MOVES}"


def learned_text(learned: Learned, known: Known, score: str) -> str:
    """What a forecast in units rests on: this target's own runs, which way was used for each unit, and why.

    Args:
        learned: What was learned.
        known: From which runs.
        score: The planning score's name in them.
    """
    studied = sum(run.studied for run in known.runs)
    own = f"{len(known.runs) - studied} earlier run{'s' if len(known.runs) - studied != 1 else ''}{again(known)}"
    targets = f"{studied} target{'s' if studied != 1 else ''} of studies"
    sources = [targets] * (studied > 0) + [own] * (len(known.runs) > studied)
    errors = "; errors are root mean squares in targets left out" if learned.ways else ""
    planned_by = "the expected change of behaviour" if learned.planning else "the score"
    parts = [
        *([own_target(learned, known)] if known.own and learned.weights else []),
        f"Learned from {' and '.join(sources)} of this model{' and SAE' if score.startswith('sts_') else ''}{errors}.",
        *(why(way) for way in learned.ways.values()),
        f"Rows are planned by {planned_by}.",
    ]
    count = len(set(known.groups))
    if count < FEW_TARGETS:
        few = "1 target is little" if count == 1 else f"{count} targets are few"
        parts.append(f"{few}: the intervals are wide for it, and the choice may turn with the next run.")
    return " ".join(parts)


def again(known: Known) -> str:
    """Of how many targets a person's runs are, where some were trained again and count once; nothing otherwise."""
    groups = [group for run, group in zip(known.runs, known.groups, strict=True) if not run.studied]
    targets = len(set(groups))
    return "" if targets == len(groups) else f" of {targets} target{'s' if targets > 1 else ''}"


def own_target(learned: Learned, known: Known) -> str:
    """That this plan's very target was measured, how its job differs, and what its measurements weigh."""
    runs = [known.runs[place] for place in known.own]
    far = min((known.distances[place] for place in known.own), key=lambda one: one.spread)
    job = next((run.job for run in runs if run.job is not None), None)
    trained = "" if job is None else f" ({job.text()})"
    low, high = min(learned.weights.values()), max(learned.weights.values())
    weights = f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"
    names = ", ".join(run.name for run in runs)
    return (
        f"This plan's target was measured before, in {names}{trained}: the forecast starts from what it changed "
        f"there{scaling(far)}, with a weight of {weights} against what the other targets predict."
    )


def scaling(far: Distance) -> str:
    """How changes were scaled to this plan's job, in words; nothing where they were not."""
    if not far.spread:
        return ""
    low, high = (far.factor * math.exp(sign * REACH * far.spread) for sign in (-1, 1))
    return f", times {far.factor:.2g} [{low:.2g}, {high:.2g}] for this plan's job"


def why(way: Way) -> str:
    """One unit's way with its reason."""
    if way.by == "logs":
        return why_logs(way)
    own, one, none = (written(way.unit, error) for error in (way.errors.own, way.errors.one, way.errors.none))
    used = "each domain's own factor is used" if way.own else "one factor for all is used"
    title = TITLES.get(way.unit, way.unit)
    errors = f"domains' own factors erred by {own}, one factor by {one}"
    if min(way.errors.own, way.errors.one) >= way.errors.none:
        return f"{title}: not predicted better than by expecting no change at all, which erred by {none}; {errors}."
    return f"{title}: {used}, because {errors}; expecting no change at all erred by {none}."


def why_logs(way: Way) -> str:
    """Why changes are expected on logarithms, and what choosing so is worth."""
    errors = way.errors
    logs, own, one, none, choice = (
        "" if error is None else written(way.unit, error)
        for error in (errors.logs, errors.own, errors.one, errors.none, errors.choice)
    )
    title = TITLES.get(way.unit, way.unit)
    beside = f"domains' own factors by {own}, one factor by {one}"
    unmoved = f" {counted(way.unmoved)} of 0 had no logarithm and taught nothing." if way.unmoved else ""
    if (errors.logs or 0.0) >= errors.none:
        return (
            f"{title}: not predicted better than by expecting no change at all, which erred by {none}; a regression on "
            f"logarithms erred by {logs}, {beside}.{unmoved}"
        )
    return (
        f"{title}: a regression on logarithms is used (the job's strength, each domain's own effect, a slope on the "
        f"score), because it erred by {logs}, {beside}; expecting no change at all erred by {none}. The choice itself, "
        f"made anew without each target, erred by {choice}.{unmoved}"
    )


def counted(changes: int) -> str:
    """So many changes."""
    return "1 change" if changes == 1 else f"{changes} changes"


def written(unit: str, error: float) -> str:
    """An error with its unit."""
    return f"{100 * error:.1f} points" if unit == "accuracy" else f"{error:.3g}{UNIT_NAMES.get(unit, '')}"
