"""Trains a GRPO study's short pilot runs, and reads what they and rollouts show of each target."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from mixplan.drift.rollouts import Rollout, Sampled, Sampler, against_nothing, draw_pairs, figures, taught
from mixplan.errors import DriftError
from mixplan.features.contrast import Fronts, plan_contrast
from mixplan.features.profile import Profile
from mixplan.features.queries import without_demonstrations
from mixplan.features.weighted import Weighted, answers_unit, read_weighted
from mixplan.model import give_back_memory, load_trained
from mixplan.plan.drift_source import sampled
from mixplan.reading.workers import Workers
from mixplan.runs import cache_folder
from mixplan.saved.scores import Rollouts
from mixplan.study.asked.spec import LoadedStudy
from mixplan.study.files.judgement import Cost, PilotCost
from mixplan.study.files.read import read_file, write_file
from mixplan.study.files.work import PilotFile
from mixplan.study.forecasts.formulas import TargetReading
from mixplan.study.forecasts.rewarded import RewardedReading
from mixplan.study.jobs import Bench, train_target
from mixplan.train.launch import Launch


def pilot_seed(study: LoadedStudy) -> int:
    """The pilots' training seed: the least that is none of the study's."""
    return next(seed for seed in count() if seed not in study.spec.seeds)


def train_pilots(bench: Bench, launch: Launch) -> None:
    """Train each target's pilot under pilots/, or go on where it was stopped; nothing where jobs train with SFT.

    A pilot is what a forecast from it costs: it is trained before forecasts are written, on the rows that the target's
    jobs train on, under a seed of its own.

    Raises:
        MixplanError: a pilot fails.
    """
    if not bench.study.rewarded:
        return
    steps, seed = bench.study.spec.reading.pilot_steps, pilot_seed(bench.study)
    for name in bench.study.spec.targets:
        folder = bench.run / "pilots" / name
        bench.watcher.say(f"pilot run: {name}, {steps} steps, seed {seed}")
        job = train_target(bench, name, folder, launch, seed=seed, max_steps=steps)
        give_back_memory()
        made = PilotFile(target=name, seed=seed, steps=job.steps, seconds=job.seconds, model_hash=job.model_hash)
        write_file(folder / "pilot.json", made)


def forecast_cost(bench: Bench, readings: Mapping[str, TargetReading]) -> Cost | None:
    """What forecasts cost beside reading, with GRPO: by target its pilot's steps and seconds, and what was sampled.

    Args:
        bench: The study's models and data.
        readings: The targets' readings by name.

    Returns:
        None where jobs do not train with GRPO.

    Raises:
        RunError: what is kept of a pilot is damaged.
    """
    if not bench.study.rewarded:
        return None
    pilots: dict[str, PilotCost] = {}
    for name in readings:
        pilot = read_file(PilotFile, bench.run / "pilots" / name / "pilot.json", bench.how_to_finish)
        pilots[name] = PilotCost(seed=pilot.seed, steps=pilot.steps, seconds=pilot.seconds)
    sampled = {name: one.rewarded.told for name, one in readings.items() if one.rewarded is not None}
    return Cost(pilots=pilots, rollouts={name: Rollouts.model_validate(vars(told)) for name, told in sampled.items()})


def rewarded_reading(bench: Bench, name: str) -> RewardedReading:
    """Read a target's questions behind the model's own answers and through the pilot's model, and those answers.

    Raises:
        DriftError: too few questions have both accepted and rejected answers.
        RecipeError: a user's reward cannot be loaded.
    """
    target, spec = bench.taught(name).target, bench.study.spec.reading
    rollouts, told = sampled_answers(bench, name)
    draws = max(1, min(spec.draws, len(target.query)))
    pairs = draw_pairs(
        rollouts, shots=spec.demonstrations, draws=draws, seed=bench.study.spec.seeds[0], spec=spec.rollouts
    )

    def behind(title: str, fronts: list[Fronts]) -> Profile:
        units = plan_contrast(bench.model, target.query, fronts, tokens=spec.target_tokens).units
        bench.watcher.stage(f"{name}: {title}", sum(unit.tokens for unit in units), "tokens")
        return bench.profile(units)

    return RewardedReading(
        against=behind("accepted against rejected answers", pairs),
        accepted=behind("accepted answers", against_nothing(pairs)),
        rejected=behind("rejected answers", [((), rejected) for rejected, _ in pairs]),
        answers=answers_read(bench, name, rollouts),
        pilot=pilot_profile(bench, name),
        told=told,
    )


def sampled_answers(bench: Bench, name: str) -> tuple[list[Rollout], Sampled]:
    """The model's own answers to a target's demonstration rows, and what they are in figures.

    Raises:
        DriftError: too few questions have both kinds.
    """
    ours, spec = bench.taught(name), bench.study.spec.reading
    train, seed = ours.loaded.recipe.train, bench.study.spec.seeds[0]
    sampler = Sampler(bench.model, ours.target, spec.rollouts, train, seed, cache_folder() / "rollouts")
    batches = sampled(sampler, bench.watcher, Workers(0, 1))
    rollouts = [one for batch in batches for one in batch.rollouts]
    both = len(taught(rollouts))
    if both < spec.demonstrations:
        raise DriftError(
            f"{name}: of {len(rollouts)} questions {both} have sampled answers that are rewarded differently, and "
            f"`reading.demonstrations` asks for {spec.demonstrations}. Raise `reading.rollouts.samples` (now "
            f"{spec.rollouts.samples}) or `reading.rollouts.temperature` (now {spec.rollouts.temperature:g}), or take "
            "a target that the model gets right now and then."
        )
    return rollouts, figures(batches, spec.rollouts)


def answers_read(bench: Bench, name: str, rollouts: list[Rollout]) -> Weighted:
    """The sampled answers' own tokens, weighed by advantage; answers that are rewarded alike teach nothing."""
    kept = [(one.saying(i), float(a)) for one in taught(rollouts) for i, a in enumerate(one.advantages) if a != 0]
    unit, there = answers_unit(bench.model, [row for row, _ in kept])
    bench.watcher.stage(f"{name}: sampled answers", unit.tokens, "tokens")
    return read_weighted(
        bench.model,
        bench.sae,
        unit,
        [kept[index][1] for index in there],
        folder=cache_folder() / "weighted",
        on_tokens=bench.watcher.advance,
    )


def pilot_profile(bench: Bench, name: str) -> Profile:
    """What the pilot run changed on the target's question tokens."""
    ours, spec = bench.taught(name), bench.study.spec.reading
    folder = bench.run / "pilots" / name / "model"
    model = load_trained(bench.spec, folder, folder=ours.loaded.folder(("model", "name")))
    reading = bench.reading(ours.target, ours.target, tokens=spec.target_tokens)
    units = tuple(map(without_demonstrations, reading.units))
    bench.watcher.stage(f"{name}: what the pilot moved", sum(unit.tokens for unit in units), "tokens")
    profile = bench.profile(units, model)
    del model
    give_back_memory()
    return profile
