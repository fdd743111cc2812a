"""Trains the SAEs that a study's ablations ask for, each where it is not there yet."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from mixplan.errors import RecipeError
from mixplan.recipe import SaeSpec
from mixplan.recipe.configs import display, over_config, read_config
from mixplan.recipe.lines import Located, Problem, read
from mixplan.recipe.load import lines_of
from mixplan.recipe.validate import departures
from mixplan.sae import Sae, blocks_before, load_sae
from mixplan.sae.corpus import build_corpus
from mixplan.sae.make import is_made, make_sae
from mixplan.sae.spec import SaeTraining
from mixplan.study.asked.spec import LoadedStudy
from mixplan.study.jobs import Bench, taken, wait_until

OWN_KEYS = ("model", "dtype", "device")
"""What a study's own model settles."""


@dataclass(frozen=True)
class Training:
    """One SAE to train.

    Attributes:
        spec: The whole training, of the study's model.
        beside: The folder of its config, for local files.
    """

    spec: SaeTraining
    beside: Path


def trainings(study: LoadedStudy) -> dict[str, Training]:
    """Read and check the trainings that the ablations ask for, by name.

    Raises:
        RecipeError: anything is wrong with one of them; one line for each problem.
        SaeError: one is to read something else than the residual stream.
    """
    asked = study.spec.ablations.trained if study.spec.ablations else {}
    if not asked:
        return {}
    tree, problems = read(study.path, display(study.path))
    found: dict[str, Training] = {}
    for name in asked:
        assert tree is not None  # the study was read from it
        key = f"ablations.trained.{name}"
        node = tree.nearest(("ablations", "trained", name))
        if "config" not in node.value:
            problems.append(Problem(node.place, f"{key}: no config is named. Add `config: NAME`, one of configs/saes."))
            continue
        problems += [
            Problem(node.value[own].place, f"{key}.{own}: the study's model settles this. Leave the key out.")
            for own in OWN_KEYS
            if own in node.value
        ]
        config = read_config(key, node, study.path, problems, folder="saes", kind="SAE training")
        if config is None:
            continue
        merged = of_model(over_config(config, node), study)
        wrong = list(departures(merged, SaeTraining).values())
        problems += [in_ablation(problem, key, node) for problem in wrong]
        if not wrong:
            spec = SaeTraining.model_validate(merged.plain())
            blocks_before(spec.hook_name, name)
            found[name] = Training(spec, config.place.folder)
    if problems:
        raise RecipeError("\n".join(lines_of(problems)))
    return found


def of_model(merged: Located, study: LoadedStudy) -> Located:
    """A training with the study's model in the place of its config's."""
    kept = {key: value for key, value in merged.value.items() if key not in OWN_KEYS}
    return Located({**kept, "model": Located(study.whole.recipe.model.name, merged.place)}, merged.place)


def in_ablation(problem: Problem, key: str, node: Located) -> Problem:
    """A training's problem with its key path as the study's file has it; problems in configs stay as they are."""
    return Problem(problem.place, f"{key}.{problem.text}") if problem.place.label == node.place.label else problem


def trained_saes(bench: Bench) -> dict[str, Sae]:
    """Train what is not trained yet, and load all; each is kept in the run's folder saes/.

    What is read at one hook point serves every SAE that is trained there, and is deleted once all are.

    Raises:
        RecipeError: a training is not valid.
        DataError: its corpus lacks tokens.
        RunError: an SAE's folder holds another training, or `mixplan sae train` works there.
    """
    asked = trainings(bench.study)

    def all_made() -> bool:
        # What a process beside this one began and could not end is taken up.
        train_saes(bench)
        return all(is_made(training.spec, folder_of(bench, name)) for name, training in asked.items())

    wait_until(all_made, bench.watcher, "waiting for other processes that still train SAEs")
    shutil.rmtree(shared(bench), ignore_errors=True)
    return {
        name: load_sae(
            SaeSpec(path=str(folder_of(bench, name).resolve()), hook_name=training.spec.hook_name), bench.model
        )
        for name, training in asked.items()
    }


def train_saes(bench: Bench) -> None:
    """Train every SAE that is not there yet; those that another process trains are left to it.

    Raises:
        MixplanError: see `trained_saes`.
    """
    for name, training in trainings(bench.study).items():
        out = folder_of(bench, name)
        # Not the SAE's own folder, whose lock `make_sae` takes.
        with taken(out / "work") as ours:
            if ours and not is_made(training.spec, out):
                train(bench, name, training, out)


def folder_of(bench: Bench, name: str) -> Path:
    """Where an SAE is trained and lies."""
    return bench.run / "saes" / name


def shared(bench: Bench) -> Path:
    """Where what is read for several SAEs lies until all are trained."""
    return bench.run / "saes" / "activations"


def train(bench: Bench, name: str, training: Training, out: Path) -> None:
    """Train one SAE on the study's model."""
    bench.watcher.say(f"SAE {name}: reading the corpus")
    corpus = build_corpus(training.spec, bench.model.tokenizer, training.beside)
    before = 0

    def report(done: int, total: int, _: dict[str, float]) -> None:
        nonlocal before
        if not before:
            bench.watcher.stage(f"SAE {name}", total, "tokens")
        bench.watcher.advance(done - before)
        before = done

    command = f"mixplan study run {bench.study.path} --run {bench.run}"
    make_sae(training.spec, bench.model, corpus, out, command=command, report=report, activations=shared(bench))
