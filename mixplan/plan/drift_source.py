"""Decides what is read of the target to find its drift dimensions, as the recipe's `drift.from` says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mixplan.domains import Domain
from mixplan.drift.rollouts import Batch, Rollout, Sampler, draw_pairs, figures, rewarded_alike, taught
from mixplan.errors import DriftError, MixplanError, ModelError
from mixplan.features.contrast import plan_contrast
from mixplan.features.queries import Reading, without_demonstrations
from mixplan.grading.process import GradingProcess
from mixplan.model import Model, load_trained, text_config
from mixplan.reading.identity import checkpoint_folder
from mixplan.reading.progress import Watcher
from mixplan.reading.units import Reader
from mixplan.reading.workers import Workers
from mixplan.recipe import LoadedRecipe, RolloutsSpec
from mixplan.runs import cache_folder
from mixplan.saved.scores import Checkpoint, RewardStep, Rollouts

SHAPE = ("model_type", "hidden_size", "num_hidden_layers", "vocab_size")
"""Fields of a model's config in which a checkpoint of it cannot differ."""


@dataclass(frozen=True)
class DriftReading:
    """What tells the drift dimensions.

    Attributes:
        reading: What is read of the target, twice each; the change between both readings is the drift.
        words: How, for whoever watches: the target is read …
        trained: Reads the contexts in the model's place, for what a checkpoint or a step moved.
        untrained: Reads the rest in the model's place, where a step is read in another type than the model is in.
        rollouts: What plan.json's `drift` says of sampled answers; None of anything else.
        reward_step: The same of a step along the reward's gradient.
        checkpoint: The same of a checkpoint.
        warnings: What the person should know, in whole sentences.
    """

    reading: Reading
    words: str
    trained: Model | None = None
    untrained: Model | None = None
    rollouts: Rollouts | None = None
    reward_step: RewardStep | None = None
    checkpoint: Checkpoint | None = None
    warnings: tuple[str, ...] = ()

    def through(self, reader: Reader) -> Reader:
        """The reader with the models that the target is read through."""
        return replace(reader, model=self.untrained or reader.model, trained=self.trained)

    def without_models(self) -> DriftReading:
        """The same once the target is read, so that what its models took of memory is free again."""
        return replace(self, trained=None, untrained=None)


def drift_reading(
    loaded: LoadedRecipe, model: Model, target: Domain, reading: Reading, *, watcher: Watcher, workers: Workers
) -> DriftReading:
    """Decide what is read of the target, as `drift.from` says.

    Args:
        loaded: The recipe.
        model: The untrained model.
        target: The opened target.
        reading: Its questions behind its worked examples; each way reads the same query tokens.
        watcher: Told of progress.
        workers: Which process this is; answers are sampled by all of them.

    Raises:
        DriftError: too few questions with both kinds of answers, or a checkpoint that cannot be used.
        ModelError: the model cannot be differentiated.
        RecipeError: a user's reward cannot be loaded.
    """
    way = loaded.recipe.drift.from_
    if way == "rollouts":
        return by_rollouts(loaded, model, target, reading, watcher, workers)
    if way == "reward_step":
        return by_reward_step(loaded, model, target, reading, watcher, workers)
    if way == "checkpoint":
        return by_checkpoint(loaded, model, reading, watcher)
    return DriftReading(reading, "with demonstrations")


def by_rollouts(
    loaded: LoadedRecipe, model: Model, target: Domain, reading: Reading, watcher: Watcher, workers: Workers
) -> DriftReading:
    """The target's questions behind the model's own rejected answers, and behind its accepted ones."""
    recipe = loaded.recipe
    spec = recipe.drift.rollouts
    answers = Answers.of(sampled(sampler_of(loaded, model, target), watcher, workers), spec)
    draws = max(1, min(recipe.drift.draws, len(target.query)))
    pairs = draw_pairs(answers.rollouts, shots=recipe.drift.demonstrations, draws=draws, seed=recipe.seed, spec=spec)
    return DriftReading(
        reading=plan_contrast(model, target.query, pairs, tokens=reading.wanted_tokens),
        words="with rejected and accepted answers",
        rollouts=answers.told,
        warnings=answers.warnings,
    )


def by_reward_step(
    loaded: LoadedRecipe, model: Model, target: Domain, reading: Reading, watcher: Watcher, workers: Workers
) -> DriftReading:
    """The target's questions alone, through the untrained model and through the same one step along the reward.

    Both read in float32, whatever type the plan reads in: a step is small, and a shorter type would round it away.
    """
    from mixplan.plan.reward_step import in_float32, refuse_unfit, stepped  # loads peft, which few recipes ask for

    spec = loaded.recipe.drift.rollouts
    refuse_unfit(model)
    sampler = sampler_of(loaded, model, target)
    answers = Answers.of(sampled(sampler, watcher, workers), spec)
    if not (differing := taught(answers.rollouts)):
        raise DriftError(f"drift.from is reward_step, but {rewarded_alike(answers.rollouts, 0, spec)}")
    untrained = in_float32(loaded, model, watcher)
    prompts = [sampler.ids(one.row) for one in differing]
    trained, told = stepped(loaded, untrained, differing, prompts, watcher=watcher, workers=workers)
    return DriftReading(
        reading=replace(reading, units=tuple(without_demonstrations(unit) for unit in reading.units)),
        words="through one step along the reward's gradient",
        trained=trained,
        untrained=untrained,
        rollouts=answers.told,
        reward_step=told,
        warnings=answers.warnings,
    )


@dataclass(frozen=True)
class Answers:
    """The model's own answers to the target's rows.

    Attributes:
        rollouts: One a row.
        told: What plan.json says of them.
        warnings: What the person should know of them.
    """

    rollouts: list[Rollout]
    told: Rollouts
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, batches: list[Batch], spec: RolloutsSpec) -> Answers:
        """All batches together."""
        told = Rollouts.model_validate(vars(figures(batches, spec)))
        failures, answers = told.failures, told.prompts * spec.samples
        example = next((batch.example for batch in batches if batch.example), "")
        warning = (
            f"drift.rollouts: {failures:,} of {answers:,} sampled answers counted as 0 because a reward's scorer "
            f"failed on them or took too long. The first: {example}."
        )
        return cls([one for batch in batches for one in batch.rollouts], told, (warning,) if failures else ())


def sampler_of(loaded: LoadedRecipe, model: Model, target: Domain) -> Sampler:
    """What samples and rewards the target's rows, as the recipe says."""
    recipe = loaded.recipe
    return Sampler(model, target, recipe.drift.rollouts, recipe.train, recipe.seed, cache_folder() / "rollouts")


def sampled(sampler: Sampler, watcher: Watcher, workers: Workers) -> list[Batch]:
    """The target's rollouts, from the cache or sampled now; with several processes each samples its share.

    Raises:
        MixplanError: another process's answers did not arrive.
    """
    rows = sampler.batches()
    watcher.stage("sampling the model's own answers", sum(map(len, rows)) * sampler.spec.samples, "answers")
    process = GradingProcess(seconds=sampler.train.grader_seconds)
    found: list[Batch | None] = []
    try:
        for number, batch in enumerate(rows):
            kept = sampler.kept(batch)
            if kept is None and number % workers.count == workers.rank:
                kept = sampler.made(batch, process)
            if kept is not None:
                watcher.advance(len(batch) * sampler.spec.samples)
            found.append(kept)
    finally:
        process.close()
    workers.wait()
    batches = [part or sampler.kept(batch) for part, batch in zip(found, rows, strict=True)]
    if None in batches:
        raise MixplanError(
            f"{sampler.folder}: another process's answers did not arrive. "
            "All processes must share one cache folder: set MIXPLAN_CACHE to a shared one."
        )
    return [batch for batch in batches if batch is not None]


def by_checkpoint(loaded: LoadedRecipe, model: Model, reading: Reading, watcher: Watcher) -> DriftReading:
    """The target's questions alone, through the untrained model and through the checkpoint."""
    folder = checkpoint_folder(loaded)
    watcher.say(f"loading the checkpoint from {folder}")
    trained = load_checkpoint(loaded, model, folder)
    told = Checkpoint(folder=str(loaded.recipe.drift.checkpoint), hash=trained.weights)
    bare = tuple(without_demonstrations(unit) for unit in reading.units)
    return DriftReading(
        reading=replace(reading, units=bare),
        words="through the checkpoint",
        trained=trained,
        checkpoint=told,
    )


def load_checkpoint(loaded: LoadedRecipe, model: Model, folder: Path) -> Model:
    """Load the checkpoint.

    Raises:
        DriftError: it cannot be loaded, or was trained from another model than the recipe's.
    """
    where = loaded.where(("drift", "checkpoint"))
    # `auto` might choose another type at each loading, and rounding would pass for drift.
    spec = loaded.recipe.model.model_copy(update={"dtype": model.dtype})
    try:
        trained = load_trained(spec, folder, folder=loaded.folder(("model", "name")), depth=model.loaded_blocks)
    except ModelError as error:
        raise DriftError(f"{where}: drift.checkpoint: {error}") from error
    configs = (text_config(trained.lm), text_config(model.lm))
    for name in SHAPE:
        found, expected = (getattr(config, name, None) for config in configs)
        if found != expected:
            raise DriftError(
                f"{where}: drift.checkpoint: {folder} is a checkpoint of another model than '{model.name}': its {name} "
                f"is {found} instead of {expected}. Name one that was trained from '{model.name}'."
            )
    return trained
