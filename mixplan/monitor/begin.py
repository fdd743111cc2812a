"""Prepares what a monitor measures: rows, own answers, drift dimensions, and the untrained model's reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixplan import __version__
from mixplan.domains import Domain, Row, by_name
from mixplan.domains.cached_domains import opened
from mixplan.errors import DataError, RunError
from mixplan.mixture import allowed
from mixplan.model import Model
from mixplan.monitor.live import live_model, other_weights, refuse_other_tokens
from mixplan.monitor.reading import TOP, Features
from mixplan.monitor.rows import Answers, Asked, Ids, ask, baseline_answers, chosen_rows, first_answers, own_answers
from mixplan.monitor.watch import Watch
from mixplan.reading.identity import data_hash
from mixplan.recipe import DuringSpec, LoadedRecipe, load_recipe
from mixplan.runs import content_hash, quoted
from mixplan.saved import Plan, read_plan
from mixplan.saved.trajectory import OWN, Begin, Part

QUANTITIES = {"choice": "gold_probability", "likelihood": "bits_per_byte"}
"""What is drawn of a measure: of choices not whether the right one is likeliest, which few rows say coarsely."""


NO_DRIFT = (
    "The plan has no SAE (`model.sae: none`), so no drift is read while the model trains: losses and KL of each domain "
    "are."
)


@dataclass(frozen=True)
class Planned:
    """A planned run, as a monitor needs it.

    Attributes:
        folder: The run folder.
        loaded: Its recipe.
        plan: Its plan.
        target: The opened target.
        domains: The opened domains.
    """

    folder: Path
    loaded: LoadedRecipe
    plan: Plan
    target: Domain
    domains: dict[str, Domain]

    @classmethod
    def of(cls, folder: Path) -> Planned:
        """Read a run folder.

        Raises:
            RunError: it holds no plan, or its rows are not those it was planned on.
        """
        plan = read_plan(folder)
        loaded = load_recipe(folder / "recipe.yaml")
        target, read = opened(loaded)
        domains = allowed(loaded.recipe.mixture, read)
        if data_hash(target, domains) != plan.hashes["data"]:
            raise RunError(
                f"{folder}: the rows of its target or domains are not those it was planned on. Plan again with "
                f"`mixplan plan {quoted(folder / 'recipe.yaml')} --run {quoted(folder)}`."
            )
        return cls(folder, loaded, plan, target, domains)


@dataclass(frozen=True)
class Prepared:
    """What is measured, and how it is written down.

    Attributes:
        model: The live one.
        watch: The rows.
        begin: The line that a trajectory begins with, but for the job's steps.
        answers: The untrained model's, of at most `tokens` tokens each.
        tokens: The longest answer that was asked for.
    """

    model: Model
    watch: Watch
    begin: Begin
    answers: Answers
    tokens: int


def prepare(run: Planned, trainer: Any, during: DuringSpec, *, steps: int, kept_at: Path | None) -> Prepared:
    """Choose rows, have the model answer them, and read which features are to be watched.

    Every process prepares the same.

    Args:
        run: The planned run.
        trainer: Its model is the untrained one, unless the training is resumed.
        during: What is asked for.
        steps: Of the whole training.
        kept_at: Where the untrained model's answers were kept, of a training that goes on from a checkpoint.

    Raises:
        DataError: there are no evaluation rows of the target, or of any domain.
        MixplanError: model, tokenizer or SAE cannot be used.
    """
    model = live_model(trainer, run.loaded)
    evaluate = run.loaded.recipe.evaluate
    rows = chosen_rows(run.target, run.domains, evaluate, during)
    refuse_no_rows(rows, run)
    refuse_other_tokens(trainer, model, [row for part in rows.values() for row in part])
    tokens = min(during.tokens, evaluate.behaviour_tokens)
    other = None if kept_at else other_weights(model)
    if kept_at is None:
        found, reused = answers(run, model, rows, tokens, planned=other is None)
    else:
        found, reused = answers_again(run, model, rows, tokens, kept_at), False
    parts = by_name(run.target, run.domains)
    asked = {name: ask(model, name, parts[name], rows[name], evaluate, found[name]) for name in rows}
    features = drift_features(run, model) if during.drift else None
    without = [NO_DRIFT] if during.drift and features is None else []
    state = trainer.accelerator.state
    begin = Begin(
        version=1,
        mixplan=__version__,
        plan=run.plan.hashes["plan"],
        asked=asked_hash(asked, features),
        model=run.plan.model.name,
        steps=steps,
        processes=state.num_processes,
        settings=during.model_dump(),
        features=0 if features is None else len(features.columns),
        top=TOP,
        reused_answers=reused,
        parts={name: part_of(part) for name, part in asked.items()},
        warnings=[*([other] if other else []), *without],
    )
    watch = Watch(asked, state.process_index, state.num_processes, features)
    return Prepared(model, watch, begin, found, tokens)


def answers(
    run: Planned, model: Model, rows: Mapping[str, tuple[Row, ...]], tokens: int, *, planned: bool
) -> tuple[Answers, bool]:
    """The untrained model's answers of each part, and whether all are from the run's evaluation before training.

    Args:
        run: The planned run.
        model: The live model, before the first step.
        rows: Of each part.
        tokens: Longest answer.
        planned: Whether it has the plan's weights, with which the run was evaluated.
    """
    found, reused = {}, True
    for name, part in rows.items():
        kept = evaluated(run, model, name, tokens) if planned else None
        if kept is None or any(row.id not in kept for row in part):
            kept, reused = own_answers(model, part, tokens), False
        found[name] = {row.id: kept[row.id] for row in part if row.id in kept}
    return found, reused


def answers_again(
    run: Planned, model: Model, rows: Mapping[str, tuple[Row, ...]], tokens: int, kept_at: Path
) -> Answers:
    """What the untrained model answered when training began; of a part where that is not known, nothing.

    The live model has been trained since, so it is not asked. Where none were kept, as earlier versions kept none, the
    run's evaluation may have them.
    """
    kept, found = first_answers(kept_at, tokens), {}
    for name, part in rows.items():
        given = kept.get(name) or evaluated(run, model, name, tokens) or {}
        found[name] = {row.id: given[row.id] for row in part if row.id in given}
    return found


def evaluated(run: Planned, model: Model, name: str, tokens: int) -> dict[str, Ids] | None:
    """A part's answers from the run's evaluation before training, cut to so many tokens; None where there are none."""
    evaluate = run.loaded.recipe.evaluate
    whole = by_name(run.target, run.domains)[name].evaluation[: evaluate.rows]
    return baseline_answers(model, run.plan, whole, evaluate, tokens)


def anew(run: Path, folder: Path) -> str:
    """How to go on where a resumed training cannot be held against its beginning.

    Args:
        run: The run folder.
        folder: The trajectory's, which says whether mixplan itself trains.
    """
    if folder != run / OWN:
        return "Begin the training anew, or resume it without the monitor."
    return (
        "Go on without measuring by "
        f"`mixplan train {quoted(run / 'recipe.yaml')} --run {quoted(run)} --set evaluate.during=null`, or delete "
        f"{run / 'training'} to begin anew."
    )


def refuse_no_rows(rows: Mapping[str, tuple[Row, ...]], run: Planned) -> None:
    """Hold that there is a target and a domain to measure.

    Raises:
        DataError: one of them has no evaluation rows.
    """
    taught = {part.name for part in run.target.parts}
    for what, have in (("the target", taught & rows.keys()), ("any domain", rows.keys() - taught)):
        if not have:
            raise DataError(
                f"{run.folder}: there are no evaluation rows of {what}, on which a monitor could measure. Set "
                "`split.evaluation` in the recipe and plan again."
            )


def drift_features(run: Planned, model: Model) -> Features | None:
    """The plan's drift dimensions, as its SAE reads them of the live model; None where the plan has no SAE.

    Raises:
        SaeError: the SAE cannot be loaded.
    """
    from mixplan.sae import load_sae  # loads SAELens, which takes seconds

    spec = run.loaded.recipe.model.sae_spec
    if spec is None or run.plan.drift is None:
        return None
    sae = load_sae(spec, model, folder=run.loaded.folder(("model", "sae", "path")))
    return Features.of(sae, [feature for feature, *_ in run.plan.drift.features])


def part_of(part: Asked) -> Part:
    """A part as the trajectory says it."""
    return Part(
        measure="choice" if part.measure == "choice" else "likelihood",
        headline=part.headline,
        quantity=QUANTITIES[part.measure],
        rows=[one.row.id for one in part.scored],
        kl_rows=list(part.own),
        tokens=sum(len(text.targets) for text in part.own.values()),
    )


def asked_hash(asked: Mapping[str, Asked], features: Features | None) -> str:
    """Hash of all tokens that are read and of the features that are watched."""
    texts = {
        name: [
            [[one.row.id, [[text.ids, text.start] for text in one.texts]] for one in part.scored],
            {row: [text.ids, text.start] for row, text in part.own.items()},
        ]
        for name, part in asked.items()
    }
    return content_hash(texts, [] if features is None else [features.sae.fingerprint, features.columns.tolist()])
