"""Writes a mixture for axolotl: rows as segments of text with and without loss, and a training config."""

from __future__ import annotations

from collections.abc import Iterator

from mixplan.export.handover import MODEL, ROWS, Handover, Written, settled, write_lines, write_yaml
from mixplan.export.rows import Values
from mixplan.export.training import Training, rounded_weights
from mixplan.runs import file_hash

CONFIG = "axolotl.yaml"

SAME = (
    *("learning_rate", "gradient_accumulation_steps", "weight_decay", "max_grad_norm", "max_steps"),
    *("adam_beta1", "adam_beta2", "adam_epsilon", "gradient_checkpointing", "logging_steps", "save_steps"),
    *("save_total_limit", "deepspeed", "neftune_noise_alpha"),
)
"""Keys that axolotl calls as transformers does."""

OTHERWISE = {
    "per_device_train_batch_size": "micro_batch_size",
    "lr_scheduler_type": "lr_scheduler",
    "lr_scheduler_kwargs": "lr_scheduler_kwargs",
    "optim": "optimizer",
    "save_strategy": "save_strategy",
}

LORA = {
    "r": "lora_r",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "modules_to_save": "lora_modules_to_save",
    "use_rslora": "peft_use_rslora",
    "use_dora": "peft_use_dora",
    "layers_to_transform": "peft_layers_to_transform",
    "target_parameters": "lora_target_parameters",
}


def write(handover: Handover) -> Written:
    """Write `rows.jsonl` and `axolotl.yaml`."""
    training = handover.training
    write_lines(handover.folder / ROWS, lines(handover))
    longest = training.max_length or handover.renderer.longest
    # axolotl keeps prepared rows under the file's name and the config, not under what the file holds.
    prepared = f"prepared-{file_hash(handover.folder / ROWS)[:12]}"
    values = {**config(training, longest), "dataset_prepared_path": prepared}
    write_yaml(handover.folder / CONFIG, values, (f"In this folder: axolotl train {CONFIG}",))
    return Written(f"axolotl train {CONFIG}", (CONFIG, ROWS), tuple(notes(training)))


def lines(handover: Handover) -> Iterator[Values]:
    """The rows, each in two segments: its question without loss, its answer with loss."""
    for made in handover.rendered():
        segments = [{"label": False, "text": made.question}, {"label": True, "text": made.answer}]
        yield {"segments": segments, **made.row.provenance}


def config(training: Training, longest: int) -> Values:
    """The training config.

    Args:
        training: What to train with.
        longest: Tokens of the longest row.
    """
    values, (steps, ratio) = training.values, training.warmup
    return settled(
        {
            "base_model": training.model,
            "revision_of_model": training.revision,
            "trust_remote_code": training.trust_remote_code or None,
            "datasets": [{"path": ROWS, "ds_type": "json", "type": "input_output"}],
            "shuffle_merged_datasets": False,
            "curriculum_sampling": True,
            "val_set_size": 0,
            "sequence_len": longest,
            "excess_length_strategy": "raise",
            "sample_packing": False,
            "pad_to_sequence_len": False,
            "train_on_inputs": False,
            **lora(training.lora),
            "output_dir": MODEL,
            "num_epochs": training.epochs,
            "seed": training.seed,
            "bf16": training.bf16,
            "fp16": training.fp16 or None,
            **{key: values.get(key) for key in SAME},
            **{name: values.get(key) for key, name in OTHERWISE.items()},
            **({"warmup_ratio": ratio} if ratio else {"warmup_steps": steps}),
            "optimizer": values.get("optim", "adamw_torch_fused"),
        }
    )


def lora(values: Values | None) -> Values:
    """The adapter in axolotl's words."""
    if values is None:
        return {}
    targets = values.get("target_modules")
    every = isinstance(targets, str) and targets.lower() == "all-linear"
    return {
        "adapter": "lora",
        **{name: values[key] for key, name in LORA.items() if key in values},
        **({"lora_target_linear": True} if every else {"lora_target_modules": targets}),
    }


def notes(training: Training) -> Iterator[str]:
    """What axolotl has no key for, and what it does in another way."""
    yield from rounded_weights("axolotl", training, " and `bf16: false` in its config, which computes in float32 too")
    for key in sorted(set(training.lora or {}) - {*LORA, "target_modules", "task_type"}):
        yield f"`train.lora.{key}` has no counterpart that is written for axolotl and is not handed over."
    unsaid = sorted(set(training.values) - {*SAME, *OTHERWISE, "report_to", "warmup_steps", "warmup_ratio"})
    if unsaid:
        listed = ", ".join(f"`train.args.{key}`" for key in unsaid)
        yield f"No counterpart is written for axolotl of {listed}."
