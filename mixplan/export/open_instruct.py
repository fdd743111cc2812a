"""Writes a mixture for open-instruct: conversations with tools, the model's tokenizer where needed, and a config."""

from __future__ import annotations

import json
from collections.abc import Iterator

from mixplan.export.handover import MODEL, ROWS, Handover, Written, settled, write_lines, write_yaml
from mixplan.export.rows import Values
from mixplan.export.training import STATED, Training, other_epochs, other_precision, rounded_weights, unwritten

CONFIG = "open-instruct.yaml"
TOKENIZER = "tokenizer"

UNWRITTEN = {"adam_beta1", "adam_beta2", "adam_epsilon"}
"""What of TRL's arguments open-instruct has no key for; its optimiser has PyTorch's defaults, which are TRL's."""


def write(handover: Handover) -> Written:
    """Write `rows.jsonl`, `open-instruct.yaml` and, where the plan read with a template of its own, `tokenizer/`.

    open-instruct renders the whole conversation by the tokenizer's template, as TRL does.
    """
    training = handover.training
    held = handover.holds_template
    if held:
        handover.renderer.tokenizer.save_pretrained(handover.folder / TOKENIZER)
    write_lines(handover.folder / ROWS, lines(handover))
    longest = training.max_length or handover.renderer.longest
    command = f"accelerate launch $OPEN_INSTRUCT/open_instruct/finetune.py {CONFIG}"
    head = ("In this folder, with open-instruct's repository at $OPEN_INSTRUCT:", command)
    values = config(training, longest, TOKENIZER if held else training.model)
    write_yaml(handover.folder / CONFIG, values, head)
    files = (CONFIG, ROWS, *((f"{TOKENIZER}/",) if held else ()))
    return Written(command, files, (*notes(training), *cut_at_the_other_end(handover)))


def lines(handover: Handover) -> Iterator[Values]:
    """The rows as conversations, tools as JSON, so that tables find one type in each column."""
    tools = any(made.row.tools for made in handover.rendered())
    handover.renderer.reset()
    for made in handover.rendered():
        listed = json.dumps(made.row.tools, ensure_ascii=False) if made.row.tools else None
        given = {"tools": listed} if tools else {}
        yield {"messages": made.row.turns, **given, **made.row.provenance}


def config(training: Training, longest: int, tokenizer: str) -> Values:
    """The config.

    Args:
        training: What to train with.
        longest: Where rows are cut, in tokens.
        tokenizer: From where the tokenizer is loaded.
    """
    values, lora = training.values, training.lora
    adapter = {} if lora is None else {
        "use_lora": True, "lora_rank": lora["r"], "lora_alpha": lora["lora_alpha"], "lora_dropout": lora["lora_dropout"]
    }  # fmt: skip
    return settled(
        {
            "model_name_or_path": training.model,
            "model_revision": training.revision,
            "tokenizer_name_or_path": tokenizer,
            "trust_remote_code": training.trust_remote_code or None,
            "dataset_mixer_list": [ROWS, "1.0"],
            "dataset_mixer_list_splits": ["train"],
            "dataset_transform_fn": ["last_turn_tulu_tokenize_and_truncate_v1", "sft_tulu_filter_v1"],
            "dataset_skip_cache": True,
            "max_seq_length": longest,
            "packing": False,
            **adapter,
            "learning_rate": values["learning_rate"],
            "per_device_train_batch_size": int(values["per_device_train_batch_size"]),
            "gradient_accumulation_steps": int(values["gradient_accumulation_steps"]),
            "lr_scheduler_type": str(values["lr_scheduler_type"]),
            "warmup_ratio": training.warmup[1],
            "weight_decay": values["weight_decay"],
            "clip_grad_norm": values["max_grad_norm"],
            "num_train_epochs": max(1, round(training.epochs)),
            "max_train_steps": int(values["max_steps"]) if training.by_steps else None,
            "gradient_checkpointing": bool(values.get("gradient_checkpointing", False)),
            "seed": training.seed,
            "output_dir": MODEL,
            "do_not_randomize_output_dir": True,
            "with_tracking": False,
            "push_to_hub": False,
            "try_launch_beaker_eval_jobs": False,
            "try_auto_save_to_beaker": False,
        }
    )


def cut_at_the_other_end(handover: Handover) -> Iterator[str]:
    """Say that rows which the plan cuts at their start are cut at their end, where their answers stand."""
    if handover.renderer.keeps_end and (cut := handover.renderer.cut.total()):
        yield (
            f"open-instruct cuts {cut} rows at their end and leaves out what is then without an answer, where "
            "`train.args.truncation_mode: keep_end` cuts them at their start. Export to another trainer, or raise "
            "`train.args.max_length` and plan again."
        )


def notes(training: Training) -> Iterator[str]:
    """What open-instruct does in another way, and what it has no key for."""
    yield (
        "open-instruct shuffles: it has no setting to read rows in the order in which they stand. The rows are the "
        "plan's, their order is not."
    )
    yield from other_epochs("open-instruct", training)
    yield from unwritten("open-instruct", training, {*STATED, "gradient_checkpointing"} - UNWRITTEN)
    yield from other_precision("open-instruct", training)
    yield from rounded_weights("open-instruct", training, "")
    if training.warmup[0]:
        yield "open-instruct has no key for `train.args.warmup_steps`. Use `warmup_ratio` in its place."
    known = {"r", "lora_alpha", "lora_dropout", "task_type"}
    if training.lora is not None:
        yield (
            "open-instruct chooses an adapter's layers by itself (the projections of attention and of the feed-forward "
            f"layers), not '{training.lora['target_modules']}'."
        )
        for key in sorted(set(training.lora) - known - {"target_modules"}):
            yield f"`train.lora.{key}` has no counterpart in open-instruct and is not handed over."
