"""Writes a mixture for TRL's own command line: the data set as it stands, and a config that reads it once in order."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

from mixplan.chat.template import ChatTemplate
from mixplan.export.handover import Handover, Written
from mixplan.export.training import PACKED
from mixplan.mixture.trl_config import TEMPLATE, WITHOUT_GPU, trl_job, within_window
from mixplan.recipe import TrainSpec
from mixplan.runs import translated, write_atomic

FOLDER = "mixture"


def write(handover: Handover) -> Written:
    """Write `mixture/` and `sft.yaml` or `grpo.yaml`."""
    recipe, training, to = handover.recipe, handover.training, handover.folder
    method = recipe.train.method
    args: Mapping[str, Any] = {
        **{key: value for key, value in recipe.train.args.items() if key not in PACKED},
        "num_train_epochs": training.epochs,
        "shuffle_dataset": False,
        **({"train_sampling_strategy": "sequential"} if method == "sft" else {}),
    }
    job = trl_job(
        within_window(TrainSpec(**{**recipe.train.model_dump(), "args": dict(args)}), training.max_length),
        model=recipe.model,
        model_path=training.model,
        seed=training.seed,
        folder_name=FOLDER,
        template=template_of(handover),
    )
    with translated(to / FOLDER):
        shutil.rmtree(to / FOLDER, ignore_errors=True)
        shutil.copytree(handover.mixture.folder, to / FOLDER)
        for name in ("mixture.json", f"{method}.yaml"):
            (to / FOLDER / name).unlink(missing_ok=True)
    text = job.text.replace(f"--config {FOLDER}/{job.name}", f"--config {job.name}").replace("In the run", "In this")
    write_atomic(to / job.name, text.encode())
    flags = f" {WITHOUT_GPU}" if training.cpu else ""
    for _ in handover.rendered() if method == "sft" else ():
        pass
    return Written(f"trl {method} --config {job.name}{flags}", (job.name, f"{FOLDER}/"), job.warnings)


def template_of(handover: Handover) -> ChatTemplate | None:
    """The chat template that TRL must be told of: for SFT the file in the mixture, where there is one."""
    source, name = handover.mixture.folder / TEMPLATE, handover.recipe.model.name
    if handover.recipe.train.method == "sft":
        return ChatTemplate(source.read_text(encoding="utf-8"), {}, name) if source.is_file() else None
    from mixplan.model import special_tokens, template_source  # loads torch, which `--help` does not need

    tokenizer = handover.renderer.tokenizer
    return ChatTemplate(template_source(tokenizer), special_tokens(tokenizer), name)
