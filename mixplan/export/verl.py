"""Writes a mixture for verl: rendered rows as Parquet, and the command with its settings."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from mixplan.export.handover import MODEL, Handover, Written
from mixplan.export.rows import BATCH_ROWS, Values
from mixplan.export.training import STATED, Training, other_precision, other_revision, unread_rows, unwritten
from mixplan.runs import translated, write_atomic

ROWS = "rows.parquet"
SCRIPT = "verl.sh"
PLAIN = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
"""A chat template that writes nothing around turns."""

PLAIN_WORD = re.compile(r"[A-Za-z/.][\w./-]*")
"""What needs no quotes on Hydra's command line."""

TURNS = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
SCHEMA = pa.schema([("messages", TURNS), ("domain", pa.string()), ("row_id", pa.string()), ("repeat", pa.int32())])


def write(handover: Handover) -> Written:
    """Write `rows.parquet` and `verl.sh`.

    verl renders each turn by itself and trains every answer of a conversation, so rows are handed over as one rendered
    question and its answer, with a template that writes nothing around them.
    """
    training = handover.training
    path = handover.folder / ROWS
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{ROWS}.partial")
        with pq.ParquetWriter(partial, SCHEMA, compression="zstd") as writer:
            rows = lines(handover)
            while batch := [dict(row) for row in itertools.islice(rows, BATCH_ROWS)]:
                writer.write_table(pa.Table.from_pylist(batch, schema=SCHEMA))
        partial.replace(path)
    count = handover.renderer.rows.total()
    longest = training.max_length or handover.renderer.longest
    text = script(settings(training, longest, count, mismatch=handover.renderer.inexact.total() > 0))
    write_atomic(handover.folder / SCRIPT, text.encode())
    return Written(f"bash {SCRIPT}", (SCRIPT, ROWS), tuple(notes(training, count)))


def lines(handover: Handover) -> Iterator[Values]:
    """The rows, a chat of two turns each."""
    for made in handover.rendered():
        turns = [{"role": "user", "content": made.question}, {"role": "assistant", "content": made.answer}]
        yield {"messages": turns, **{name: made.row.provenance[name] for name in ("domain", "row_id", "repeat")}}


def script(values: Values) -> str:
    """The command, a setting a line."""
    words = " \\\n  ".join(shlex.quote(f"{key}={hydra(value)}") for key, value in values.items())
    head = "#!/usr/bin/env bash\n# In this folder: bash verl.sh\n"
    return f"{head}torchrun --standalone --nproc_per_node=1 -m verl.trainer.sft_trainer \\\n  {words}\n"


def hydra(value: object) -> str:
    """A value as Hydra's command line reads it."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(hydra(item) for item in value)}]"
    if isinstance(value, int | float):
        return str(value)
    if PLAIN_WORD.fullmatch(str(value)):
        return str(value)
    escaped = str(value).replace("'", "\\'")
    return f"'{escaped}'"


def settings(training: Training, longest: int, rows: int, *, mismatch: bool) -> Values:
    """The settings, by verl's keys.

    Args:
        training: What to train with.
        longest: Tokens of the longest row.
        rows: How many there are.
        mismatch: Whether some rows have other tokens where the answer begins.
    """
    values, lora = training.values, training.lora
    constant = str(values["lr_scheduler_type"]) in ("constant", "constant_with_warmup")
    steps, epochs = training.steps_of(rows)
    return {
        "data.train_files": ROWS,
        "data.train_batch_size": training.batch_rows,
        "data.micro_batch_size_per_gpu": int(values["per_device_train_batch_size"]),
        "data.max_token_len_per_gpu": longest * int(values["per_device_train_batch_size"]),
        "data.max_length": longest,
        "data.truncation": "error",
        "data.ignore_input_ids_mismatch": mismatch,
        "model.path": training.model,
        "model.trust_remote_code": training.trust_remote_code,
        "model.custom_chat_template": PLAIN,
        **({} if lora is None else adapter(lora)),
        "optim.lr": values["learning_rate"],
        "optim.weight_decay": values["weight_decay"],
        "optim.betas": [values["adam_beta1"], values["adam_beta2"]],
        "optim.clip_grad": values["max_grad_norm"],
        "optim.lr_warmup_steps": training.warmup[0] or -1,
        "optim.lr_warmup_steps_ratio": training.warmup[1],
        "optim.lr_scheduler_type": "constant" if constant else "cosine",
        "trainer.total_epochs": epochs,
        "trainer.total_training_steps": steps,
        "trainer.seed": training.seed,
        "trainer.logger": ["console"],
        "trainer.default_local_dir": MODEL,
        "checkpoint.save_contents": ["model", "hf_model"],
    }


def adapter(lora: Values) -> Values:
    """The adapter in verl's words."""
    targets = lora["target_modules"]
    return {"model.lora_rank": lora["r"], "model.lora_alpha": lora["lora_alpha"], "model.target_modules": targets}


def notes(training: Training, rows: int) -> Iterator[str]:
    """What verl does in another way, and what it has no key for."""
    yield (
        "verl shuffles: its SFT trainer has no setting to read rows in the order in which they stand. The rows are the "
        "plan's, their order is not."
    )
    yield (
        "The tokenizer that verl saves writes nothing around turns. Put the untrained model's tokenizer in its place "
        "before the trained model is used."
    )
    yield from unread_rows("verl", training, rows)
    yield from unwritten("verl", training, {*STATED} - {"adam_epsilon"})
    yield from other_precision("verl", training)
    yield from other_revision("verl", training)
    if str(training.values["lr_scheduler_type"]) not in ("constant", "constant_with_warmup", "cosine"):
        yield (
            f"verl has no schedule '{training.values['lr_scheduler_type']}' of the learning rate: it falls as a cosine "
            "does."
        )
    for key in sorted(set(training.lora or {}) - {"r", "lora_alpha", "target_modules", "task_type"}):
        if (training.lora or {})[key]:
            yield f"`train.lora.{key}` has no counterpart in verl and is not handed over."
