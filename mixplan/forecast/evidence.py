"""Reads what judged studies found: how well scores predicted changes there, and what their targets teach a plan."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mixplan.domains.sketch import Content
from mixplan.forecast.earlier import (
    EVIDENCE,
    UNIT_NAMES,
    Found,
    History,
    Kind,
    LeftOut,
    Noise,
    Run,
    difference,
    finite,
)
from mixplan.forecast.job import Job
from mixplan.recipe.paths import local_path

EVIDENCE_VERSION = 1

SHIPPED = Path(__file__).resolve().parent.parent / "embedded" / "evidence"
"""Studies of the embedded model that come with mixplan, a file each."""

SCORE_NAMES = {"sts_icl": "STS_ICL", "sts_act": "STS_act"}

OTHER_TYPE = "STS in bfloat16 is 0.6 % off its value in float32"
"""Measured on SmolLM2-135M: bfloat16 shares 99 of 100 drift dimensions with float32."""


@dataclass(frozen=True)
class Told:
    """How well one score told how far domains' behaviour moved, within each of a study's targets.

    Attributes:
        value: Mean Pearson correlation over targets.
        low: Lower end of its 95 % interval over targets and domains, None where there were too few.
        high: Its upper end.
    """

    value: float
    low: float | None
    high: float | None

    def text(self) -> str:
        """The correlation with its interval, in words."""
        between = "" if self.low is None or self.high is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"r = {self.value:.2f}{between}"


@dataclass(frozen=True)
class Even:
    """How a study's plans did against an even spread of as many rows.

    Attributes:
        score: That planned the rows, `sts_icl` or `sts_act`.
        objective: Of the allocation.
        unit: Of the loss.
        targets: How many were trained.
        value: More of the worst domain's loss avoided, mean over targets and budgets.
        low: Lower end of its 95 % interval over targets, seeds and items; None where there were too few.
        high: Its upper end.
    """

    score: str
    objective: str
    unit: str
    targets: int
    value: float
    low: float | None
    high: float | None

    def sentence(self) -> str:
        """What a plan's reader should know of such plans in one line."""
        ends = "" if self.low is None or self.high is None else f" [{self.low:.3g}, {self.high:.3g}]"
        text = (
            f"On {self.targets} targets with this model and SAE, plans by {SCORE_NAMES[self.score]} for "
            f"`{self.objective}` avoided {self.value:+.3g}{ends}{UNIT_NAMES.get(self.unit, '')} of the worst domain's "
            "loss that an even spread did not"
        )
        unsure = self.low is None or self.low <= 0
        return f"{text}; there is no evidence that they do better than an even spread." if unsure else f"{text}."


@dataclass(frozen=True)
class Study:
    """What a study leaves behind for later plans.

    Attributes:
        title: What it was about.
        hash: SHA-256 of its evidence.json.
        targets: How many were trained.
        domains: How many were measured.
        seeds: Training seeds of each target.
        demonstrations: Rows in front of a question when its scores were read.
        told: By score, `sts_icl` and `sts_act`.
        runs: Its targets as runs to learn from; empty where its scores were read with other settings than the plan's.
        learned: By score, how well it told with each domain's own factor learned on the study's other targets.
        even: How its plans did against an even spread; None where it trained no mixtures.
        needed: What a plan's recipe would have to say for the plan to learn from its targets, such as
            `sts.demonstrations: 2`; empty where it does, and where there are no targets.
        dtype: Compute type that its scores were read in, where the plan's is another one; empty otherwise.
    """

    title: str
    hash: str
    targets: int
    domains: int
    seeds: int
    demonstrations: int
    told: dict[str, Told]
    runs: tuple[Run, ...]
    learned: dict[str, Told] = field(default_factory=dict)
    even: Even | None = None
    needed: tuple[str, ...] = ()
    dtype: str = ""

    def left_out(self, *, asked: bool) -> LeftOut | None:
        """What keeps its targets from teaching the plan; None where nothing does."""
        return LeftOut(self.title, "settings", self.needed, asked) if self.needed else None

    def sentence(self, score: str, demonstrations: int) -> str | None:
        """What a plan's reader should know of its scores in one line; None where the study did not judge them.

        Args:
            score: The plan's, `sts_icl` or `sts_act`.
            demonstrations: Rows in front of a question when the plan's scores were read.
        """
        if (found := self.told.get(score)) is None:
            return None
        seeds = f"{self.seeds} training seed" + ("s" if self.seeds > 1 else "")
        shots = "" if demonstrations == self.demonstrations else f", read with {self.demonstrations} demonstrations,"
        text = (
            f"On {self.targets} targets with this model and SAE ({self.domains} domains, {seeds}), "
            f"{SCORE_NAMES[score]}{shots} had {found.text()} with how far behaviour moved"
        )
        unsure = found.low is None or found.low <= 0
        text += "; there is no evidence that it predicts anything." if unsure else "."
        if self.dtype:
            text += f" It was measured in {self.dtype}; {OTHER_TYPE}."
        taught = self.learned.get(score) if self.runs else None
        if taught is None:
            return text
        return f"{text} Times each domain's own factor, learned on the other targets, it had {taught.text()}."


def with_studies(
    history: History, patterns: Sequence[str] | None, *, folder: Path, run: Path, kind: Kind
) -> tuple[History, tuple[Study, ...]]:
    """Add what judged studies teach to the earlier runs.

    Args:
        history: The earlier runs.
        patterns: The recipe's `forecast.runs`; None for the folders beside the run's own and the studies that come
            with mixplan.
        folder: What the patterns are relative to.
        run: The run's own folder.
        kind: What a study must share with this plan.

    Returns:
        The history, the studies' targets with it, and the studies of the plan's model, SAE and training method.
    """
    studies: dict[str, Study] = {}
    warnings: list[str] = []
    left_out: dict[str, LeftOut] = {}
    for place in evidence_files(patterns, folder, run):
        try:
            data = place.read_bytes()
            value, mark = json.loads(data), hashlib.sha256(data).hexdigest()
            apart = unfit(kind, value, asked=patterns is not None, shipped=place.parent == SHIPPED)
            found = None if apart is not None else study_of(value, mark, kind)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            warnings.append(
                f"{place.parent.name}/{place.name} is damaged or of another mixplan, so the forecast does not learn "
                "from it. Make it again with `mixplan study`, or leave it out of `forecast.runs`."
            )
            continue
        study = value.get("study", mark)
        if found is not None:
            studies.setdefault(study, found)
            apart = found.left_out(asked=patterns is not None)
        # A study of arms teaches what rows save whatever the SAE: it is not left out.
        if apart is not None and (value["targets"] or apart.reason != "SAE"):
            left_out.setdefault(study, apart)
    known = tuple(sorted(studies.values(), key=lambda study: study.hash))
    return replace(
        history,
        runs=(*history.runs, *(each for study in known for each in study.runs)),
        warnings=tuple(sorted([*history.warnings, *warnings])),
        left_out=(*history.left_out, *left_out.values()),
    ), known


def evidence_files(patterns: Sequence[str] | None, folder: Path, run: Path) -> Iterator[Path]:
    """Files of evidence, in the order of patterns and names."""
    wanted = [str(run.resolve().parent / "*")] if patterns is None else patterns
    for pattern in wanted:
        for match in sorted(glob.glob(str(folder / local_path(pattern)))):
            if (place := Path(match) / EVIDENCE).is_file():
                yield place
    if patterns is None:
        yield from sorted(SHIPPED.glob("*.json"))


def unfit(kind: Kind, value: Mapping[str, Any], *, asked: bool, shipped: bool) -> LeftOut | None:
    """What keeps a study from being about the plan's model, SAE and training method; None where nothing does.

    Raises:
        ValueError: it is of another version.
    """
    if value["version"] != EVIDENCE_VERSION:
        raise ValueError(f"version {value['version']}")
    apart = difference(kind, value, str(value["title"]), asked=asked)
    if apart is None or apart.reason == "settings":
        return None
    return replace(apart, shipped=shipped)


def study_of(value: Mapping[str, Any], mark: str, kind: Kind) -> Study:
    """A study from its saved evidence."""
    told, learned = (
        {
            str(score): Told(finite(one["value"]), *(None if one[end] is None else finite(one[end]) for end in ENDS))
            for score, one in part.items()
            if score in SCORE_NAMES
        }
        for part in (value["told"], value.get("learned", {}))
    )
    settings = value["settings"]
    dtype = str(value.get("dtype") or "")
    runs = tuple(run_of(value, mark, name) for name in value["targets"])
    differing = difference(kind, value, str(value["title"]), asked=False)
    return Study(
        title=str(value["title"]),
        hash=mark,
        targets=len(runs),
        domains=len({name for target in value["targets"].values() for name in target}),
        seeds=len(value["seeds"]),
        demonstrations=int(settings["sts_demonstrations"]),
        told=told,
        learned=learned,
        runs=() if differing else runs,
        even=even_of(value["against_uniform"]) if value.get("against_uniform") else None,
        needed=differing.keys if differing and runs else (),
        dtype=dtype if kind.dtype not in ("", dtype) else "",
    )


def run_of(value: Mapping[str, Any], mark: str, target: str) -> Run:
    """One of a study's targets as a run.

    Args:
        value: What evidence.json holds.
        mark: Its SHA-256.
        target: The study's name for it.
    """
    contents, job = value.get("contents") or {}, (value.get("jobs") or {}).get(target)
    taught = contents.get("targets", {}).get(target)
    domains = {
        str(name): found_in(domain, contents.get("domains", {}).get(name), seeds=len(value["seeds"]))
        for name, domain in value["targets"][target].items()
    }
    return Run(
        name=f"{value['title']}: {target}",
        hash=hashlib.sha256(f"{mark} {target}".encode()).hexdigest(),
        domains=domains,
        studied=True,
        target=None if taught is None else Content.from_json(taught),
        job=None if job is None else Job.model_validate(job),
        dtype=str(value.get("dtype") or ""),
    )


def even_of(value: Mapping[str, Any]) -> Even:
    """A study's plans against an even spread.

    Raises:
        ValueError: they were planned by a score that this mixplan does not know.
    """
    if value["score"] not in SCORE_NAMES:
        raise ValueError(f"score {value['score']}")
    worst = value["worst"]
    return Even(
        score=str(value["score"]),
        objective=str(value["objective"]),
        unit=str(value["unit"]),
        targets=int(value["targets"]),
        value=finite(worst["value"]),
        low=None if worst["low"] is None else finite(worst["low"]),
        high=None if worst["high"] is None else finite(worst["high"]),
    )


ENDS = ("low", "high")


def found_in(domain: Mapping[str, Any], content: Mapping[str, Any] | None, *, seeds: int) -> Found:
    """What one target's trainings changed in a domain, means over seeds."""
    headline, moved, noise = domain["headline"], domain["behaviour"], domain.get("noise") or {}
    return Found(
        scores={str(score): finite(number) for score, number in domain["scores"].items()},
        headline=None if headline is None else (str(headline[0]), str(headline[1]), finite(headline[2])),
        behaviour=None if moved is None else finite(moved),
        content=None if content is None else Content.from_json(content),
        headline_noise=noise_of(noise.get("headline"), seeds),
        behaviour_noise=noise_of(noise.get("behaviour"), seeds),
    )


def noise_of(value: Mapping[str, Any] | None, seeds: int) -> Noise:
    """How well a mean over seeds is known."""
    if value is None:
        return Noise(count=seeds)
    items, spread = (None if value[key] is None else finite(value[key]) for key in ("items", "seeds"))
    return Noise(items, spread, seeds)
