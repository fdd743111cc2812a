"""Finds earlier runs, reads what they measured, and says what keeps the others from teaching this plan."""

from __future__ import annotations

import glob
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixplan.domains.content_sketch import Content
from mixplan.forecast.job import Job
from mixplan.recipe.paths import local_path
from mixplan.saved.outcome import Settings

OUTCOME = "outcome.json"
OUTCOME_VERSION = 1
EVIDENCE = "evidence.json"
"""What a study leaves in its folder for later plans: see `mixplan.forecast.evidence`."""

NO_SAE = "none"
"""What stands in an SAE's hash's place where there is none."""
ICL = "icl"
"""What tells the drift where a recipe or outcome does not say."""
TARGET = "target"
NONE = "none"
"""The arm that gave no domain any row."""

UNITS = dict.fromkeys(("correct", "score", "acc", "acc_norm", "exact_match"), "accuracy")
"""Quantities that are the share of items answered rightly; any other is a unit of its own."""
UNIT_NAMES = {"kl": " nats per token", "bits_per_byte": " bits per byte"}
"""What stands behind a number in such a unit; nothing behind a share."""

SETTING_KEYS = {
    "method": "train.method",
    "features": "drift.features",
    "drift_demonstrations": "drift.demonstrations",
    "drift_from": "drift.from",
    "sts_demonstrations": "sts.demonstrations",
    "preview_tokens": "sts.preview.answer_tokens",
}
"""Where a recipe sets what scores of one meaning share."""
WITHOUT_SAE = ("method", "drift_demonstrations", "preview_tokens")
"""Those of scores that no SAE is read for."""
PREVIEWED = 24
"""Tokens of own answers that studies follow, whose settings do not say so."""


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
        dtype: The compute type of this plan's scores. Runs in any type teach; where it differs, that is said.
        config: Hash of what the model's config states: the same weights under another config are another model.
    """

    model: str
    sae: str
    settings: Settings
    dtype: str = ""
    config: str = ""

    @classmethod
    def of(cls, recipe: Mapping[str, Any], model: str, sae: str, dtype: str = "", config: str = "") -> Kind:
        """The kind of a plan.

        Args:
            recipe: The resolved recipe.
            model: Hash of the untrained model.
            sae: Hash of the SAE.
            dtype: The model's compute type.
            config: Hash of what its config states.
        """
        return cls(model, sae, settings_of(recipe), dtype, config)


def settings_of(recipe: Mapping[str, Any]) -> Settings:
    """What an outcome must share with a later plan to teach it: scores of one meaning, and one kind of job.

    Args:
        recipe: The resolved recipe's values.
    """
    found = Settings(
        method=recipe["train"]["method"],
        features=recipe["drift"]["features"],
        drift_demonstrations=recipe["drift"]["demonstrations"],
        drift_from=recipe["drift"].get("from", ICL),
        sts_demonstrations=recipe["sts"]["demonstrations"],
    )
    preview = recipe["sts"].get("preview")
    return found if preview is None else found.model_copy(update={"preview_tokens": preview["answer_tokens"]})


@dataclass(frozen=True)
class Noise:
    """How well one change is known.

    Attributes:
        items: Standard error over its items; None where it is not known.
        seeds: Standard deviation over training seeds; None where there was one.
        count: Training seeds whose mean the change is.
    """

    items: float | None = None
    seeds: float | None = None
    count: int = 1


@dataclass(frozen=True)
class Found:
    """One domain's change in an earlier run.

    Attributes:
        scores: The plan's scores, by name.
        headline: Measure and quantity that stood for the domain, with the change; None where it was not measured.
        behaviour: Mean token KL from the untrained model; None where it was not measured.
        rows: Extra rows that the domain got.
        bare: Behaviour where no domain got extra rows, from the comparison of arms; None where none was trained.
        content: Sketch of the domain; None where it was saved without one.
        headline_noise: How well the headline's change is known.
        behaviour_noise: How well behaviour is known.
    """

    scores: dict[str, float]
    headline: tuple[str, str, float] | None
    behaviour: float | None
    rows: float = 0.0
    bare: float | None = None
    content: Content | None = None
    headline_noise: Noise = Noise()
    behaviour_noise: Noise = Noise()


@dataclass(frozen=True)
class Run:
    """An earlier run.

    Attributes:
        name: Its folder's name.
        hash: SHA-256 of its outcome.json.
        domains: What it measured.
        studied: Whether it stands for a study's target rather than for a run of the person's own.
        target: Sketch of what it was trained on; None where it was saved without one.
        job: What it trained with; None where it was saved without that.
        dtype: Compute type of its scores, empty where it was saved without one.
    """

    name: str
    hash: str
    domains: dict[str, Found]
    studied: bool = False
    target: Content | None = None
    job: Job | None = None
    dtype: str = ""

    @property
    def extra_rows(self) -> float:
        """Rows that all domains together got beside the target's."""
        return math.fsum(found.rows for found in self.domains.values())


@dataclass(frozen=True)
class LeftOut:
    """Something measured that does not teach this plan.

    Attributes:
        name: The run's folder or the study's title.
        reason: What differs: `model`, `SAE`, `training method` or `settings`.
        keys: What a plan's recipe would have to say, such as `sts.demonstrations: 2`.
        asked: Whether the recipe names it.
        shipped: Whether it comes with mixplan.
    """

    name: str
    reason: str
    keys: tuple[str, ...]
    asked: bool = False
    shipped: bool = False


@dataclass(frozen=True)
class History:
    """What there is to learn from.

    Attributes:
        runs: Of the plan's own kind, each outcome once, in the order of their hashes.
        warnings: Files that are no outcomes, in whole sentences.
        left_out: What is of another kind.
        closed: Whether the recipe lets nothing in, by `forecast.runs: []`.
    """

    runs: tuple[Run, ...] = ()
    warnings: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    closed: bool = False


def earlier_runs(patterns: Sequence[str] | None, *, folder: Path, run: Path, kind: Kind) -> History:
    """Find earlier runs.

    Args:
        patterns: The recipe's `forecast.runs`; None for the folders beside the run's own.
        folder: What the patterns are relative to.
        run: The run's own folder, which is never learned from.
        kind: What a run must share with this one.
    """
    runs: dict[str, Run] = {}
    left_out: dict[str, LeftOut] = {}
    warnings: list[str] = []
    for place, asked in places(patterns, folder, run, warnings):
        try:
            data = (place / OUTCOME).read_bytes()
            value = json.loads(data)
            mark = hashlib.sha256(data).hexdigest()
            if value["version"] != OUTCOME_VERSION:
                raise ValueError(f"version {value['version']}")
            if value.get("elsewhere"):
                warnings.append(
                    f"{called(place, asked=asked)} holds a model that was trained without mixplan: what its trainer "
                    "read is not known, so the forecast does not learn from it."
                )
                continue
            found = run_of(place.name, mark, value)
            apart = difference(kind, value, called(place, asked=asked), asked=asked, studied=False)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            warnings.append(
                f"{called(place, asked=asked)}/{OUTCOME} is damaged or no outcome of this mixplan, so the forecast "
                "does not learn from it. Make it again with `mixplan train`, or leave it out of `forecast.runs`."
            )
            continue
        if apart is None:
            runs.setdefault(mark, found)
        else:
            left_out.setdefault(mark, apart)
    return History(
        tuple(runs[mark] for mark in sorted(runs)),
        tuple(sorted(warnings)),
        tuple(sorted(left_out.values(), key=lambda one: one.name)),
        closed=patterns is not None and not patterns,
    )


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
        matches = sorted(glob.glob(str(folder / local_path(pattern))))
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


def called(place: Path, *, asked: bool) -> str:
    """How a person is told of a run folder: one that the recipe names, by its parent's name too."""
    return "/".join(place.parts[-2:]) if asked else place.name


def difference(kind: Kind, value: Mapping[str, Any], name: str, *, asked: bool, studied: bool = True) -> LeftOut | None:
    """What keeps an outcome or a study from teaching plans of a kind; None where nothing does.

    Args:
        kind: The plan's.
        value: What outcome.json or evidence.json holds.
        name: What it is called.
        asked: Whether the recipe names it.
        studied: Whether it is a study, which measures previews beside an SAE's scores; a run with an SAE does not.

    Raises:
        LookupError: it does not say what it is of.
    """
    hashes, settings = value["hashes"], {"drift_from": ICL, "preview_tokens": PREVIEWED} | value["settings"]
    if hashes["model"] != kind.model:
        return LeftOut(name, "model", (named("model.name", value.get("model")),), asked)
    if of_another_config(kind, value.get("config")):
        return LeftOut(name, "model config", ("model.name: a folder with that run's config.json",), asked)
    # What is scored without an SAE was scored alike whatever SAE a run or a study had beside it.
    if kind.sae not in (NO_SAE, hashes["sae"]):
        sae = NO_SAE if hashes["sae"] == NO_SAE else value.get("sae")
        return LeftOut(name, "SAE", (named("model.sae", sae),), asked)
    read = WITHOUT_SAE if kind.sae == NO_SAE else tuple(SETTING_KEYS)
    if not studied and hashes["sae"] != NO_SAE:
        read = tuple(setting for setting in read if setting != "preview_tokens")
    wanted = {name: value for name, value in kind.settings.fields().items() if name in read}
    differing = [setting for setting, value in wanted.items() if settings[setting] != value]
    if not differing:
        return None
    keys = tuple(named(SETTING_KEYS[setting], settings[setting]) for setting in differing)
    return LeftOut(name, "training method" if "method" in differing else "settings", keys, asked)


def of_another_config(kind: Kind, config: str | None) -> bool:
    """Whether an outcome or a study is of the same weights under another config; older ones do not say."""
    return bool(kind.config and config and kind.config != config)


def named(key: str, value: Any) -> str:
    """A recipe's key with its value, where that is known."""
    return key if value is None else f"{key}: {value}"


def run_of(name: str, mark: str, value: Mapping[str, Any]) -> Run:
    """What an outcome says of its run.

    Raises:
        ValueError: a number is none, or a sketch or job is damaged.
        LookupError: something is missing.
    """
    contents, job = value.get("content") or {}, value.get("job")
    # Rows of several epochs count once, as planned rows do; older outcomes say only what was there to be read.
    consumed = {part: one.get("distinct_rows", one["rows"]) for part, one in value["training"]["consumption"].items()}
    given = {part: finite(rows) for part, rows in consumed.items() if part in value["domains"]}
    arms = ((value.get("arms") or {}).get("behaviour") or {}).get("arms", {})
    bare = arms.get(NONE, {}).get("losses", {})
    found = {}
    for domain, part in value["domains"].items():
        content = contents.get("domains", {}).get(domain)
        found[str(domain)] = found_of(
            part,
            rows=given.get(domain, 0.0),
            bare=finite(bare[domain]) if domain in bare else None,
            content=None if content is None else Content.from_json(content),
        )
    return Run(
        name,
        mark,
        found,
        target=Content.from_json(contents[TARGET]) if TARGET in contents else None,
        job=None if job is None else Job.model_validate(job),
        dtype=str(value.get("dtype") or ""),
    )


def found_of(domain: Mapping[str, Any], *, rows: float, bare: float | None, content: Content | None) -> Found:
    """What an outcome says of one domain."""
    measures, headline = domain["measures"], domain["headline"]
    first = next(iter(measures[headline].items()), None) if headline in measures else None
    moved = measures["behaviour"]["kl"] if "behaviour" in measures else None
    return Found(
        scores={str(score): finite(number) for score, number in domain["predictors"].items() if number is not None},
        headline=(str(headline), str(first[0]), finite(first[1]["change"])) if first else None,
        behaviour=None if moved is None else finite(moved["change"]),
        rows=rows,
        bare=bare,
        content=content,
        headline_noise=Noise(half_width(first[1]) if first else None),
        behaviour_noise=Noise(None if moved is None else half_width(moved)),
    )


def half_width(change: Mapping[str, Any]) -> float:
    """The standard error behind a change's 95 % interval."""
    return (finite(change["high"]) - finite(change["low"])) / (2 * 1.96)


def finite(value: Any) -> float:
    """A number.

    Raises:
        ValueError: it is none, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"a number was expected, not {value!r}")
    return float(value)
