"""Writes a mixture for LLaMA-Factory: rendered rows, dataset_info.json and a training config."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mixplan.export.handover import MODEL, ROWS, Handover, Written, settled, write_lines, write_yaml
from mixplan.export.rows import Values
from mixplan.export.training import Training
from mixplan.runs import write_json

CONFIG = "llamafactory.yaml"

PLACES = ("{{idx}}",)
"""What LLaMA-Factory's formatter takes in a question for a place of its own and writes a number in."""

LORA = {
    "r": "lora_rank",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "use_rslora": "use_rslora",
    "use_dora": "use_dora",
}


def write(handover: Handover) -> Written:
    """Write `rows.jsonl`, `dataset_info.json` and `llamafactory.yaml`.

    Rows are text: the template `empty` writes nothing around a question and its answer, where LLaMA-Factory's named
    templates differ from the models' own in system turns, reasoning and tools, and leave out rows whose turns do not
    alternate.
    """
    notes = list(lora_notes(handover.training.lora))
    write_lines(handover.folder / ROWS, lines(handover))
    columns = {"prompt": "question", "response": "answer"}
    info = {"mixture": {"file_name": ROWS, "formatting": "alpaca", "columns": columns}}
    write_json(handover.folder / "dataset_info.json", info)
    longest = handover.training.max_length or handover.renderer.longest
    head = (
        "In this folder: llamafactory-cli train llamafactory.yaml",
        *(() if handover.training.cpu else ("On a machine without a GPU add use_cpu=true bf16=false.",)),
    )
    write_yaml(handover.folder / CONFIG, config(handover.training, longest), head)
    return Written(f"llamafactory-cli train {CONFIG}", (CONFIG, "dataset_info.json", ROWS), tuple(notes))


def lines(handover: Handover) -> Iterator[Values]:
    """The rows, a question and an answer each."""
    for made in handover.rendered():
        handover.refuse_places(made, PLACES, "LLaMA-Factory")
        yield {"question": made.question, "answer": made.answer, **made.row.provenance}


def config(training: Training, longest: int) -> Values:
    """The training config.

    Args:
        training: What to train with.
        longest: Tokens of the longest row.
    """
    return settled(
        {
            "model_name_or_path": training.model,
            "model_revision": training.revision,
            "trust_remote_code": training.trust_remote_code or None,
            "stage": "sft",
            "do_train": True,
            **lora(training.lora),
            "dataset_dir": ".",
            "dataset": "mixture",
            "template": "empty",
            "cutoff_len": longest,
            "packing": False,
            "disable_shuffling": True,
            "overwrite_cache": True,
            "output_dir": MODEL,
            "num_train_epochs": training.epochs,
            "seed": training.seed,
            "bf16": training.bf16,
            "fp16": training.fp16,
            "use_cpu": training.cpu or None,
            **training.values,
            "gradient_checkpointing": None,
            "disable_gradient_checkpointing": training.values.get("gradient_checkpointing") is False or None,
            "report_to": training.values.get("report_to", "none"),
        }
    )


def lora(values: Values | None) -> Values:
    """The adapter in LLaMA-Factory's words."""
    if values is None:
        return {"finetuning_type": "full"}
    targets = values["target_modules"]
    every = isinstance(targets, str) and targets.lower() == "all-linear"
    named = "all" if every else targets if isinstance(targets, str) else ",".join(targets)
    saved = values.get("modules_to_save")
    return {
        "finetuning_type": "lora",
        **{name: values[key] for key, name in LORA.items() if key in values},
        "lora_target": named,
        "additional_target": ",".join(saved) if saved else None,
    }


def lora_notes(values: Values | None) -> Iterator[str]:
    """What of the adapter LLaMA-Factory has no key for."""
    known = {*LORA, "target_modules", "modules_to_save", "task_type"}
    targets = (values or {}).get("target_modules")
    if isinstance(targets, str) and re.search(r"\W", targets) and targets.lower() != "all-linear":
        yield (
            f"`train.lora.target_modules: {targets}` is a pattern, which LLaMA-Factory does not take: it looks for a "
            "layer of that name. Write the names of layers into `lora_target`."
        )
    for key in sorted(set(values or {}) - known):
        yield f"`train.lora.{key}` has no counterpart in LLaMA-Factory and is not handed over."
