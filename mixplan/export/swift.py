"""Writes a mixture for ms-swift: rendered rows as chats, a template that writes nothing around them, and a config."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mixplan.export.handover import MODEL, ROWS, Handover, Written, settled, write_lines, write_yaml
from mixplan.export.rows import Values
from mixplan.export.training import Training
from mixplan.recipe.base_models import read_json
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

MODEL_TYPES = {
    *("llama", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "mistral", "mixtral", "gemma", "gemma2", "gemma3_text"),
    *("phi3", "glm4", "olmoe", "gpt_oss", "ernie4_5", "internlm2", "internlm3"),
}
"""Types of models that ms-swift 4.6 calls as transformers does."""

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
    training = handover.training
    kind = read_json(training.model, "config.json").get("model_type") if Path(training.model).is_dir() else None
    named = {"model_type": kind} if kind in MODEL_TYPES else {}
    notes = [*lora_notes(training.lora)]
    if kind is not None and not named:
        notes.append(
            f"ms-swift cannot tell the type of a model in a folder from its name; this one is {kind} in transformers. "
            f"Should it ask, add its own name for that to {CONFIG}: `model_type: ...`."
        )
    write_lines(handover.folder / ROWS, lines(handover))
    write_atomic(handover.folder / PLUGIN, PLUGIN_TEXT.encode())
    values = {**config(training, training.max_length or handover.renderer.longest), **named}
    write_yaml(handover.folder / CONFIG, values, (f"In this folder: swift sft {CONFIG}",))
    return Written(f"swift sft {CONFIG}", (CONFIG, PLUGIN, ROWS), tuple(notes))


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
