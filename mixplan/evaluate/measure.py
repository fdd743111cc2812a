"""A model, the held-out rows of the target and the domains in, every measure's values out; each is kept once made."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixplan.domains import Domain, Row
from mixplan.errors import DataError
from mixplan.evaluate.result import Evaluation, Measured, as_json, from_json
from mixplan.recipe import EvaluateSpec
from mixplan.runs import cache_folder, canonical_json, content_hash, file_hash, seal, unseal, write_atomic

if TYPE_CHECKING:
    from mixplan.evaluate.answering import Answering
    from mixplan.model import Model
    from mixplan.plan.watch import Watcher

VERSION = 1
"""Of how measures are defined and kept; part of their key."""

LIBRARIES = {
    "exact": ("torch", "transformers", "vllm", "reasoning-gym"),
    "behaviour": ("torch", "transformers", "vllm"),
    "lm_eval": ("torch", "transformers", "lm-eval"),
}
"""Packages whose version can change a measure's values."""


def evaluate(
    model: Model,
    target: Domain,
    domains: Mapping[str, Domain],
    *,
    spec: EvaluateSpec,
    folder: Path,
    watcher: Watcher,
    untrained: Model | None = None,
) -> Evaluation:
    """Measure a model on the held-out evaluation rows of the target and of every domain.

    Each measure of each domain is kept under the model, the rows and its settings once it is made, so that a run that
    was killed goes on where it was, and the untrained model is measured once for all runs.

    Args:
        model: What is measured.
        target: The opened target; a domain without evaluation rows is passed over.
        domains: The opened domains, by name.
        spec: The recipe's section.
        folder: What a task's YAML file is relative to.
        watcher: Told of progress.
        untrained: The model that `model` was trained from; `model` itself is the untrained one when not given.

    Raises:
        DataError: no evaluation row of a domain fits the model's window, or none is among its task's documents.
        ModelError: the model cannot be scored.
        MixplanError: lm-evaluation-harness is needed and not installed, or does not know a task.
    """
    origin = untrained or model
    work = _Work(model, origin, spec, folder, watcher, identity(model), identity(origin), {})
    measured: dict[str, dict[str, Measured]] = {}
    headlines: dict[str, str] = {}
    stood = total = 0
    for name, domain in {"target": target, **domains}.items():
        rows = domain.evaluation[: spec.rows]
        if not rows:
            watcher.say(f"{name} has no evaluation rows and is not measured; set `split.evaluation`")
            continue
        headlines[name] = headline(name, domain, spec)
        measured[name] = {}
        for measure in measures_of(name, domain, spec):
            measured[name][measure], standing = work.measured(name, domain, rows, measure)
            stood, total = stood + standing, total + 1
    if stood:
        watcher.say(f"{stood} of {total} measures stand from an earlier evaluation")
    described = {"name": model.name, "hash": model.fingerprint, "dtype": model.dtype, "device": str(model.device)}
    return Evaluation(described, measured, headlines)


def headline(name: str, domain: Domain, spec: EvaluateSpec) -> str:
    """A domain's headline measure: the recipe's, else `choice`, `exact` or `likelihood` by its format.

    Question and answer is graded; so is any other format whose grader the recipe names. The rest, whose answers are
    free text, is `likelihood`.
    """
    if name in spec.measures:
        return spec.measures[name]
    if domain.spec.format == "choice":
        return "choice"
    stated = domain.spec.grader not in ("auto", "none")
    asked = domain.spec.format == "question_answer" and domain.grader != "none"
    return "exact" if stated or asked else "likelihood"


def measures_of(name: str, domain: Domain, spec: EvaluateSpec) -> list[str]:
    """The headline, then what else is measured and fits."""
    fits = {
        "choice": domain.spec.format == "choice",
        "exact": domain.grader != "none",
        "lm_eval": name in spec.tasks,
    }
    others = [measure for measure in spec.also if fits.get(measure, True)]
    return list(dict.fromkeys([headline(name, domain, spec), *others]))


@dataclass(frozen=True)
class _Work:
    """What every measure of one evaluation needs."""

    model: Model
    untrained: Model
    spec: EvaluateSpec
    folder: Path
    watcher: Watcher
    model_identity: str
    untrained_identity: str
    answerings: dict[str, Answering]

    def measured(self, name: str, domain: Domain, rows: Sequence[Row], measure: str) -> tuple[Measured, bool]:
        """One measure of one domain, and whether it stood from an earlier evaluation."""
        place = self.place(self.key(name, domain, rows, measure))
        if (standing := unseal(place)) is not None:
            return from_json(measure, json.loads(standing)), True
        self.watcher.stage(f"{name}: {measure}", len(rows), "rows")
        found = self.now(name, domain, rows, measure)
        if not found.rows:
            raise DataError(self.nothing_fits(name, rows, measure))
        if len(found.rows) < len(rows):
            self.watcher.say(f"{name}: {len(rows) - len(found.rows)} of {len(rows)} rows are left out of `{measure}`")
        text = canonical_json(as_json(found))
        write_atomic(place, seal(text.encode()))
        # Read back, so that an evaluation does not tell whether its values were measured or stood.
        return from_json(measure, json.loads(text)), False

    def nothing_fits(self, name: str, rows: Sequence[Row], measure: str) -> str:
        """The message when every row is longer than the window."""
        key = {"exact": "answer_tokens", "behaviour": "behaviour_tokens"}.get(measure)
        remedy = f"Lower `evaluate.{key}`, or shorten" if key else "Shorten"
        return (
            f"{name}: none of its {len(rows)} evaluation rows fits the model's window of {self.model.window} tokens "
            f"with the answer that `{measure}` needs. {remedy} the rows with a template."
        )

    def now(self, name: str, domain: Domain, rows: Sequence[Row], measure: str) -> Measured:
        """Measure now."""
        from mixplan.evaluate.behaviour import (
            measure_behaviour,  # these load torch, which reading results does not need
        )
        from mixplan.evaluate.choice import measure_choice
        from mixplan.evaluate.exact import measure_exact
        from mixplan.evaluate.harness import measure_task
        from mixplan.evaluate.likelihood import measure_likelihood

        advance, spec = self.watcher.advance, self.spec
        if measure == "choice":
            return measure_choice(self.model, rows, advance=advance)
        if measure == "likelihood":
            return measure_likelihood(self.model, rows, advance=advance)
        if measure == "exact":
            answering = self.answering(self.model)
            return measure_exact(answering, domain, rows, answer_tokens=spec.answer_tokens, advance=advance)
        if measure == "behaviour":
            return measure_behaviour(
                self.model,
                self.answering(self.untrained),
                rows,
                answer_tokens=spec.behaviour_tokens,
                kept_at=self.place(self.answers_key(rows)),
                advance=advance,
            )
        return measure_task(self.model, domain, rows, task=spec.tasks[name], folder=self.folder, advance=advance)

    def answering(self, model: Model) -> Answering:
        """Answers with one of the models; an engine that it starts is there for the next domain too."""
        from mixplan.evaluate.answering import Answering

        return self.answerings.setdefault(model.fingerprint, Answering(model))

    def place(self, key: str) -> Path:
        """Where something is kept."""
        return cache_folder() / "evaluation" / key[:2] / f"{key}.json"

    def key(self, name: str, domain: Domain, rows: Sequence[Row], measure: str) -> str:
        """Everything a measure's values depend on, as one hash."""
        settings: list[Any] = []
        if measure == "exact":
            settings = [self.spec.answer_tokens, domain.grader]
        elif measure == "behaviour":
            settings = [self.spec.behaviour_tokens, self.untrained_identity]
        elif measure == "lm_eval":
            settings = [
                self.spec.tasks[name],
                task_files(self.folder / self.spec.tasks[name]),
                domain.spec.model_dump(),
            ]
        versions = {one: installed(one) for one in LIBRARIES.get(measure, ("torch", "transformers"))}
        return content_hash(VERSION, self.model_identity, content(rows), measure, settings, versions)

    def answers_key(self, rows: Sequence[Row]) -> str:
        """The same of the untrained model's own answers."""
        versions = {one: installed(one) for one in LIBRARIES["behaviour"]}
        tokens = self.spec.behaviour_tokens
        return content_hash(VERSION, self.untrained_identity, content(rows), "own answers", tokens, versions)


def identity(model: Model) -> str:
    """What tells one model from another: parameters, type, kind of device, tokenizer and chat template."""
    tokenizer: Any = model.tokenizer
    words = [tokenizer.backend_tokenizer.to_str(), tokenizer.chat_template, model.window]
    return content_hash(model.fingerprint, model.device.type, words)


def content(rows: Sequence[Row]) -> list[Any]:
    """What rows say and how they are called."""
    return [[row.id, row.prompt, row.answer, row.options, row.gold, row.entry, row.accepted] for row in rows]


def task_files(path: Path) -> list[Any]:
    """A task's YAML file with the small files beside it, which it may include or call."""
    if not path.is_file():
        return []
    beside = [file for file in sorted(path.parent.iterdir()) if file.is_file() and file.stat().st_size < 1 << 20]
    return [[file.name, file_hash(file)] for file in beside]


def installed(package: str) -> str | None:
    """A package's version, None when it is not there."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
