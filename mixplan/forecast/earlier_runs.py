"""Finds earlier runs, reads what they measured, and says what keeps the others from teaching this plan."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixplan.errors import RunError
from mixplan.forecast.measured_run import Run, run_of
from mixplan.recipe.paths import local_path
from mixplan.saved import Outcome, SavedFileError, read_earlier_outcome
from mixplan.saved.evidence import Evidence
from mixplan.saved.outcome import Settings

OUTCOME = "outcome.json"
EVIDENCE = "evidence.json"
"""What a study leaves in its folder for later plans: see `mixplan.forecast.evidence`."""

SHOWN_UNREAD = 8
"""Runs that cannot be read, of which more are only counted."""

NO_SAE = "none"
"""What stands in an SAE's hash's place where there is none."""
ICL = "icl"
"""What tells the drift where a recipe or outcome does not say."""

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
    "replay_kl": "train.replay_kl.weight",
    "target_answers": "mixture.target_answers",
}
"""Where a recipe sets what scores of one meaning share."""
WITHOUT_SAE = ("method", "drift_demonstrations", "preview_tokens", "replay_kl", "target_answers")
"""Those of scores that no SAE is read for."""
LEVERS = {"replay_kl": "train.replay_kl: null", "target_answers": "mixture.target_answers: given"}
"""What a job without them is of another kind than one with them, and how a recipe says that it has none."""
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
    preview, further = recipe["sts"].get("preview"), {}
    if preview is not None:
        further["preview_tokens"] = preview["answer_tokens"]
    if (replay_kl := recipe["train"].get("replay_kl")) is not None and replay_kl["weight"] > 0:
        further["replay_kl"] = replay_kl["weight"]
    if (answers := recipe.get("mixture", {}).get("target_answers", "given")) != "given":
        further["target_answers"] = answers
    return found.model_copy(update=further)


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
    unread: list[str] = []
    for place, asked in places(patterns, folder, run, warnings):
        name = called(place, asked=asked)
        try:
            outcome, mark = read_earlier_outcome(place)
            if outcome.elsewhere is not None:
                warnings.append(
                    f"{name} holds a model that was trained without mixplan: what its trainer read is not known, so "
                    "the forecast does not learn from it."
                )
                continue
            found = run_of(place.name, mark, outcome)
            apart = difference(kind, outcome, name, asked=asked, studied=False)
        except (RunError, ValueError) as error:
            unread.append(f"{name}/{OUTCOME} ({reason_of(error)})")
            continue
        if apart is None:
            runs.setdefault(mark, found)
        else:
            left_out.setdefault(mark, apart)
    return History(
        tuple(runs[mark] for mark in sorted(runs)),
        tuple(sorted([*warnings, *unread_warning(unread)])),
        tuple(sorted(left_out.values(), key=lambda one: one.name)),
        closed=patterns is not None and not patterns,
    )


def reason_of(error: RunError | ValueError) -> str:
    """Why an outcome.json cannot be read, in a few words without the place of the run."""
    if isinstance(error, SavedFileError):
        return error.reason
    refused = error.__cause__  # by the operating system
    return str(refused.strerror) if isinstance(refused, OSError) else str(error)


def unread_warning(unread: Sequence[str]) -> list[str]:
    """One sentence on the runs that cannot be read, with their number and what is wrong with each; none without any.

    Args:
        unread: Each as its file with the reason behind it.
    """
    if not unread:
        return []
    count, them = (f"{len(unread)} earlier runs", "them") if len(unread) > 1 else ("1 earlier run", "it")
    more = [f"and {len(unread) - SHOWN_UNREAD} more"] if len(unread) > SHOWN_UNREAD else []
    listed = "; ".join([*unread[:SHOWN_UNREAD], *more])
    return [
        f"{count} cannot be read, so the forecast does not learn from {them}: {listed}. Measure {them} again with "
        f"`mixplan eval RUN`, or leave {them} out of `forecast.runs`."
    ]


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


def difference(
    kind: Kind, value: Outcome | Evidence, name: str, *, asked: bool, studied: bool = True
) -> LeftOut | None:
    """What keeps an outcome or a study from teaching plans of a kind; None where nothing does.

    Args:
        kind: The plan's.
        value: What outcome.json or evidence.json holds.
        name: What it is called.
        asked: Whether the recipe names it.
        studied: Whether it is a study, which measures previews beside an SAE's scores; a run with an SAE does not.

    Raises:
        ValueError: it does not say what it is of.
    """
    model, sae = hashes_of(value)
    if model != kind.model:
        return LeftOut(name, "model", (named("model.name", value.model),), asked)
    if of_another_config(kind, value.config):
        return LeftOut(name, "model config", ("model.name: a folder with that run's config.json",), asked)
    # What is scored without an SAE was scored alike whatever SAE a run or a study had beside it.
    if kind.sae not in (NO_SAE, sae):
        return LeftOut(name, "SAE", (named("model.sae", NO_SAE if sae == NO_SAE else value.sae),), asked)
    read = WITHOUT_SAE if kind.sae == NO_SAE else tuple(SETTING_KEYS)
    if not studied and sae != NO_SAE:
        read = tuple(setting for setting in read if setting != "preview_tokens")
    settings = {"preview_tokens": PREVIEWED} | value.settings.fields()
    settings.setdefault("drift_from", ICL)
    wanted = {name: value for name, value in kind.settings.fields().items() if name in read and name not in LEVERS}
    differing = [setting for setting, value in wanted.items() if settings.get(setting) != value]
    differing += other_levers(kind, value)
    if not differing:
        return None
    keys = tuple(said_of(setting, settings.get(setting)) for setting in differing)
    return LeftOut(name, "training method" if "method" in differing else "settings", keys, asked)


def other_levers(kind: Kind, value: Outcome | Evidence) -> list[str]:
    """Levers that an outcome's or a study's jobs do not share with a plan's: their jobs are of another kind."""
    theirs, ours = value.settings.fields(), kind.settings.fields()
    return [lever for lever in LEVERS if theirs.get(lever) != ours.get(lever)]


def keys_of_levers(kind: Kind, value: Outcome | Evidence) -> tuple[str, ...]:
    """What a recipe would have to say to share them."""
    return tuple(said_of(lever, value.settings.fields().get(lever)) for lever in other_levers(kind, value))


def said_of(setting: str, value: Any) -> str:
    """What a recipe would say to share a setting."""
    return LEVERS[setting] if value is None and setting in LEVERS else named(SETTING_KEYS[setting], value)


def hashes_of(value: Outcome | Evidence) -> tuple[str, str]:
    """Of the untrained model and of the SAE.

    Raises:
        ValueError: one is missing.
    """
    if isinstance(value, Evidence):
        return value.hashes.model, value.hashes.sae
    for part in ("model", "sae"):
        if part not in value.hashes:
            raise ValueError(f"`hashes.{part}` is missing")
    return value.hashes["model"], value.hashes["sae"]


def of_another_config(kind: Kind, config: str | None) -> bool:
    """Whether an outcome or a study is of the same weights under another config; older ones do not say."""
    return bool(kind.config and config and kind.config != config)


def named(key: str, value: Any) -> str:
    """A recipe's key with its value, where that is known."""
    return key if value is None else f"{key}: {value}"
