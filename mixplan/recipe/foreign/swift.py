"""Reads a config, or a command line, of ms-swift's `swift sft`."""

from __future__ import annotations

import re
from pathlib import Path

from mixplan.recipe.foreign.job import DataSet, ForeignJob, name_of, take_arguments, truth
from mixplan.recipe.foreign.rows import first_row, local_file, section_of
from mixplan.recipe.foreign.trl import UNKNOWN
from mixplan.recipe.section import Yaml

LORA = {"lora_rank": "r", "lora_alpha": "lora_alpha", "lora_dropout": "lora_dropout", "use_rslora": "use_rslora",
        "use_dora": "use_dora", "modules_to_save": "modules_to_save", "target_modules": "target_modules",
        "target_regex": "target_modules", "lora_bias": "bias"}  # fmt: skip

DEFAULTS = {"r": 8, "lora_alpha": 32, "lora_dropout": 0.05, "target_modules": "all-linear"}
"""Of ms-swift, which differ from peft's."""

ARGUMENTS = {"per_device_train_batch_size": 1, "weight_decay": 0.1, "adam_beta2": 0.95, "lr_scheduler_type": "cosine"}
"""Of ms-swift, which differ from TRL's; its learning rate is 1e-4 for adapters and 1e-5 for all weights."""

ADVICE = {
    "template": "the plan reads by the model's own chat template; ms-swift's of that name may write other text",
    "system": "put the system turn into the rows, or set `columns: {system: ...}`",
    "split_dataset_ratio": "nothing to do: evaluation rows are held out by the section's `split`",
    "val_dataset": "nothing to do: evaluation rows are held out by the section's `split`",
    "loss_scale": "`turns: last` trains the last answer, `turns: all` each",
    "truncation_strategy": "TRL cuts rows at `train.args.max_length`; the plan says how many",
    "quant_bits": "mixplan trains unquantized weights",
    "torch_dtype": "set `train.args: {bf16: true}`, or leave it to the hardware",
    "attn_impl": "set `train.args: {model_init_kwargs: {attn_implementation: ...}}`",
    "interleave_prob": "give each source of the target its `rows`",
    "model_type": "nothing to do",
    "use_hf": "nothing to do: models and data sets come from the Hugging Face hub",
    "dataset_shuffle": "nothing to do: a mixture is shuffled once, with the recipe's seed",
    "train_dataloader_shuffle": "nothing to do: a mixture is shuffled once, with the recipe's seed",
    "dataset_num_proc": "nothing to do",
}


def take(values: Yaml, folders: list[Path]) -> ForeignJob:
    """Read a config.

    Args:
        values: The config; what is taken is removed.
        folders: What local paths may be relative to.
    """
    job = ForeignJob("ms-swift", model=values.pop("model", None), revision=values.pop("model_revision", None))
    values.pop("trust_remote_code", None)  # ms-swift runs such code unless told otherwise; a recipe must ask for it
    every = not str(values.get("loss_scale", "default")).startswith("last_round")
    places = values.pop("dataset", None) or []
    elsewhere = not truth(values.get("use_hf", False))
    for place in [places] if isinstance(places, str) else places:
        job.data.append(data_set(str(place), folders, job, every=every, elsewhere=elsewhere))
    kind = str(values.pop("tuner_type", values.pop("train_type", "lora")))
    taken = {name: values.pop(key) for key, name in LORA.items() if values.get(key) is not None}
    if kind != "full":
        targets = taken.get("target_modules")
        if isinstance(targets, list) and len(targets) == 1 and targets[0] == "all-linear":
            taken["target_modules"] = targets[0]
        job.lora = DEFAULTS | taken
        if kind != "lora":
            job.left["tuner_type"] = f"'{kind}' is taken over as LoRA"
    values.setdefault("learning_rate", 1e-5 if job.lora is None else 1e-4)
    for key, value in ARGUMENTS.items():
        values.setdefault(key, value)
    if values.get("gradient_accumulation_steps") is None:
        # As many as make a batch of 16 rows.
        values["gradient_accumulation_steps"] = max(1, 16 // int(values["per_device_train_batch_size"]))
    packing = truth(values.pop("packing", False))
    take_arguments(job, values, {})
    if packing:
        job.args["packing"] = True
    job.leave(values, ADVICE)
    return job


def data_set(place: str, folders: list[Path], job: ForeignJob, *, every: bool, elsewhere: bool) -> DataSet:
    """One data set from `path:subset#count`; `elsewhere` says that names are those of ModelScope's hub."""
    found = re.fullmatch(r"(?:(?:HF|MS)::)?(?P<path>.+?)(?::(?P<subset>[\w/.-]+))?(?:#(?P<count>\d+))?", place)
    where, subset, count = (found["path"], found["subset"], found["count"]) if found else (place, None, None)
    path = local_file(where, folders)
    data: Yaml = {"file": str(path)} if path else {"hub": where, **({"config": subset} if subset else {})}
    row = first_row(path) if path else None
    read = section_of(row) if row is not None else None
    if read is None:
        hub = "it is read from ModelScope: name its copy on the Hugging Face hub; " if elsewhere and not path else ""
        job.left[f"dataset: {where}"] = hub + UNKNOWN
        read = {"format": "messages", "columns": {"messages": "messages"}}
    turns = {"turns": "all"} if every and read["format"] == "messages" else {}
    rows = {"rows": int(count)} if count else {}
    section = {"data": data, **read, **turns, "grader": "none", **rows}
    return DataSet(name_of(where, (one.name for one in job.data)), section)
