"""Reads a config, or a command line, of TRL's SFT script."""

from __future__ import annotations

from pathlib import Path

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
from mixplan.recipe.foreign.rows import first_row, local_file, section_of
from mixplan.recipe.section import Yaml

LORA = {"lora_r": "r", "lora_alpha": "lora_alpha", "lora_dropout": "lora_dropout", "use_rslora": "use_rslora",
        "lora_target_modules": "target_modules", "lora_modules_to_save": "modules_to_save", "use_dora": "use_dora",
        "lora_task_type": None, "lora_target_parameters": "target_parameters"}  # fmt: skip

DEFAULTS = {"r": 16, "lora_alpha": 32, "lora_dropout": 0.05}
"""Of TRL's command line, which differ from peft's."""

OURS = ("completion_only_loss", "chat_template_path", "dataset_text_field", "assistant_only_loss", "eval_strategy",
        "eval_steps", "load_best_model_at_end", "metric_for_best_model")  # fmt: skip

ADVICE = {
    "completion_only_loss": "nothing to do: loss falls on answers alone",
    "assistant_only_loss": "`turns: all` trains each answer of a conversation",
    "chat_template_path": "the plan reads by the model's own template; put the file into the model's folder",
    "load_in_4bit": "mixplan trains unquantized weights",
    "load_in_8bit": "mixplan trains unquantized weights",
    "dtype": "set `train.args: {model_init_kwargs: {dtype: ...}}`",
    "torch_dtype": "set `train.args: {model_init_kwargs: {dtype: ...}}`",
    "attn_implementation": "set `train.args: {model_init_kwargs: {attn_implementation: ...}}`",
    "dataset_test_split": "nothing to do: evaluation rows are held out by the section's `split`",
    "eval_strategy": "nothing to do: every domain is measured before and after",
    "dataset_text_field": "mixplan trains answers; write the section by hand where rows are plain text",
}

UNKNOWN = (
    "its columns are not known here; the section takes a chat in `messages`. Change `format` and `columns` where it is "
    "none, see docs/your-data.md"
)


def take(values: Yaml, folders: list[Path]) -> ForeignJob:
    """Read a config.

    Args:
        values: The config; what is taken is removed.
        folders: What local paths may be relative to.
    """
    job = ForeignJob("TRL", model=values.pop("model_name_or_path", None), revision=values.pop("model_revision", None))
    job.trust_remote_code = truth(values.pop("trust_remote_code", False))
    every = truth(values.pop("assistant_only_loss", False))
    listed = values.pop("datasets", None)
    if not listed and values.get("dataset_name"):
        listed = [{"path": values.pop("dataset_name"), "name": values.pop("dataset_config", None)}]
        listed[0]["split"] = values.pop("dataset_train_split", None)
    fractions = sum(float(one.get("fraction") or 0) for one in listed or [])
    for given in [one for entry in listed or [] for one in each_file(entry, folders)]:
        section = data_section(given, folders, job, every=every)
        if given.get("fraction"):
            job.left[f"datasets: {given['path']}: fraction"] = (
                f"give the source its number of `rows`; its share is {float(given['fraction']) / fractions:.0%}"
            )
        job.data.append(DataSet(name_of(called(given), (one.name for one in job.data)), section))
    taken = {name: values.pop(key) for key, name in LORA.items() if key in values and name}
    if truth(values.pop("use_peft", False)):
        targets = taken.get("target_modules")
        if isinstance(targets, list) and len(set(targets)) == 1:
            # TRL takes a list of one for a text, which peft reads as a pattern.
            taken["target_modules"] = targets[0]
        job.lora = DEFAULTS | taken
    kept = {key: values.pop(key) for key in OURS if key in values}
    take_arguments(job, values, {})
    job.leave({**values, **kept}, ADVICE)
    return job


def data_section(given: Yaml, folders: list[Path], job: ForeignJob, *, every: bool) -> Yaml:
    """One data set's section, by the columns of its first row where it is here."""
    place = str(given["path"])
    files = given.get("data_files")
    named = files if isinstance(files, str) else files[0] if isinstance(files, list) and files else place
    path = local_file(str(named), folders)
    keys = {"name": "config", "split": "split"}
    data: Yaml = {"hub": place, **{new: given[old] for old, new in keys.items() if given.get(old)}}
    if path is not None:
        data = {"file": str(path)}
    row = first_row(path) if path is not None else None
    read = section_of(row) if row is not None else None
    if read is None:
        job.left[f"datasets: {place}"] = UNKNOWN
        read = {"format": "messages", "columns": {"messages": "messages"}}
    known = dict.fromkeys(("path", "name", "split", "fraction", *files_taken(given, path)), ())
    job.leave_of_entry(f"datasets: {called(given)}", given, known)
    turns = {"turns": "all"} if every and read["format"] == "messages" else {}
    return {"data": data, **read, **turns, "grader": "none"}
