"""Evaluates a model on the held-out rows of the target and the domains, keeping each measure once it is made."""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixplan.domains import Domain, Row, by_name
from mixplan.errors import DataError
from mixplan.evaluate.accuracy_floors import floor_of
from mixplan.evaluate.pooled import pooled
from mixplan.evaluate.task_files import task_files
from mixplan.grading import VERSION as GRADING_VERSION
from mixplan.grading.versions import package_versions
from mixplan.recipe import EvaluateSpec
from mixplan.recipe.measures import headline_measure, measures_taken
from mixplan.recipe.paths import local_path
from mixplan.runs import cache_folder, content_hash, store, unseal, version_of
from mixplan.saved.evaluation import EvaluatedModel, Evaluation, Measured, items_from, items_text
from mixplan.saved.outcome import Floor

if TYPE_CHECKING:
    from mixplan.evaluate.answering import Answering
    from mixplan.evaluate.answers_ahead import Posed
    from mixplan.evaluate.behaviour import OwnAnswers
    from mixplan.model import Model
    from mixplan.reading.progress import Watcher

VERSION = 2
"""Of how measures are defined and kept; part of their key."""

BASELINE_DTYPES = ("float32", "bfloat16", "float16")
"""Types in which a baseline is looked for, most exact first."""

READ_TOGETHER = ("choice", "likelihood", "behaviour")
"""Measures that one reading of the rows serves."""

LIBRARIES = {
    "exact": ("torch", "transformers", "vllm", "reasoning-gym"),
    "behaviour": ("torch", "transformers", "vllm"),
    "lm_eval": ("torch", "transformers", "lm-eval"),
}
"""Packages whose version can change a measure's values."""


def evaluate(
    model: Model,
    target: Domain | None,
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
        target: The opened target; a domain without evaluation rows is passed over. Its sources are measured each by
            itself where it has several, and together under `target` where their headline measures agree. None where
            nothing is taught.
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
    parts = by_name(target, domains) if target else dict(domains)
    titles = titles_of(parts, "untrained" if model is origin else "trained")
    identities = identity(model), identity(origin)
    work = _Work(model, origin, spec, folder, watcher, *identities, titles, {}, {}, Counter(), [])
    measured: dict[str, dict[str, Measured]] = {}
    headlines: dict[str, str] = {}
    floors: dict[str, Floor] = {}
    asked: dict[str, dict[str, str]] = {}
    stood = total = 0
    for name, domain, rows in work.posed(parts):
        headlines[name] = headline(name, domain, spec)
        measured[name], standing = work.domain(name, domain, rows)
        asked[name] = {one: content_hash(VERSION, *work.asked(name, domain, rows, one))[:16] for one in measured[name]}
        # The target is there to gain, which a floor does not hide.
        if model is origin and not domain.is_taught:
            floor = floor_of(headlines[name], measured[name], rows, named=name in spec.measures)
            if floor is not None:
                floors[name] = floor
                headlines[name] = floor.instead or headlines[name]
        stood, total = stood + standing, total + len(measured[name])
    sources = [part.name for part in target.sources] if target else []
    if (whole := pooled(measured, headlines, sources)) is not None:
        measured["target"], headlines["target"] = whole
        asked["target"] = {one: content_hash([asked[n][one] for n in sources if n in asked]) for one in whole[0]}
    if stood:
        watcher.say(f"{stood} of {total} measures are reused from an earlier evaluation")
    work.say_reused()
    return Evaluation(described(model, work.reused), measured, headlines, floors, asked)


def titles_of(names: Collection[str], which: str) -> dict[str, str]:
    """How the terminal names the measuring of each part, such as `untrained model, law (3 of 17)`."""
    return {name: f"{which} model, {name} ({number} of {len(names)})" for number, name in enumerate(names, 1)}


def described(model: Model, reused: Mapping[str, int]) -> EvaluatedModel:
    """The model as an evaluation says it, with how many measures were taken over from other types, where any were."""
    found = EvaluatedModel(name=model.name, hash=model.weights, dtype=model.dtype, device=str(model.device))
    return found.model_copy(update={"reused": dict(reused)}) if reused else found


def headline(name: str, domain: Domain, spec: EvaluateSpec) -> str:
    """A domain's headline measure: the recipe's, else `choice`, `exact` or `likelihood` by its format."""
    return headline_measure(name, domain.spec, spec, grader=domain.grader)


def measures_of(name: str, domain: Domain, spec: EvaluateSpec) -> list[str]:
    """The headline, then what else is measured and fits."""
    return [*measures_taken(name, domain.spec, spec, grader=domain.grader)]


@dataclass(frozen=True)
class _Work:
    """What every measure of one evaluation needs; `titles` say on the terminal whose measuring of what this is."""

    model: Model
    untrained: Model
    spec: EvaluateSpec
    folder: Path
    watcher: Watcher
    model_identity: str
    untrained_identity: str
    titles: dict[str, str]
    answerings: dict[str, Answering]
    standings: dict[str, tuple[dict[str, Path], dict[str, Measured]]]
    reused: Counter[str]
    said: list[str]

    def posed(self, parts: Mapping[str, Domain]) -> Iterator[Posed]:
        """Each domain with the rows that it is measured on, once those of its run are answered."""
        from mixplan.evaluate.answers_ahead import Posed, runs_of  # loads torch, which reading results does not need

        asked = []
        for name, domain in parts.items():
            if rows := domain.evaluation[: self.spec.rows]:
                asked.append(Posed(name, domain, rows))
            else:
                self.watcher.say(f"{name} has no evaluation rows and is not measured; set `split.evaluation`")
        for run in runs_of(asked):
            self.answer_together(run)
            yield from run

    def standing(self, name: str, domain: Domain, rows: Sequence[Row]) -> tuple[dict[str, Path], dict[str, Measured]]:
        """Where each measure of one domain is kept, and those that stand from an earlier evaluation; looked up once."""
        if name not in self.standings:
            wanted = measures_of(name, domain, self.spec)
            places = {one: kept_place(self.key(name, domain, rows, one)) for one in wanted}
            found = {
                measure: items_from(measure, standing)
                for measure, place in places.items()
                if (standing := unseal(place)) is not None
            }
            found |= self.in_another_type(name, domain, rows, [measure for measure in places if measure not in found])
            self.standings[name] = places, found
        return self.standings[name]

    def answer_together(self, run: Sequence[Posed]) -> None:
        """Answer the rows of several domains at once where any answer is missing; measures then find them there."""
        from mixplan.evaluate.behaviour import kept_answers

        asked: dict[int, list[Posed]] = {}
        lacking: set[str] = set()
        for part in run:
            places, found = self.standing(*part)
            own = self.model is self.untrained and "behaviour" in places
            tokens = self.spec.answer_tokens if "exact" in places else self.spec.behaviour_tokens
            if "exact" in places or own:
                asked.setdefault(tokens, []).append(part)
            if "exact" in places and "exact" not in found:
                lacking.add(part.name)
            if own and "behaviour" not in found and tokens >= self.spec.behaviour_tokens:
                kept = kept_place(answers_key(self.untrained_identity, part.rows, self.spec.behaviour_tokens))
                lacking |= {part.name} if kept_answers(kept) is None else set()
        for tokens, parts in sorted(asked.items(), reverse=True):
            if len(parts) > 1 and lacking & {part.name for part in parts}:
                rows = [row for part in parts for row in part.rows]
                which = self.titles[parts[0].name].partition(",")[0]
                names = ", ".join(part.name for part in parts)
                self.watcher.stage(f"{which}'s answers, {names}", len(rows), "rows")
                self.answering(self.model).answers(rows, answer_tokens=tokens, advance=self.watcher.advance)

    def domain(self, name: str, domain: Domain, rows: Sequence[Row]) -> tuple[dict[str, Measured], int]:
        """Each measure of one domain, and how many stood from an earlier evaluation."""
        places, standing = self.standing(name, domain, rows)
        found, stood = dict(standing), len(standing)
        missing = [measure for measure in places if measure not in found]
        read = tuple(measure for measure in missing if measure in READ_TOGETHER)
        for step in dict.fromkeys(read if measure in READ_TOGETHER else (measure,) for measure in missing):
            for measure, values in self.now(name, domain, rows, step).items():
                found[measure] = self.kept(name, rows, values, places[measure])
        return {measure: found[measure] for measure in places}, stood

    def in_another_type(
        self, name: str, domain: Domain, rows: Sequence[Row], missing: Sequence[str]
    ) -> dict[str, Measured]:
        """Measures of the untrained model that were made in another compute type, which are as good a baseline.

        `behaviour` needs none: the untrained model has moved by nothing.
        """
        found: dict[str, Measured] = {}
        if self.model is not self.untrained:
            return found
        for measure in missing:
            for dtype in BASELINE_DTYPES:
                if measure in found or measure == "behaviour" or dtype == self.model.dtype:
                    continue
                place = kept_place(self.key(name, domain, rows, measure, identity(self.model, dtype)))
                if (standing := unseal(place)) is not None:
                    found[measure] = items_from(measure, standing)
                    self.reused[dtype] += 1
        return found

    def kept(self, name: str, rows: Sequence[Row], found: Measured, place: Path) -> Measured:
        """One measure of one domain, written to where it is kept."""
        if not found.rows:
            raise DataError(self.nothing_fits(name, rows, found.measure))
        if len(found.rows) < len(rows):
            left = len(rows) - len(found.rows)
            self.watcher.say(f"{name}: {left} of {len(rows)} rows are left out of `{found.measure}`")
        text = items_text(found)
        store(place, text.encode())
        # Read back, so that an evaluation does not tell whether its values were measured or stood.
        return items_from(found.measure, text)

    def nothing_fits(self, name: str, rows: Sequence[Row], measure: str) -> str:
        """The message when every row is longer than the window."""
        key = {"exact": "answer_tokens", "behaviour": "behaviour_tokens"}.get(measure)
        remedy = f"Lower `evaluate.{key}`, or shorten" if key else "Shorten"
        return (
            f"{name}: none of its {len(rows)} evaluation rows fits the model's window of {self.model.window} tokens "
            f"with the answer that `{measure}` needs. {remedy} the rows with a template."
        )

    def now(self, name: str, domain: Domain, rows: Sequence[Row], step: Sequence[str]) -> dict[str, Measured]:
        """Measure now: one measure, or those that one reading serves."""
        from mixplan.evaluate.exact import measure_exact  # these load torch, which reading results does not need
        from mixplan.evaluate.harness import measure_task
        from mixplan.evaluate.joint_measures import measure_together
        from mixplan.evaluate.packing import scoring_way
        from mixplan.evaluate.vllm_answers import is_served
        from mixplan.model import generation_way, slower

        own = self.own_answers(name, rows) if "behaviour" in step else None
        self.watcher.stage(f"{self.titles[name]}: {', '.join(step)}", len(rows), "rows")
        advance, spec = self.watcher.advance, self.spec
        if step == ("exact",):
            answering = self.answering(self.model)
            if not is_served(self.model):
                self.tell(slower(self.model, generation_way(self.model), "answered"))
            return {"exact": measure_exact(answering, domain, rows, answer_tokens=spec.answer_tokens, advance=advance)}
        if step == ("lm_eval",):
            task = spec.tasks[name]
            return {"lm_eval": measure_task(self.model, domain, rows, task=task, folder=self.folder, advance=advance)}
        self.tell(slower(self.model, scoring_way(self.model), "scored"))
        return measure_together(self.model, rows, step, own=own, advance=advance)

    def say_reused(self) -> None:
        """Say which measures were taken over from other compute types."""
        for dtype, count in self.reused.items():
            self.watcher.say(
                f"{count} measures of the untrained model were measured in {dtype} and are reused; this run computes "
                f"{self.model.dtype}"
            )

    def tell(self, sentence: str | None) -> None:
        """Say a sentence, once for all domains."""
        if sentence and sentence not in self.said:
            self.said.append(sentence)
            self.watcher.say(sentence)

    def own_answers(self, name: str, rows: Sequence[Row]) -> OwnAnswers:
        """The untrained model's answers, which are made now where they are not kept."""
        from mixplan.evaluate.behaviour import kept_answers, make_answers, own_answers

        tokens = self.spec.behaviour_tokens
        kept_at = kept_place(answers_key(self.untrained_identity, rows, tokens))
        answers = kept_answers(kept_at)
        if answers is None:
            answering = self.answering(self.untrained)
            advance: Callable[[int], None] = self.watcher.advance
            if answering.answered(rows, answer_tokens=tokens):
                advance = nothing
            else:
                self.watcher.stage(f"untrained model's own answers, {name}", len(rows), "rows")
            answers = make_answers(answering, rows, answer_tokens=tokens, kept_at=kept_at, advance=advance)
        return own_answers(self.untrained, rows, answers, kept_at)

    def answering(self, model: Model) -> Answering:
        """Answers with one of the models; an engine that it starts is there for the next domain too."""
        from mixplan.evaluate.answering import Answering

        return self.answerings.setdefault(model.fingerprint, Answering(model))

    def key(self, name: str, domain: Domain, rows: Sequence[Row], measure: str, identified: str | None = None) -> str:
        """Everything a measure's values depend on, as one hash; of the model itself, or as it is identified."""
        return content_hash(VERSION, identified or self.model_identity, *self.asked(name, domain, rows, measure))

    def asked(self, name: str, domain: Domain, rows: Sequence[Row], measure: str) -> list[Any]:
        """Everything that a measure's values depend on beside the model."""
        settings: list[Any] = []
        if measure == "exact":
            settings = [self.spec.answer_tokens, domain.grader, GRADING_VERSION]
        elif measure == "behaviour":
            settings = [self.spec.behaviour_tokens, self.untrained_identity, "against equal readings"]
        elif measure == "lm_eval":
            settings = [
                self.spec.tasks[name],
                task_files(self.folder / local_path(self.spec.tasks[name])),
                domain.spec.model_dump(),
                "with what is better",
            ]
        versions = {one: installed(one) for one in LIBRARIES.get(measure, ("torch", "transformers"))}
        versions |= package_versions([domain.grader]) if measure == "exact" else {}
        return [content(rows), measure, settings, versions]


def nothing(_: int) -> None:
    """Tell no progress."""


def kept_place(key: str) -> Path:
    """Where something is kept."""
    return cache_folder() / "evaluation" / key[:2] / f"{key}.json"


def answers_key(untrained: str, rows: Sequence[Row], tokens: int) -> str:
    """Everything the untrained model's own answers of at most so many tokens depend on, as one hash."""
    versions = {one: installed(one) for one in LIBRARIES["behaviour"]}
    return content_hash(VERSION, untrained, content(rows), "own answers", tokens, versions)


def identity(model: Model, dtype: str | None = None) -> str:
    """What tells one model from another: weights, config, type, kind of device, tokenizer and chat template.

    A template may write the tokenizer's special tokens by name, so these count too.

    Args:
        model: The model.
        dtype: The type to tell it in; its own when None.
    """
    tokenizer: Any = model.tokenizer
    special = tokenizer.special_tokens_map
    words = [tokenizer.backend_tokenizer.to_str(), tokenizer.chat_template, special, model.window]
    return content_hash(model.fingerprint_in(dtype or model.dtype), model.device.type, words)


def content(rows: Sequence[Row]) -> list[Any]:
    """What rows say and how they are called."""
    return [[row.id, row.prompt, row.answer, row.options, row.gold, row.entry, row.accepted] for row in rows]


def installed(package: str) -> str | None:
    """A package's version, None when it is not there."""
    try:
        return version_of(package)
    except importlib.metadata.PackageNotFoundError:
        return None
