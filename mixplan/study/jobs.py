"""Trains and measures the cells of a registered study: one target, one seed, each kept as soon as it is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mixplan.domains import Domain
from mixplan.domains.cached_domains import opened
from mixplan.errors import DataError, RunError, SaeError
from mixplan.evaluate import Evaluation, evaluate, read_evaluation, write_evaluation
from mixplan.features.prefix_cache import Kept
from mixplan.features.profile import Profile, read_profiles
from mixplan.features.queries import Reading, Unit, plan_reading, without_demonstrations
from mixplan.model import Model, chat_template, give_back_memory, load_model, load_trained
from mixplan.plan.untrained import ReadBy
from mixplan.plan.write import write_mixture
from mixplan.reading import Watcher, standalone
from mixplan.reading.tokenizer import keep_tokenizer
from mixplan.recipe import LoadedRecipe, ModelSpec
from mixplan.runs import cache_folder, content_hash, locked, quoted, store, unseal
from mixplan.sae import Sae, load_sae
from mixplan.study.asked.spec import LoadedStudy
from mixplan.study.files.read import read_whole, write_file
from mixplan.study.files.work import CellFile, Compute
from mixplan.train.launch import Launch
from mixplan.train.make import Trained, train
from mixplan.train.verify import AsPlanned

Doubles = npt.NDArray[np.float64]

WAIT_SECONDS = 10.0
"""Between two looks at what other processes have done."""


@dataclass(frozen=True)
class Cell:
    """One training of one target.

    Attributes:
        target: Its name.
        seed: Of the training.
        folder: Where training/, model/, evaluation.json and drift.safetensors go.
    """

    target: str
    seed: int
    folder: Path


@dataclass(frozen=True)
class Taught:
    """A target, opened, with what its jobs train on.

    Attributes:
        name: The study's name for it.
        loaded: The recipe of its runs.
        target: The opened target.
        domains: The opened domains, those of its own data left out.
    """

    name: str
    loaded: LoadedRecipe
    target: Domain
    domains: dict[str, Domain]


class Bench:
    """What all of a study's work shares: its models and data, each loaded when it is first asked for."""

    def __init__(self, study: LoadedStudy, run: Path, watcher: Watcher) -> None:
        self.study, self.run, self.watcher = study, run, watcher
        self._taught: dict[str, Taught] = {}
        self._kept = Kept()

    @property
    def how_to_finish(self) -> str:
        """What to do about an unfinished study, as a sentence."""
        command = f"mixplan study run {quoted(self.study.path)} --run {quoted(self.run)}"
        return f"Wait for who works on it, or finish it: `{command}`."

    @cached_property
    def spec(self) -> ModelSpec:
        """The model in one compute type: `auto` might choose another one at each loading."""
        place = self.run / "compute.json"
        whole = self.study.whole
        if (kept := read_whole(Compute, place)) is None:
            self.watcher.say(f"loading {whole.recipe.model.name}")
            kept = Compute(dtype=load_model(whole.recipe.model, folder=whole.folder(("model", "name"))).dtype)
            write_file(place, kept)
        return whole.recipe.model.model_copy(update={"dtype": kept.dtype})

    @cached_property
    def model(self) -> Model:
        """The untrained model."""
        return load_model(self.spec, folder=self.study.whole.folder(("model", "name")))

    @cached_property
    def sae(self) -> Sae:
        """Its SAE."""
        folder = self.study.whole.folder(("model", "sae", "path"))
        if (spec := self.spec.sae_spec) is None:
            raise SaeError(f"{self.study.path}: recipe.model.sae: a study is of scores that an SAE gives. Name one.")
        return load_sae(spec, self.model, folder=folder)

    def taught(self, name: str) -> Taught:
        """A target with its domains."""
        if name not in self._taught:
            loaded = self.study.recipes[name]
            self._taught[name] = Taught(name, loaded, *opened(loaded))
        return self._taught[name]

    @cached_property
    def domains(self) -> dict[str, Domain]:
        """Every domain as the first run that reads it opens it."""
        found: dict[str, Domain] = {}
        for name in self.study.spec.targets:
            for domain, value in self.taught(name).domains.items():
                found.setdefault(domain, value)
        return {name: found[name] for name in self.study.domains}

    def reading(self, domain: Domain, front: Domain, *, tokens: int, **kinds: bool) -> Reading:
        """What is read of a domain behind another one's (or its own) demonstrations.

        Raises:
            DataError: no query row of the domain fits the model's window.
        """
        spec = self.study.spec.reading
        found = plan_reading(
            self.model, domain.query, front.demonstration, tokens=tokens, shots=spec.demonstrations, draws=spec.draws,
            seed=self.study.spec.seeds[0], **kinds,
        )  # fmt: skip
        if not found.units:
            raise too_long(domain, self.model)
        return found

    def profile(self, units: tuple[Unit, ...], trained: Model | None = None) -> Profile:
        """The sum of units' profiles, from the cache or read now."""
        folder = cache_folder() / "profiles"
        first, *rest = read_profiles(
            self.model, self.sae, units, folder=folder, trained=trained, on_tokens=self.watcher.advance, kept=self._kept
        )
        for part in rest:
            first = first + part
        return first

    def rest(self) -> None:
        """Let go of what was kept for further reading: a job that starts now needs the memory."""
        self._kept = Kept()
        give_back_memory()


def too_long(domain: Domain, model: Model) -> DataError:
    """The refusal of a domain that nothing can be read of."""
    return DataError(
        f"{domain.name}: none of its {len(domain.query)} query rows fits the model's window of {model.window} tokens. "
        "Give it shorter rows, or take it out of the study."
    )


def cells_of(study: LoadedStudy, run: Path) -> list[Cell]:
    """All cells, every target's first seed before any second one."""
    return [
        Cell(name, seed, run / "cells" / f"{name}-{seed}") for seed in study.spec.seeds for name in study.spec.targets
    ]


def run_cells(bench: Bench, cells: list[Cell], launch: Launch) -> None:
    """Train and measure every cell that is not done; cells that another process holds are left to it.

    Raises:
        MixplanError: a job fails.
    """
    for number, cell in enumerate(cells):
        with taken(cell.folder) as ours:
            if ours and not done(cell, bench.study):
                bench.watcher.say(f"cell {number + 1} of {len(cells)}: {cell.target}, seed {cell.seed}")
                run_cell(bench, cell, launch)


@contextmanager
def taken(folder: Path) -> Iterator[bool]:
    """Hold a folder for this process; False when another one does."""
    lock = locked(folder)
    try:
        lock.__enter__()
    except RunError as error:
        if isinstance(error.__cause__, BlockingIOError):
            yield False
            return
        raise
    try:
        yield True
    finally:
        lock.__exit__(None, None, None)


def wait_until(ready: Callable[[], bool], watcher: Watcher, text: str) -> None:
    """Ask again and again until something is ready, having said once what is waited for."""
    if ready():
        return
    watcher.say(text)
    while not ready():
        time.sleep(WAIT_SECONDS)


def done(cell: Cell, study: LoadedStudy) -> bool:
    """Whether a cell was measured for this very study, and everything that was measured is there whole."""
    kept = read_whole(CellFile, cell.folder / "cell.json")
    if kept is None or kept.study != study.hash:
        return False
    try:
        evaluation_of(cell)
    except RunError:
        return False
    return read_drift(cell) is not None


def run_cell(bench: Bench, cell: Cell, launch: Launch) -> None:
    """Train on the target's rows alone, measure every domain, and read what moved."""
    job = train_target(bench, cell.target, cell.folder, launch, seed=cell.seed)
    measure(bench, bench.taught(cell.target), cell, job.folder)
    give_back_memory()
    made = CellFile(
        version=1,
        study=bench.study.hash,
        target=cell.target,
        seed=cell.seed,
        steps=job.steps,
        seconds=job.seconds,
        loss=[(line.step, line.loss) for line in job.log],
        model_hash=job.model_hash,
    )
    write_file(cell.folder / "cell.json", made)


def train_target(
    bench: Bench, name: str, folder: Path, launch: Launch, *, seed: int, max_steps: int | None = None
) -> Trained:
    """Train on a target's rows alone in a folder of its own, or go on where that was stopped.

    Args:
        bench: The study's model and data.
        name: The target's.
        folder: Where training/ and model/ go.
        launch: How the job is started.
        seed: Of the training.
        max_steps: Optimiser steps, in place of the recipe's.

    Raises:
        MixplanError: the job fails.
    """
    taught = bench.taught(name)
    model, recipe = bench.model, content_hash(standalone(taught.loaded))
    planned = AsPlanned(recipe=recipe, values=taught.loaded.resolved, model=model.weights)
    tokenizer = keep_tokenizer(model, (taught.target, *taught.domains.values()))
    read_by = ReadBy((model.weights, model.dtype, model.settings, content_hash(chat_template(model).source)), tokenizer)
    place = bench.run / "targets" / name
    none = dict.fromkeys(taught.domains, 0)
    write_mixture(taught.loaded, place, taught.target, taught.domains, none, read_by, bench.watcher)
    bench.rest()
    return train(
        folder, taught.loaded, planned, launch=launch, watcher=bench.watcher, mixture=place / "mixture", seed=seed,
        max_steps=max_steps,
    )  # fmt: skip


def measure(bench: Bench, taught: Taught, cell: Cell, folder: Path) -> None:
    """Measure a trained model on every domain, and read what moved in it."""
    trained = load_trained(bench.spec, folder, folder=taught.loaded.folder(("model", "name")))
    write_evaluation(evaluated(bench, taught, trained), cell.folder / "evaluation.json")
    write_drift(bench, taught, trained, cell)


def evaluated(bench: Bench, taught: Taught, model: Model) -> Evaluation:
    """Measure a model on the held-out rows of a target and its domains."""
    return evaluate(
        model,
        taught.target,
        taught.domains,
        spec=taught.loaded.recipe.evaluate,
        folder=taught.loaded.folder(("evaluate", "tasks")),
        watcher=bench.watcher,
        untrained=bench.model if model is not bench.model else None,
    )


def evaluation_of(cell: Cell) -> Evaluation:
    """A finished cell's evaluation."""
    return read_evaluation(cell.folder / "evaluation.json")


def write_drift(bench: Bench, taught: Taught, trained: Model, cell: Cell) -> None:
    """Read the target's and every domain's questions through both models, each alone, and keep the means."""
    spec = bench.study.spec.reading
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, domain in {"target": taught.target, **taught.domains}.items():
        tokens = spec.target_tokens if name == "target" else spec.query_tokens
        units = tuple(map(without_demonstrations, bench.reading(domain, domain, tokens=tokens).units))
        bench.watcher.stage(f"{name}: what training moved", sum(unit.tokens for unit in units), "tokens")
        moved = bench.profile(units, trained)
        arrays[f"{name}.shift"] = moved.shift / moved.tokens
        arrays[f"{name}.delta"] = moved.delta / moved.tokens
        arrays[f"{name}.raw_shift"] = moved.raw_shift / moved.tokens
        arrays[f"{name}.fired"] = moved.fired
    store(cell.folder / "drift.safetensors", save(arrays))


def read_drift(cell: Cell) -> Mapping[str, Doubles] | None:
    """A cell's mean changes: `NAME.shift`, `.delta`, `.raw_shift`, and `.fired` tokens; None when not there whole."""
    data = unseal(cell.folder / "drift.safetensors")
    try:
        return None if data is None else {name: value.astype(np.float64) for name, value in load(data).items()}
    except SafetensorError:
        return None
