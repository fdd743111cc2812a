"""Writes a mixture for NeMo-RL: rendered rows as input and output, and a config over its own SFT defaults."""

from __future__ import annotations

from collections.abc import Iterator

from mixplan.export.handover import MODEL, ROWS, Handover, Written, settled, write_lines, write_yaml
from mixplan.export.rows import Values
from mixplan.export.training import STATED, Training, other_revision, unread_rows, unwritten

CONFIG = "nemo-rl.yaml"

LORA = {"r": "dim", "lora_alpha": "alpha", "lora_dropout": "dropout"}


def write(handover: Handover) -> Written:
    """Write `rows.jsonl` and `nemo-rl.yaml`.

    Without a chat template NeMo-RL writes nothing around a turn, so that the rendered question and answer are read as
    they are.
    """
    training = handover.training
    write_lines(handover.folder / ROWS, lines(handover))
    rows = handover.renderer.rows.total()
    head = (
        "In this folder, with NeMo-RL's repository at $NEMO_RL:",
        f"uv run --project $NEMO_RL python $NEMO_RL/examples/run_sft.py --config {CONFIG}",
        "The defaults are those of examples/configs/sft.yaml; set its path below.",
    )
    # A row as long as the limit is masked out whole, so the limit is one above.
    longest = 1 + (training.max_length or handover.renderer.longest)
    write_yaml(handover.folder / CONFIG, config(training, longest, rows), head)
    command = f"uv run --project $NEMO_RL python $NEMO_RL/examples/run_sft.py --config {CONFIG}"
    return Written(command, (CONFIG, ROWS), tuple(notes(training, rows)))


def lines(handover: Handover) -> Iterator[Values]:
    """The rows, an input without loss and an output with loss."""
    for made in handover.rendered():
        yield {"input": made.question, "output": made.answer, **made.row.provenance}


def config(training: Training, longest: int, rows: int) -> Values:
    """The config.

    Args:
        training: What to train with.
        longest: Tokens at which a row is masked out.
        rows: How many there are.
    """
    values = training.values
    batch, named = training.batch_rows, {"input_key": "input", "output_key": "output"}
    steps, epochs = training.steps_of(rows)
    return {
        "defaults": "${oc.env:NEMO_RL}/examples/configs/sft.yaml",
        "sft": {
            "max_num_epochs": epochs,
            "max_num_steps": steps,
            "val_period": 0,
            "val_at_start": False,
            "seed": training.seed,
        },
        "checkpointing": {"enabled": True, "checkpoint_dir": MODEL, "save_period": steps, "metric_name": None},
        "policy": {
            "model_name": training.model,
            "tokenizer": {"name": training.model, "chat_template": None},
            "train_global_batch_size": batch,
            "train_micro_batch_size": int(values["per_device_train_batch_size"]),
            "max_total_sequence_length": longest,
            "precision": "bfloat16" if training.bf16 else "float16" if training.fp16 else "float32",
            "max_grad_norm": values["max_grad_norm"],
            "dtensor_cfg": {"lora_cfg": lora(training.lora)},
            "optimizer": {
                "name": "torch.optim.AdamW",
                "kwargs": {
                    "lr": values["learning_rate"],
                    "weight_decay": values["weight_decay"],
                    "betas": [values["adam_beta1"], values["adam_beta2"]],
                    "eps": values["adam_epsilon"],
                },
            },
            **scheduler(training, steps),
        },
        "data": {
            "add_bos": False,
            "add_eos": False,
            "shuffle": False,
            "train": {"dataset_name": "ResponseDataset", "data_path": ROWS, **named},
            "validation": None,
        },
        "logger": {"wandb_enabled": False},
    }


def scheduler(training: Training, steps: int) -> Values:
    """The learning rate's schedule in PyTorch's words, where it is one that has a counterpart."""
    kind = str(training.values["lr_scheduler_type"])
    ends = {"linear": ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": steps}),
            "cosine": ("CosineAnnealingLR", {"T_max": steps, "eta_min": 0.0}),
            "constant": ("ConstantLR", {"factor": 1.0, "total_iters": steps})}  # fmt: skip
    if kind not in ends:
        return {}
    name, arguments = ends[kind]
    return {"scheduler": {"name": f"torch.optim.lr_scheduler.{name}", "kwargs": arguments}}


def lora(values: Values | None) -> Values:
    """The adapter in NeMo-RL's words."""
    if values is None:
        return {"enabled": False}
    targets = values["target_modules"]
    every = isinstance(targets, str)
    return settled(
        {
            "enabled": True,
            **{name: values[key] for key, name in LORA.items()},
            "match_all_linear": every,
            "target_modules": [] if every else list(targets),
        }
    )


def notes(training: Training, rows: int) -> Iterator[str]:
    """What NeMo-RL does in another way, and what it has no key for."""
    yield (
        "The tokenizer that NeMo-RL saves writes nothing around turns. Put the untrained model's tokenizer in its "
        "place before the trained model is used."
    )
    yield from unread_rows("NeMo-RL", training, rows)
    yield from unwritten("NeMo-RL", training, STATED)
    yield from other_revision("NeMo-RL", training)
    if not scheduler(training, 1):
        kind = training.values["lr_scheduler_type"]
        yield f"No counterpart is written for the schedule '{kind}'; the rate is constant."
    if any(training.warmup):
        yield "No counterpart is written for the warm-up of the learning rate."
    targets = (training.lora or {}).get("target_modules")
    if isinstance(targets, str) and targets.lower() != "all-linear":
        yield f"NeMo-RL takes no pattern for an adapter's layers: all linear layers are adapted, not '{targets}'."
    for key in sorted(set(training.lora or {}) - {*LORA, "target_modules", "task_type"}):
        yield f"`train.lora.{key}` has no counterpart in NeMo-RL and is not handed over."
