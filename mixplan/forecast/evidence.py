"""Reads what judged studies found: how well scores predicted changes there, and what their targets teach a plan."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mixplan.domains.content_sketch import Content
from mixplan.forecast.earlier_runs import EVIDENCE, UNIT_NAMES, History, Kind, LeftOut, difference, keys_of_levers
from mixplan.forecast.measured_run import Found, Noise, Run
from mixplan.recipe.paths import local_path
from mixplan.saved.evidence import AgainstUniform, ChangeNoise, DomainEvidence, DomainNoise, Evidence
from mixplan.saved.evidence import Told as Told
from mixplan.saved.plan import Content as SavedContent
from mixplan.saved.scores import SCORE_KEYS, SCORE_TITLES

SHIPPED = Path(__file__).resolve().parent.parent / "embedded" / "evidence"
"""Studies of the embedded model that come with mixplan, a file each."""

SCORE_NAMES = {key: SCORE_TITLES[name] for name, key in SCORE_KEYS.items()}
"""What is called how, of scores that may plan a mixture, those without an SAE among them."""

OTHER_TYPE = "STS in bfloat16 is 0.6 % off its value in float32"
"""Measured on SmolLM2-135M: bfloat16 shares 99 of 100 drift dimensions with float32."""


@dataclass(frozen=True)
class Even:
    """How a study's plans did against an even spread of as many rows.

    Attributes:
        score: That planned the rows, such as `sts_icl`.
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
        if self.high is not None and self.high < 0:
            return f"{text}: they did worse."
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
        told: By score, such as `sts_icl`.
        runs: Its targets as runs to learn from; empty where its scores were read with other settings than the plan's.
        learned: By score, how well it told with each domain's own factor learned on the study's other targets.
        even: How its plans did against an even spread; None where it trained no mixtures.
        needed: What a plan's recipe would have to say for the plan to learn from its targets, such as
            `sts.demonstrations: 2`; of a study of arms, for what it says of rows. Empty where it does.
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
            score: The plan's, such as `sts_icl`.
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
        text += f"{doubt(found)}."
        if self.dtype:
            text += f" It was measured in {self.dtype}; {OTHER_TYPE}."
        taught = self.learned.get(score) if self.runs else None
        if taught is None:
            return text
        return f"{text} Times each domain's own factor, learned on the other targets, it had {taught.text()}."


def doubt(found: Told) -> str:
    """What a correlation's interval says against it, as the end of a sentence; nothing where it lies above 0."""
    if found.high is not None and found.high < 0:
        return ", the wrong way round"
    return "; there is no evidence that it predicts anything" if found.low is None or found.low <= 0 else ""


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
            value, mark = Evidence.model_validate_json(data), hashlib.sha256(data).hexdigest()
            apart = unfit(kind, value, asked=patterns is not None, shipped=place.parent == SHIPPED)
            found = None if apart is not None else study_of(value, mark, kind)
        except (OSError, ValueError):
            warnings.append(
                f"{place.parent.name}/{place.name} is damaged or of another mixplan, so the forecast does not learn "
                "from it. Make it again with `mixplan study run`, or leave it out of `forecast.runs`."
            )
            continue
        study = value.study or mark
        if found is not None:
            studies.setdefault(study, found)
            apart = found.left_out(asked=patterns is not None)
        # A study of arms teaches what rows save whatever the SAE: it is not left out.
        if apart is not None and (value.targets or apart.reason != "SAE"):
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


def unfit(kind: Kind, value: Evidence, *, asked: bool, shipped: bool) -> LeftOut | None:
    """What keeps a study from being about the plan's model, SAE and training method; None where nothing does."""
    apart = difference(kind, value, value.title, asked=asked)
    if apart is None or apart.reason == "settings":
        return None
    return replace(apart, shipped=shipped)


def study_of(value: Evidence, mark: str, kind: Kind) -> Study:
    """A study from its saved evidence.

    Raises:
        ValueError: its plans were made by a score that this mixplan does not know, or a sketch is damaged.
    """
    runs = tuple(run_of(value, mark, name) for name in value.targets)
    differing = difference(kind, value, value.title, asked=False)
    dtype = value.dtype or ""
    return Study(
        title=value.title,
        hash=mark,
        targets=len(runs),
        domains=len({name for target in value.targets.values() for name in target}),
        seeds=len(value.seeds),
        demonstrations=value.settings.sts_demonstrations,
        told={score: one for score, one in value.told.items() if score in SCORE_NAMES},
        learned={score: one for score, one in value.learned.items() if score in SCORE_NAMES},
        runs=() if differing else runs,
        even=None if value.against_uniform is None else even_of(value.against_uniform),
        needed=differing.keys if differing and runs else keys_of_levers(kind, value) if value.compared else (),
        dtype=dtype if kind.dtype not in ("", dtype) else "",
    )


def run_of(value: Evidence, mark: str, target: str) -> Run:
    """One of a study's targets as a run.

    Args:
        value: What evidence.json holds.
        mark: Its SHA-256.
        target: The study's name for it.

    Raises:
        ValueError: a sketch is damaged.
    """
    contents = value.contents
    taught = None if contents is None else contents.targets.get(target)
    domains = {
        name: found_in(domain, None if contents is None else contents.domains.get(name), seeds=len(value.seeds))
        for name, domain in value.targets[target].items()
    }
    return Run(
        name=f"{value.title}: {target}",
        hash=hashlib.sha256(f"{mark} {target}".encode()).hexdigest(),
        domains=domains,
        studied=True,
        target=None if taught is None else Content.from_json(taught.values()),
        job=value.jobs.get(target),
        dtype=value.dtype or "",
    )


def even_of(value: AgainstUniform) -> Even:
    """A study's plans against an even spread.

    Raises:
        ValueError: they were planned by a score that this mixplan does not know.
    """
    if value.score not in SCORE_NAMES:
        raise ValueError(f"score {value.score}")
    worst = value.worst
    return Even(value.score, value.objective, value.unit, value.targets, worst.value, worst.low, worst.high)


def found_in(domain: DomainEvidence, content: SavedContent | None, *, seeds: int) -> Found:
    """What one target's trainings changed in a domain, means over seeds."""
    noise = domain.noise or DomainNoise(headline=None, behaviour=None)
    return Found(
        scores=domain.scores,
        headline=domain.headline,
        behaviour=domain.behaviour,
        content=None if content is None else Content.from_json(content.values()),
        headline_noise=noise_of(noise.headline, seeds),
        behaviour_noise=noise_of(noise.behaviour, seeds),
    )


def noise_of(value: ChangeNoise | None, seeds: int) -> Noise:
    """How well a mean over seeds is known."""
    return Noise(count=seeds) if value is None else Noise(value.items, value.seeds, seeds)
