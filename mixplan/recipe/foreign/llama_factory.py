"""Reads a LLaMA-Factory training config with its dataset_info.json."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mixplan.errors import RecipeError
from mixplan.recipe.foreign.job import DataSet, ForeignJob, name_of, take_arguments, truth
from mixplan.recipe.foreign.rows import alpaca, first_row, local_file
from mixplan.recipe.section import Yaml

INFO = "dataset_info.json"
RENAMED = {"cutoff_len": "max_length"}
DEFAULTS = {"cutoff_len": 2048, "learning_rate": 5e-5}
"""Of LLaMA-Factory, where they differ from TRL's."""

LORA = {"lora_rank": "r", "lora_alpha": "lora_alpha", "lora_dropout": "lora_dropout", "use_rslora": "use_rslora",
        "use_dora": "use_dora"}  # fmt: skip

ADVICE = {
    "template": "the plan reads by the model's own chat template; LLaMA-Factory's of that name may write other text",
    "quantization_bit": "mixplan trains unquantized weights",
    "neat_packing": "set `train.args: {packing: true}` where rows may share a sequence",
    "val_size": "nothing to do: evaluation rows are held out by the section's `split`",
    "eval_dataset": "nothing to do: evaluation rows are held out by the section's `split`",
    "mix_strategy": "give each source of the target its `rows`",
    "interleave_probs": "give each source of the target its `rows`",
    "flash_attn": "set `train.args: {model_init_kwargs: {attn_implementation: flash_attention_2}}`",
    "train_on_prompt": "mixplan trains answers alone",
    "enable_thinking": "set `model.chat_template_kwargs: {enable_thinking: ...}` where the template reads it",
    "adapter_name_or_path": "merge the adapter into the model first",
    "disable_shuffling": "nothing to do: a mixture is shuffled once, with the recipe's seed",
    "preprocessing_num_workers": "nothing to do",
    "overwrite_cache": "nothing to do",
    "plot_loss": "nothing to do: the report shows the curve",
}


def take(values: Yaml, folders: list[Path], info: Path | None) -> ForeignJob:
    """Read a config.

    Args:
        values: The config; what is taken is removed.
        folders: What local paths may be relative to.
        info: Its dataset_info.json, where it was named.

    Raises:
        RecipeError: it is no job of supervised fine-tuning, or its data sets are not described.
    """
    stage = values.pop("stage", "sft")
    if stage != "sft":
        raise RecipeError(f"stage: {stage}: a recipe plans supervised fine-tuning and GRPO. Write it by hand.")
    job = ForeignJob("LLaMA-Factory", model=values.pop("model_name_or_path", None))
    job.revision = values.pop("model_revision", None)
    job.trust_remote_code = truth(values.pop("trust_remote_code", False))
    place = str(values.pop("dataset_dir", "data"))
    names = values.pop("dataset", None) or []
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else names
    most, every = values.pop("max_samples", None), not truth(values.pop("mask_history", False))
    if most:
        job.left["max_samples"] = "taken over as `data.limit`, a seeded sample where LLaMA-Factory takes the first rows"
    if names:
        described, where = described_in(info or local_file(f"{place}/{INFO}", folders), place)
        missing = [name for name in names if name not in described]
        if missing:
            raise RecipeError(f"{where}: describes no '{missing[0]}', which the config trains on. Add it there.")
        take_data(job, {name: described[name] for name in names}, where.parent, most, every=every)
    kind = values.pop("finetuning_type", "lora")
    if kind != "full":
        job.lora = adapter(values)
        if kind != "lora":
            job.left["finetuning_type"] = f"'{kind}' is taken over as LoRA"
    for key, value in DEFAULTS.items():
        values.setdefault(key, value)
    take_arguments(job, values, RENAMED)
    job.leave(values, ADVICE)
    return job


def take_info(info: Path) -> ForeignJob:
    """Read a dataset_info.json alone: its data sets, without a model.

    Raises:
        RecipeError: it cannot be read.
    """
    job = ForeignJob("LLaMA-Factory")
    described, _ = described_in(info, str(info.parent))
    take_data(job, described, info.parent, None, every=True)
    return job


def described_in(info: Path | None, place: str) -> tuple[Mapping[str, Any], Path]:
    """The data sets that a dataset_info.json describes, and its file.

    Raises:
        RecipeError: it is not there, or is no JSON.
    """
    if info is None:
        raise RecipeError(f"dataset_dir: {place}: there is no {INFO}. Name it too: --from-config {place}/{INFO}.")
    try:
        return json.loads(info.read_text(encoding="utf-8")), info
    except (OSError, ValueError) as error:
        raise RecipeError(f"{info}: cannot be read as JSON: {error}.") from error


def take_data(job: ForeignJob, described: Mapping[str, Any], folder: Path, most: Any, *, every: bool) -> None:
    """Take data sets over.

    Args:
        job: Filled.
        described: Their entries, by name.
        folder: What file names are relative to.
        most: At most so many rows of each.
        every: Whether each answer of a conversation is trained.
    """
    for name, entry in described.items():
        data = source_of(entry, folder)
        if data is None or entry.get("ranking"):
            why = "pairs of a better and a worse answer" if entry.get("ranking") else "a loading script"
            job.left[f"dataset: {name}"] = f"{why}: write the section by hand, see docs/your-data.md"
            continue
        if entry.get("formatting") == "openai":
            job.left[f"dataset: {name}: formatting"] = (
                "LLaMA-Factory 0.9.5 adds 'detailed thinking off' to system turns of this form; the recipe's rows are "
                "read as they stand"
            )
        job.leave_of_entry(f"dataset: {name}", entry, READ)
        if (entry.get("columns") or {}).get("history"):
            job.left[f"dataset: {name}: columns.history"] = "rows are read without it; make conversations of them"
        path = Path(data["file"]) if "file" in data else None
        section = {"data": {**data, **({"limit": most} if most else {})}, **read_section(entry, path, every=every)}
        rows = {"rows": entry["num_samples"]} if entry.get("num_samples") else {}
        job.data.append(DataSet(name_of(name, (one.name for one in job.data)), {**section, "grader": "none", **rows}))


READ: dict[str, tuple[object, ...]] = dict.fromkeys(
    ("hf_hub_url", "file_name", "formatting", "ranking", "subset", "split", "num_samples", "columns", "tags"), ()
)
"""Keys of an entry that are taken over or told by themselves."""


def source_of(entry: Mapping[str, Any], folder: Path) -> Yaml | None:
    """Where rows come from; None for a script."""
    if "hf_hub_url" in entry:
        keys = {"subset": "config", "split": "split"}
        return {"hub": entry["hf_hub_url"], **{new: entry[old] for old, new in keys.items() if entry.get(old)}}
    return {"file": str(folder / entry["file_name"])} if "file_name" in entry else None


def read_section(entry: Mapping[str, Any], path: Path | None, *, every: bool) -> Yaml:
    """How rows are read."""
    columns, tags = entry.get("columns") or {}, entry.get("tags") or {}
    if entry.get("formatting", "alpaca") == "alpaca":
        asked, response = columns.get("prompt") or "instruction", columns.get("response") or "output"
        query = columns.get("query") if columns else "input"
        row = first_row(path) if path is not None and path.exists() else None
        query = None if row is not None and query not in row else query
        return alpaca(asked, query, response, joint="\n", system=columns.get("system"))
    named = {
        "messages": columns.get("messages") or "conversations",
        **({"role": tags["role_tag"]} if tags.get("role_tag", "from") not in ("from", "role") else {}),
        **({"content": tags["content_tag"]} if tags.get("content_tag", "value") not in ("value", "content") else {}),
        **({"tools": columns["tools"]} if columns.get("tools") else {}),
        **({"system": columns["system"]} if columns.get("system") else {}),
    }
    roles = dict(role_names(tags))
    turns = {"turns": "all"} if every else {}
    return {"format": "messages", "columns": named, **turns, **({"roles": roles} if roles else {})}


USUAL = {"human", "user", "gpt", "assistant", "system", "observation", "function_call", "tool"}


def role_names(tags: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Role names of the data with what they mean, but for those that are known without being named."""
    for tag, role in (("user_tag", "user"), ("assistant_tag", "assistant"), ("system_tag", "system"),
                      ("observation_tag", "tool")):  # fmt: skip
        if tags.get(tag) and tags[tag] not in USUAL:
            yield str(tags[tag]), role


def adapter(values: Yaml) -> Yaml:
    """The adapter, with LLaMA-Factory's own defaults."""
    rank = int(values.get("lora_rank", 8))
    taken = {name: values.pop(key) for key, name in LORA.items() if values.get(key) is not None}
    targets = str(values.pop("lora_target", "all"))
    saved = values.pop("additional_target", None)
    return {
        "r": rank,
        "lora_alpha": 2 * rank,
        **taken,
        "target_modules": "all-linear" if targets == "all" else [one.strip() for one in targets.split(",")],
        **({"modules_to_save": [one.strip() for one in str(saved).split(",")]} if saved else {}),
    }
