"""Writes the recipe's `train` section as the YAML that TRL's own command line trains from, without loading TRL."""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mixplan.chat.template import PLAIN, ChatTemplate
from mixplan.chat.template_settings import holds_more
from mixplan.errors import RunError
from mixplan.recipe import ModelSpec, TrainSpec
from mixplan.recipe.arguments import parsed

SFT_CONFIG = ("trl", "trainer/sft_config.py", "SFTConfig")
LORA_CONFIG = ("peft", "tuners/lora/config.py", "LoraConfig")

LORA_IN_TRL = {
    "r": "lora_r",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "target_modules": "lora_target_modules",
    "target_parameters": "lora_target_parameters",
    "modules_to_save": "lora_modules_to_save",
    "task_type": "lora_task_type",
    "use_rslora": "use_rslora",
    "use_dora": "use_dora",
}
"""peft's names in the words of TRL's command line, which knows these alone."""

ALWAYS_STATED = ("r", "lora_alpha", "lora_dropout")
"""TRL's command line has other defaults for these than peft, so they are written even when the recipe is silent."""

TEMPLATE = "chat_template.jinja"
"""The file of a chat template that TRL must be given."""

REWARDS = "mixplan.train.rewards"
"""The module in which TRL's command line finds the recipe's rewards by their names."""

BEHIND_REASONING = "_behind_reasoning"
"""How the name of a reward ends there where prompts open the model's reasoning."""

WITHOUT_TEMPLATE = (
    "TRL's command line takes no chat template for GRPO, so with grpo.yaml alone prompts are written by the model's "
    "own one, today's date in it; `mixplan train` writes them as they were read."
)

WITHOUT_REPLAY_KL = (
    "TRL's command line has no KL from the untrained model at some rows alone, so with sft.yaml alone "
    "`train.replay_kl` is left out; `mixplan train` trains with it."
)

WITHOUT_GPU = "--use_cpu --bf16 false"
"""What TRL's command line must be told where there is no GPU: by its defaults it computes in bfloat16 on one."""


SFT_LENGTH = 1024
"""TRL's own max_length."""


@dataclass(frozen=True)
class Job:
    """One TRL job, checked.

    Attributes:
        method: `sft` or `grpo`.
        name: `sft.yaml` or `grpo.yaml`.
        text: The YAML.
        max_length_tokens: Where TRL's SFT cuts a row; None when it does not.
        warnings: What the YAML cannot say.
        settings: What rows give the model's chat template, in a column that TRL's SFT reads.
        template: The chat template that must stand beside the YAML; None where the model's own does.
        keeps_end: Whether SFT cuts a row at its start, so that its answer is what stays.
    """

    method: str
    name: str
    text: str
    max_length_tokens: int | None
    warnings: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    template: str | None = None
    keeps_end: bool = False


def within_window(train: TrainSpec, window: int | None) -> TrainSpec:
    """An SFT job whose rows are cut at the model's window, as `mixplan train` cuts them where the recipe says nothing.

    Args:
        train: The recipe's section.
        window: The model's, in tokens; None where it is not known or no shorter than where TRL cuts rows.
    """
    if train.method != "sft" or "max_length" in train.args or window is None or window >= SFT_LENGTH:
        return train
    return train.model_copy(update={"args": {**train.args, "max_length": window}})


def trl_job(
    train: TrainSpec,
    *,
    model: ModelSpec,
    model_path: str,
    seed: int,
    folder_name: str,
    template: ChatTemplate | None = None,
) -> Job:
    """Write the job as TRL's command line reads it, started in the run folder.

    Args:
        train: The recipe's section.
        model: The recipe's model.
        model_path: Hub id or folder that TRL can load; for the embedded model, its folder.
        seed: The recipe's seed.
        folder_name: The mixture's folder, relative to the run folder.
        template: The model's chat template as it is held; None when it is not known.
    """
    settings, sft = dict(model.chat_template_kwargs), train.method == "sft"
    beside = template is not None and (template.source == PLAIN or holds_more(template.source, settings))
    values: dict[str, object] = {"model_name_or_path": model_path}
    if model.revision is not None:
        values["model_revision"] = model.revision
    if model.trust_remote_code:
        values["trust_remote_code"] = True
    values["dataset_name"] = f"./{folder_name}"
    if sft:
        path = {"chat_template_path": f"{folder_name}/{TEMPLATE}"} if beside else {}
        values |= {"completion_only_loss": True, **path}
    else:
        values |= {**reward_values(train, template), **({"chat_template_kwargs": settings} if settings else {})}
    values |= {"output_dir": "model", "seed": seed, **precision(model), **train.args, **lora_values(train.lora)}
    unsaid = sorted(set(train.lora or {}) - set(LORA_IN_TRL))
    warnings = tuple(
        f"`train.lora.{key}` has no counterpart in TRL's command line, so {train.method}.yaml leaves it out."
        for key in unsaid
    )
    if beside and not sft:
        warnings += (WITHOUT_TEMPLATE,)
    if train.replay_kl is not None and train.replay_kl.weight:
        warnings += (WITHOUT_REPLAY_KL,)
    warnings += () if sft else tuple(unsaid_rewards(train))
    head = [
        f"In the run folder: trl {train.method} --config {folder_name}/{train.method}.yaml",
        f"On a machine without a GPU add {WITHOUT_GPU}.",
        *warnings,
    ]
    text = "".join(f"# {line}\n" for line in head) + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    length = None
    if sft:
        length = train.args["max_length"] if "max_length" in train.args else default_of(SFT_CONFIG, "max_length")
    file = template.source if template is not None and beside and sft else None
    end = train.args.get("truncation_mode") == "keep_end"
    return Job(train.method, f"{train.method}.yaml", text, length, warnings, settings if sft else {}, file, end)


def precision(model: ModelSpec) -> dict[str, object]:
    """What TRL is told of the type to compute in, where the recipe names another than the bfloat16 of its default.

    A recipe for a CPU leaves it to the flags that a CPU needs in any case.
    """
    if model.device == "cpu" or model.dtype not in ("float32", "float16"):
        return {}
    return {"bf16": False, **({"fp16": True} if model.dtype == "float16" else {})}


def reward_values(train: TrainSpec, template: ChatTemplate | None) -> dict[str, object]:
    """The recipe's rewards with their factors, in TRL's words.

    Args:
        train: The recipe's section.
        template: The model's chat template, whose prompts may open the reasoning; None when it is not known.
    """
    end = BEHIND_REASONING if template is not None and template.opened_reasoning else ""
    names = [name.replace(":", ".") if ":" in name else f"{REWARDS}.{name}{end}" for name in train.rewards]
    factors = list(train.rewards.values())
    return {"reward_funcs": names, **({} if factors == [1.0] else {"reward_weights": factors})}


def unsaid_rewards(train: TrainSpec) -> Iterator[str]:
    """What of the recipe's rewards TRL's command line cannot be told, in whole sentences."""
    usual = TrainSpec()
    if "format" in train.rewards and train.answer_format != usual.answer_format:
        yield (
            "TRL's command line gives a reward no settings, so with grpo.yaml alone `format` finds "
            f"{usual.answer_format!r}, not `train.answer_format`; `mixplan train` finds that."
        )
    if train.grader_seconds != usual.grader_seconds and any(":" not in name for name in train.rewards):
        yield (
            "TRL's command line gives a reward no settings, so with grpo.yaml alone one that takes more than "
            f"{usual.grader_seconds:g} s counts as 0, not after `train.grader_seconds`; `mixplan train` keeps to that."
        )


def lora_values(lora: Mapping[str, Any] | None) -> dict[str, object]:
    """Peft's keys in TRL's words, with peft's own defaults where TRL's differ."""
    if lora is None:
        return {}
    stated = {key: default_of(LORA_CONFIG, key) for key in ALWAYS_STATED} | dict(lora)
    values = {LORA_IN_TRL[key]: value for key, value in stated.items() if key in LORA_IN_TRL}
    if isinstance(modules := values.get("lora_target_modules"), list) and len(modules) == 1:
        # TRL makes a text, which peft reads as a pattern over whole paths, of a list of one; a name twice stays a list.
        values["lora_target_modules"] = modules * 2
    for key in ("lora_target_modules", "lora_target_parameters", "lora_modules_to_save"):
        if isinstance(values.get(key), str):
            values[key] = [values[key]]
    return {"use_peft": True, **values}


@functools.cache
def default_of(place: tuple[str, str, str], field: str) -> Any:
    """A field's default, read from its class's source file: importing the class would load torch.

    Args:
        place: Package, file in it, and class.
        field: A field of that class, whose default is a plain value.

    Raises:
        RunError: the package is not installed, or another version of it has no such default.
    """
    package, file, name = place
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise RunError(f"the Python package '{package}' is not installed. Install it with `pip install {package}`.")
    source = Path(found.submodule_search_locations[0]) / file
    tree = parsed(source) if source.is_file() else ast.Module([], [])
    bodies = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    for node in (node for body in bodies for node in body if isinstance(node, ast.AnnAssign)):
        if isinstance(node.target, ast.Name) and node.target.id == field and isinstance(node.value, ast.Call):
            for keyword in node.value.keywords:
                if keyword.arg == "default":
                    return ast.literal_eval(keyword.value)
    raise RunError(
        f"the installed {package} has no default for {name}.{field} where it is expected ({file}). "
        "Install the versions that mixplan names in pyproject.toml."
    )
