"""Prepares what a monitor measures before training begins: reads the run, refuses what cannot be, lays out rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from mixplan.monitor.rows import Asked, Ids, ask, baseline_answers, chosen_rows
from mixplan.monitor.start_weights import Start
from mixplan.reading.identity import data_hash
from mixplan.recipe import DuringSpec, LoadedRecipe, load_recipe
from mixplan.runs import content_hash, quoted
from mixplan.saved import Plan, read_plan
from mixplan.saved.trajectory import OWN, Begin, Part

QUANTITIES = {"choice": "gold_probability", "likelihood": "bits_per_byte"}
"""What is drawn of a measure: of choices not whether the right one is likeliest, which few rows say coarsely."""
DRIFT_OF = "own answers"
"""Tokens of which drift is read: those that predict the untrained model's own answers."""
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
    """What may be measured, and how it is written down.

    Attributes:
        run: The planned run.
        model: The live one, by whose hash what is known of the untrained model is found.
        asked: All rows that are asked for, without answers.
        begin: The line that a trajectory begins with.
        start: The weights that training begins with.
        tokens: The longest answer that is asked for.
        drift: Whether drift is read.
    """

    run: Planned
    model: Model
    asked: dict[str, Asked]
    begin: Begin
    start: Start
    tokens: int
    drift: bool

    def evaluated(self, name: str) -> dict[str, Ids]:
        """A part's answers from the run's evaluation before training, cut to so many tokens; there may be none."""
        if self.start.other is not None:
            return {}  # the run was evaluated with the plan's weights
        evaluate = self.run.loaded.recipe.evaluate
        whole = by_name(self.run.target, self.run.domains)[name].evaluation[: evaluate.rows]
        return baseline_answers(self.model, self.run.plan, whole, evaluate, self.tokens) or {}


def prepare(run: Planned, trainer: Any, during: DuringSpec, *, steps: int, start: Start | None) -> Prepared:
    """Choose rows and lay them out; nothing is read by the model.

    Every process prepares the same.

    Args:
        run: The planned run.
        trainer: Its model is the untrained one, unless the training is resumed.
        during: What is asked for.
        steps: Of the whole training.
        start: The weights of the beginning, of a training that goes on from a checkpoint.

    Raises:
        DataError: there are no evaluation rows of the target, or of any domain, or none fits the model's window.
        MixplanError: model or tokenizer cannot be used.
    """
    model = live_model(trainer, run.loaded)
    evaluate = run.loaded.recipe.evaluate
    rows = chosen_rows(run.target, run.domains, evaluate, during)
    refuse_no_rows(rows, run)
    refuse_other_tokens(trainer, model, [row for part in rows.values() for row in part])
    start = start or Start(model.weights, other_weights(model))
    if start.other is None and run.plan.model.settings is not None:
        # What was checked and answered of the plan's model holds of this one: its weights are the same.
        model = replace(model, weights=run.plan.model.hash, settings=run.plan.model.settings)
    else:
        model = replace(model, weights=start.fingerprint)
    parts = by_name(run.target, run.domains)
    tokens = min(during.tokens, evaluate.behaviour_tokens)
    asked = {name: ask(model, name, parts[name], rows[name], evaluate, tokens=tokens) for name in rows}
    too_long = not_fitting(rows, asked, tokens)
    asked = {name: part for name, part in asked.items() if part.rows}
    refuse_no_room(asked, run, model, tokens)
    drift = during.drift and run.loaded.recipe.model.sae_spec is not None and run.plan.drift is not None
    begin = Begin(
        version=1,
        mixplan=__version__,
        plan=run.plan.hashes["plan"],
        asked=asked_hash(asked, tokens, run.plan if drift else None),
        model=run.plan.model.name,
        steps=steps,
        processes=trainer.accelerator.state.num_processes,
        settings=during.model_dump(),
        features=len(run.plan.drift.features) if drift and run.plan.drift else 0,
        top=TOP,
        parts={name: part_of(part) for name, part in asked.items()},
        warnings=[
            *([start.other] if start.other else []),
            *([NO_DRIFT] if during.drift and not drift else []),
            *too_long,
        ],
    )
    return Prepared(run, model, asked, begin, start, tokens, drift)


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


def not_fitting(rows: Mapping[str, Sequence[Row]], asked: Mapping[str, Asked], tokens: int) -> list[str]:
    """Say of which parts rows are left out, since they are too long; nothing where none is.

    Args:
        rows: All that were chosen of each part.
        asked: Those that fit.
        tokens: The longest own answer.
    """
    counts = {name: len(rows[name]) - len(part.rows) for name, part in asked.items()}
    left = [f"{name} {count} of {len(rows[name])}" for name, count in counts.items() if count]
    if not left:
        return []
    return [
        f"Evaluation rows that do not fit the model's window with an answer of {tokens} tokens are not measured while "
        f"it trains: {', '.join(left)}."
    ]


def refuse_no_room(asked: Mapping[str, Asked], run: Planned, model: Model, tokens: int) -> None:
    """Hold that some row of the target and of a domain can be read.

    Raises:
        DataError: all of one of them are too long.
    """
    taught = {part.name for part in run.target.parts}
    for what, have in (("the target", taught & asked.keys()), ("any domain", asked.keys() - taught)):
        if not have:
            raise DataError(
                f"{run.folder}: no evaluation row of {what} fits the model's window of {model.window} tokens with an "
                f"answer of {tokens}. Lower `evaluate.during.tokens`, or shorten the rows with a template and plan "
                "again."
            )


def drift_features(run: Planned, model: Model) -> Features:
    """The drift dimensions of a plan with an SAE, as it reads them of the live model.

    Raises:
        SaeError: the SAE cannot be loaded.
    """
    from mixplan.sae import load_sae  # loads SAELens, which takes seconds

    spec = run.loaded.recipe.model.sae_spec
    assert spec is not None
    assert run.plan.drift is not None
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


def asked_hash(asked: Mapping[str, Asked], tokens: int, plan: Plan | None) -> str:
    """Hash of all tokens that are read, of the longest answer, and of the features that are watched.

    Args:
        asked: All rows that are asked for.
        tokens: The longest answer.
        plan: Whose drift dimensions are watched; None where none are.
    """
    texts = {
        name: [
            [[one.row.id, [[text.ids, text.start] for text in one.texts]] for one in part.scored],
            part.prompts,
        ]
        for name, part in asked.items()
    }
    drift = None if plan is None or plan.drift is None else plan.drift
    features = (
        []
        if drift is None or plan is None
        else [plan.hashes["sae"], [feature for feature, *_ in drift.features], DRIFT_OF]
    )
    return content_hash(texts, tokens, features)
