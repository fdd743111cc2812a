"""Reads an axolotl config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mixplan.errors import RecipeError
from mixplan.recipe.foreign.job import (
    DataSet,
    ForeignJob,
    called,
    each_file,
    files_taken,
    name_of,
    take_arguments,
    truth,
)
from mixplan.recipe.foreign.rows import alpaca, first_row, local_file, section_of
from mixplan.recipe.section import Yaml

RENAMED = {
    "micro_batch_size": "per_device_train_batch_size",
    "num_epochs": "num_train_epochs",
    "sequence_len": "max_length",
    "lr_scheduler": "lr_scheduler_type",
    "optimizer": "optim",
}

DEFAULTS = {"sequence_len": 512, "micro_batch_size": 1, "gradient_accumulation_steps": 1, "num_epochs": 1,
            "lr_scheduler": "cosine"}  # fmt: skip
"""Of axolotl, where they differ from TRL's."""

LORA = {
    "lora_r": "r",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "lora_target_modules": "target_modules",
    "lora_modules_to_save": "modules_to_save",
    "peft_use_rslora": "use_rslora",
    "peft_use_dora": "use_dora",
}

ADVICE = {
    "sample_packing": "set `train.args: {packing: true}` where rows may share a sequence",
    "val_set_size": "nothing to do: evaluation rows are held out by the section's `split`",
    "test_datasets": "nothing to do: evaluation rows are held out by the section's `split`",
    "chat_template": "the plan reads by the model's own template; `model.chat_template_kwargs` gives it settings",
    "train_on_inputs": "mixplan trains answers alone",
    "load_in_4bit": "mixplan trains unquantized weights",
    "load_in_8bit": "mixplan trains unquantized weights",
    "bf16": "set `train.args: {bf16: true}`, or leave it to the hardware",
    "flash_attention": "set `train.args: {model_init_kwargs: {attn_implementation: flash_attention_2}}`",
    "dataset_prepared_path": "nothing to do",
    "shuffle_merged_datasets": "nothing to do: a mixture is shuffled once, with the recipe's seed",
    "dataset_exact_deduplication": "nothing to do: duplicates are left out and counted",
}


def take(values: Yaml, folders: list[Path]) -> ForeignJob:
    """Read a config.

    Args:
        values: The config; what is taken is removed.
        folders: What local paths may be relative to.

    Raises:
        RecipeError: it is no job of supervised fine-tuning.
    """
    if values.get("rl"):
        raise RecipeError(f"rl: {values['rl']}: a recipe plans supervised fine-tuning and GRPO. Write it by hand.")
    job = ForeignJob("axolotl", model=values.pop("base_model", None), revision=values.pop("revision_of_model", None))
    job.trust_remote_code = truth(values.pop("trust_remote_code", False))
    for given in [one for entry in values.pop("datasets", None) or [] for one in each_file(entry, folders)]:
        section = data_section(given, folders, job)
        if section is not None:
            job.data.append(DataSet(name_of(called(given), (one.name for one in job.data)), section))
    adapter = values.pop("adapter", None)
    linear = truth(values.pop("lora_target_linear", False))
    taken = {name: values.pop(key) for key, name in LORA.items() if values.get(key) is not None}
    if adapter:
        job.lora = {**taken, **({"target_modules": "all-linear"} if linear else {})}
        if adapter != "lora":
            job.left["adapter"] = f"'{adapter}' is taken over as LoRA on unquantized weights"
    for key in ("bf16", "tf32", "fp16"):
        if values.get(key) == "auto":
            values.pop(key)
    for key, value in DEFAULTS.items():
        values.setdefault(key, value)
    take_arguments(job, values, RENAMED)
    job.leave(values, ADVICE)
    return job


def data_section(given: Yaml, folders: list[Path], job: ForeignJob) -> Yaml | None:
    """One data set's section; None, with what to do, where its type has no counterpart."""
    place, kind = str(given["path"]), given.get("type")
    files = given.get("data_files")
    named = files if isinstance(files, str) else files[0] if files else place
    path = local_file(str(named), folders)
    if path is not None:
        data: Yaml = {"file": str(path)}
    else:
        keys = {"name": "config", "split": "split", "revision": "revision"}
        data = {"hub": place, **{new: given[old] for old, new in keys.items() if given.get(old)}}
    read = read_section(given, kind, path, job)
    if read is None:
        job.left[f"datasets: {place}: type"] = (
            f"'{kind}' has no counterpart that is taken over; write the section by hand, see docs/your-data.md"
        )
        return None
    job.leave_of_entry(f"datasets: {called(given)}", given, READ | dict.fromkeys(files_taken(given, path), ()))
    return {"data": data, **read, "grader": "none"}


READ = {
    **dict.fromkeys(("path", "name", "split", "revision", "type", "ds_type", "field_messages", "field_tools"), ()),
    **dict.fromkeys(("message_property_mappings", "message_field_role", "message_field_content", "roles"), ()),
    "roles_to_train": ("assistant", "gpt", ["assistant"], ["gpt"], ["assistant", "gpt"], ["gpt", "assistant"]),
    "train_on_eos": ("turn",),
    "chat_template": ("tokenizer_default",),
    "field_system": ("system",),
}
"""Keys of a data set's entry that are taken over; of some, those values alone that say what a recipe does anyway."""


def read_section(given: Mapping[str, Any], kind: Any, path: Path | None, job: ForeignJob) -> Yaml | None:
    """How rows of a type are read; None where there is no counterpart."""
    if isinstance(kind, Mapping):
        fields = {name: kind.get(f"field_{name}") for name in ("instruction", "input", "output", "system")}
        asked, answered = fields["instruction"] or "instruction", fields["output"] or "output"
        return alpaca(asked, fields["input"], answered, joint="\n\n", system=fields["system"])
    text = str(kind or "")
    if text.startswith(("chat_template", "sharegpt")):
        return chat_section(given, sharegpt=text.startswith("sharegpt"))
    if text.startswith("alpaca"):
        job.left[f"datasets: {given['path']}: type"] = (
            "axolotl writes 'Below is an instruction' and headings around alpaca rows; the recipe's rows are chats"
        )
        row = first_row(path) if path is not None else None
        return alpaca("instruction", "input" if row is None or "input" in row else None, "output", joint="\n\n")
    if path is not None and not text and (row := first_row(path)) is not None:
        return section_of(row)
    return None


def chat_section(given: Mapping[str, Any], *, sharegpt: bool) -> Yaml:
    """How conversations are read, all answers trained, as axolotl trains them."""
    mapped = given.get("message_property_mappings") or {}
    role = mapped.get("role") or given.get("message_field_role")
    content = mapped.get("content") or given.get("message_field_content")
    columns = {
        "messages": given.get("field_messages") or ("conversations" if sharegpt else "messages"),
        **({"role": role} if role and role not in ("role", "from") else {}),
        **({"content": content} if content and content not in ("content", "value") else {}),
        **({"tools": given["field_tools"]} if given.get("field_tools") else {}),
    }
    roles = dict(role_names(given.get("roles") or {}))
    return {"format": "messages", "columns": columns, "turns": "all", **({"roles": roles} if roles else {})}


def role_names(roles: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Role names of the data with what they mean, those left out that are known without being named."""
    for meant, names in roles.items():
        for name in names if isinstance(names, list) else [names]:
            if name not in ("human", "user", "gpt", "assistant", "system", "tool", "model"):
                yield str(name), str(meant)
