"""Writes a mixture for ms-swift: rendered rows as chats, a template that writes nothing around them, and a config."""

from __future__ import annotations

from collections.abc import Iterator

from mixplan.export.handover import MODEL, ROWS, Handover, Written, settled, write_lines, write_yaml
from mixplan.export.rows import Values
from mixplan.export.training import Training
from mixplan.runs import write_atomic

CONFIG = "swift.yaml"
PLUGIN = "plain_template.py"
TEMPLATE = "mixplan_plain"

PLACES = (
    *("{{SYSTEM}}", "{{QUERY}}", "{{ROUND0}}", "{{ROUND1}}"),
    *("<image>", "<video>", "<audio>", "<bbox>", "<ref-object>", "<cot-process>", "<start-image>", "<end-image>"),
)
"""What ms-swift takes in a turn for a place of its own."""

PLUGIN_TEXT = f'''\
"""A template of ms-swift's that writes nothing around a question and its answer: both are rendered already."""

from swift.template import TemplateMeta, register_template

register_template(
    TemplateMeta({TEMPLATE!r}, prefix=[], prompt=["{{{{QUERY}}}}"], chat_sep=None, suffix=[], auto_add_bos=False)
)
'''

LORA = {
    "r": "lora_rank",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "modules_to_save": "modules_to_save",
    "use_rslora": "use_rslora",
    "use_dora": "use_dora",
    "bias": "lora_bias",
}


def write(handover: Handover) -> Written:
    """Write `rows.jsonl`, `plain_template.py` and `swift.yaml`."""
    notes = tuple(lora_notes(handover.training.lora))
    write_lines(handover.folder / ROWS, lines(handover))
    write_atomic(handover.folder / PLUGIN, PLUGIN_TEXT.encode())
    longest = handover.training.max_length or handover.renderer.longest
    write_yaml(handover.folder / CONFIG, config(handover.training, longest), (f"In this folder: swift sft {CONFIG}",))
    return Written(f"swift sft {CONFIG}", (CONFIG, PLUGIN, ROWS), notes)


def lines(handover: Handover) -> Iterator[Values]:
    """The rows, a chat of two turns each."""
    for made in handover.rendered():
        handover.refuse_places(made, PLACES, "ms-swift")
        turns = [{"role": "user", "content": made.question}, {"role": "assistant", "content": made.answer}]
        yield {"messages": turns, **{name: made.row.provenance[name] for name in ("domain", "row_id", "repeat")}}


def config(training: Training, longest: int) -> Values:
    """The training config.

    Args:
        training: What to train with.
        longest: Tokens of the longest row.
    """
    return settled(
        {
            "model": training.model,
            "model_revision": training.revision,
            "use_hf": True,
            "template": TEMPLATE,
            "external_plugins": [PLUGIN],
            "dataset": [ROWS],
            "split_dataset_ratio": 0,
            "dataset_shuffle": False,
            "train_dataloader_shuffle": False,
            "strict": True,
            "max_length": longest,
            "truncation_strategy": "right",
            "packing": False,
            "loss_scale": "default",
            **lora(training.lora),
            "torch_dtype": "float32" if training.lora is None or not training.bf16 else "bfloat16",
            "bf16": training.bf16,
            "fp16": training.fp16,
            "use_cpu": training.cpu or None,
            "output_dir": MODEL,
            "add_version": False,
            "num_train_epochs": training.epochs,
            "seed": training.seed,
            **training.values,
            "report_to": training.values.get("report_to", "none"),
        }
    )


def lora(values: Values | None) -> Values:
    """The adapter in ms-swift's words."""
    if values is None:
        return {"tuner_type": "full"}
    targets = values["target_modules"]
    pattern = isinstance(targets, str) and targets.lower() != "all-linear"
    named = targets if isinstance(targets, list) else [targets]
    return {
        "tuner_type": "lora",
        **{name: values[key] for key, name in LORA.items() if key in values},
        **({"target_regex": targets} if pattern else {"target_modules": named}),
    }


def lora_notes(values: Values | None) -> Iterator[str]:
    """What of the adapter ms-swift has no key for."""
    for key in sorted(set(values or {}) - {*LORA, "target_modules", "task_type"}):
        yield f"`train.lora.{key}` has no counterpart in ms-swift and is not handed over."
