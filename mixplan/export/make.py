"""Hands a planned run over to another trainer: checks that the plan holds, and writes rows, config and record."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mixplan import __version__
from mixplan.errors import RunError
from mixplan.export import axolotl, llama_factory, messages, nemo_rl, open_instruct, swift, trl, verl
from mixplan.export.handover import MODEL, Handover, Written
from mixplan.export.rendered import Renderer
from mixplan.export.rows import Values
from mixplan.export.training import training_of
from mixplan.mixture import Mixture, read_mixture
from mixplan.reading import standalone
from mixplan.recipe import LoadedRecipe, load_recipe
from mixplan.recipe.changed_keys import changed
from mixplan.runs import content_hash, translated, write_json
from mixplan.saved import read_plan
from mixplan.saved.plan import Plan
from mixplan.train.verify import AsPlanned, refuse_other_settings, replan

if TYPE_CHECKING:
    from mixplan.train.job import Job

RECORD = "export.json"

TRAINERS: Mapping[str, Callable[[Handover], Written]] = {
    "trl": trl.write,
    "messages": messages.write,
    "llamafactory": llama_factory.write,
    "ms-swift": swift.write,
    "axolotl": axolotl.write,
    "open-instruct": open_instruct.write,
    "verl": verl.write,
    "nemo-rl": nemo_rl.write,
}
"""What writes each trainer's form, by the name that `--to` takes."""

BY_PARAMETER = ("trl", "messages", "axolotl")
"""What can be handed an adapter on parameters that are not layers of their own, or takes no adapter."""

FOR_GRPO = ("trl",)
"""Trainers that a mixture for GRPO can be handed to."""


@dataclass(frozen=True)
class Exported:
    """What was handed over.

    Attributes:
        to: The trainer.
        folder: Where everything is.
        command: What starts the training there; empty where rows alone were written.
        files: What was written.
        mixture: Hash of the mixture's rows.
        rows: Rows by domain.
        trained_tokens: Tokens with loss, by domain; empty where rows were not rendered.
        notes: What a reader should know before training, in whole sentences.
    """

    to: str
    folder: Path
    command: str
    files: tuple[str, ...]
    mixture: str
    rows: Mapping[str, int]
    trained_tokens: Mapping[str, int]
    notes: tuple[str, ...]


def export_run(run: Path, to: str, out: Path | None = None) -> Exported:
    """Write a run's mixture in a trainer's form.

    Args:
        run: The planned run folder.
        to: One of `TRAINERS`.
        out: Where to; `RUN/export/TRAINER` when None.

    Returns:
        What was written, with what the reader should know.

    Raises:
        RecipeError: the recipe of the run cannot be read.
        RunError: the plan does not hold any more, the trainer has no form for it, or the folder cannot be written.
    """
    if to not in TRAINERS:
        raise RunError(f"--to: found '{to}', expected one of {', '.join(TRAINERS)}.")
    folder = out or run / "export" / to
    plan = read_plan(run)
    loaded = load_recipe(run / "recipe.yaml")
    mixture = checked(run, loaded, plan)
    if mixture.method == "grpo" and to not in FOR_GRPO:
        raise RunError(
            f"{run}: the mixture is for GRPO, which mixplan hands over to {', '.join(FOR_GRPO)} alone. Export to one "
            "of them, or plan with `train.method: sft`."
        )
    if (loaded.recipe.train.lora or {}).get("target_parameters") and to not in BY_PARAMETER:
        raise RunError(
            f"{loaded.where(('train', 'lora', 'target_parameters'))}: train.lora.target_parameters: {to} adapts layers "
            f"alone. Export to {' or '.join(BY_PARAMETER)}, or name layers with `target_modules` and plan again."
        )
    if (near := loaded.recipe.train.replay_kl) is not None and near.weight:
        raise RunError(
            f"{loaded.where(('train', 'replay_kl'))}: train.replay_kl: no other trainer adds the KL from the untrained "
            f"model at some rows alone. Train with `mixplan train {run}`, or plan with `--set train.replay_kl=null`."
        )
    refuse_foreign(folder)
    handover = handed(loaded, mixture, folder, run, model_hash=plan.model.hash)
    written = TRAINERS[to](handover)
    rendered = handover.renderer.rows.total() > 0
    result = Exported(
        to=to,
        folder=folder,
        command=written.command,
        files=written.files,
        mixture=mixture.hash,
        rows=dict(handover.renderer.rows) if rendered else {part.name: part.rows for part in mixture.parts},
        trained_tokens=dict(handover.renderer.trained_tokens),
        notes=(*written.notes, *handover.training.notes, *handover.told()),
    )
    write_json(folder / RECORD, {**asdict(result), "folder": os.fspath(folder), "mixplan": __version__})
    return result


def checked(run: Path, loaded: LoadedRecipe, plan: Plan) -> Mixture:
    """The mixture of a run, held against its plan.

    Raises:
        RunError: the mixture, the recipe, the model's config or its chat template, with which rows are rendered, is not
            the one that was planned.
    """
    planned, again = AsPlanned.of(plan), replan(run, loaded)
    if content_hash(standalone(loaded)) != planned.recipe:
        raise RunError(
            f"{run}: the recipe is not the one that was planned{changed(planned.values, loaded.resolved)}. {again}"
        )
    mixture = read_mixture(run / "mixture")
    if mixture is None:
        raise RunError(f"{run / 'mixture'}: the mixture is missing, or a file in it was changed. {again}")
    if mixture.hash != planned.mixture:
        raise RunError(f"{mixture.folder}: the mixture's rows are not those of {run / 'plan.json'}. {again}")
    refuse_other_settings(run, loaded, planned)
    return mixture


def handed(loaded: LoadedRecipe, mixture: Mixture, folder: Path, run: Path, *, model_hash: str) -> Handover:
    """Put together what a trainer is given; the model's tokenizer is loaded, not the model.

    Raises:
        ModelError: the tokenizer cannot be loaded.
    """
    from mixplan.train.make import make_job  # loads torch, which `--help` does not need
    from mixplan.train.settings import sft_length
    from mixplan.train.tokens import load_tokenizer, model_place

    job = make_job(run, loaded, mixture, model_hash=model_hash, max_steps=None, seed=None)
    limit = sft_length(job) if mixture.method == "sft" else None
    training = training_of(loaded.recipe, model=model_place(job), lora=adapter(job), max_length=limit)
    tokenizer = load_tokenizer(job)
    renderer = Renderer(tokenizer, limit, keeps_end=job.train["args"].get("truncation_mode") == "keep_end")
    return Handover(loaded.recipe, mixture, training, renderer, folder)


def adapter(job: Job) -> Values | None:
    """A job's adapter with the layers that `mixplan train` would change, which trainers choose differently."""
    lora: Values | None = job.train["lora"]
    if lora is None or lora.get("target_modules") or lora.get("target_parameters"):
        return lora
    from mixplan.model.adapted import default_targets
    from mixplan.train.trainable_model import weightless_model

    return {**lora, "target_modules": default_targets(weightless_model(job))}


def refuse_foreign(folder: Path) -> None:
    """Refuse a folder that holds other files than an export's, or a model that was trained from one.

    Raises:
        RunError: it does.
    """
    with translated(folder):
        held = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if MODEL in held:
        raise RunError(
            f"{folder / MODEL}: a model was trained here from what was exported before. Choose another folder with "
            "--out, or move the model away."
        )
    if held and RECORD not in held:
        raise RunError(f"{folder}: holds files that no export wrote, such as {held[0]}. Choose another with --out.")
