"""Hashes a recipe and its opened domains, to decide whether scores can be reused, without loading a model."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mixplan import embedded
from mixplan.chat.named_templates import further_files
from mixplan.domains import Domain
from mixplan.errors import DriftError, ModelError, RunError
from mixplan.grading.versions import grading_state
from mixplan.mixture.grpo_loss import LossWeights, loss_weights
from mixplan.mixture.unread_rows import number, sources_of
from mixplan.recipe import LoadedRecipe
from mixplan.recipe.model_folder import absent_model
from mixplan.recipe.paths import local_path
from mixplan.recipe.section import Yaml
from mixplan.runs import content_hash, file_hash, version_of

LIBRARIES = (
    "cvxpy", "datasets", "numpy", "peft", "reasoning-gym", "sae-lens", "scipy", "tokenizers", "torch", "transformers",
    "trl",
)  # fmt: skip
"""Packages whose version stands in the plan."""

READING_LIBRARIES = ("torch", "transformers", "sae-lens", "tokenizers", "numpy")
"""Packages whose version can change a feature's value."""

VERSION = 7
"""Of what scores hold; part of their key."""


def library_versions() -> dict[str, str]:
    """Versions of the libraries a plan depends on, by package name."""
    return {name: version_of(name) for name in LIBRARIES}


def data_hash(target: Domain, domains: Mapping[str, Domain]) -> str:
    """Hash over the rows of the target and of every domain, and the part each is in."""
    return content_hash(target.fingerprint, {name: domain.fingerprint for name, domain in domains.items()})


def standalone(loaded: LoadedRecipe) -> Yaml:
    """The recipe's values with local paths made absolute: the same from the recipe's file and from the run's copy."""
    resolved: Yaml = json.loads(json.dumps(loaded.resolved))
    absolute(resolved, (), loaded)
    return resolved


def absolute(section: Yaml, path: tuple[str, ...], loaded: LoadedRecipe) -> None:
    """Make local paths absolute, in place: of data, model, SAE, checkpoint, tasks and earlier runs."""
    for key, value in section.items():
        here = (*path, key)
        if isinstance(value, dict):
            absolute(value, here, loaded)
        elif here == ("forecast", "runs") and value is not None:
            section[key] = [str((loaded.folder(here) / local_path(run)).absolute()) for run in value]
        elif isinstance(value, str):
            local = loaded.folder(here) / local_path(value)
            is_data = key == "file" and "generator" in section and section.get("package") is None
            is_model = here in (("model", "name"), ("model", "sae", "path"), ("drift", "checkpoint")) and local.is_dir()
            is_task = path == ("evaluate", "tasks") and local.is_file()
            if is_data or is_model or is_task:
                section[key] = str(local.resolve())


def scores_key(
    loaded: LoadedRecipe, target: Domain, domains: Mapping[str, Domain], look: Sequence[object] | None = None
) -> str:
    """Everything scores depend on, as one hash: what the budget, allocation and mixture sections say does not count.

    Args:
        loaded: The recipe.
        target: The opened target.
        domains: The opened domains.
        look: Up to which looks they are read, and by which rule; None where budgets of query tokens are given.

    Raises:
        DriftError: `drift.checkpoint` holds no trained model.
    """
    recipe = standalone(loaded)
    sections = {name: recipe[name] for name in ("model", "drift", "sts", "seed")}
    versions = library_versions()
    return content_hash(
        VERSION,
        sections,
        model_files(loaded),
        sae_files(loaded),
        target.fingerprint,
        {name: domain.fingerprint for name, domain in domains.items()},
        {name: versions[name] for name in READING_LIBRARIES},
        *drift_inputs(loaded, target),
        # What a chat template leaves out of what is trained is warned of with the scores.
        *([] if loaded.recipe.train.method == "sft" else [["method", loaded.recipe.train.method]]),
        *([] if look is None else [["look", *look]]),
    )


def drift_inputs(loaded: LoadedRecipe, target: Domain) -> list[Any]:
    """What drift depends on beside worked examples: how answers are rewarded, the step, or the checkpoint's files.

    Raises:
        DriftError: `drift.checkpoint` holds no trained model, the job's learning rate is not known, or its loss weighs
            answers in a way of its own.
    """
    recipe = loaded.recipe
    if recipe.drift.from_ in ("rollouts", "reward_step"):
        train = recipe.train
        graders = [part.grader for part in target.sources] or [target.grader]
        state = grading_state(graders, train.rewards)
        stepped = recipe.drift.from_ == "reward_step"
        step = [train.lora, learning_rate(loaded), version_of("peft")] if stepped else []
        if stepped and (weights := loss_weights(loaded.resolved["train"])) != LossWeights():
            step.append(asdict(weights))
        return [train.rewards, train.answer_format, train.grader_seconds, graders, state, *step]
    if recipe.drift.from_ == "checkpoint":
        return [folder_state(checkpoint_folder(loaded))]
    return []


def learning_rate(loaded: LoadedRecipe) -> float:
    """The job's learning rate, TRL's default where the recipe gives none.

    Raises:
        DriftError: the installed TRL has no such default, or it is no number above 0.
    """
    train = loaded.resolved["train"]
    try:
        rate = number(train["args"], "learning_rate", sources_of(train))
    except (RunError, ValueError, TypeError):  # a value that TRL refuses later
        rate = 0.0
    if not 0 < rate < math.inf:
        raise DriftError(
            "drift.from: reward_step takes a step of the job's learning rate, which is not a number above 0. Set "
            "`train.args.learning_rate`, such as 1.0e-5."
        )
    return rate


def checkpoint_folder(loaded: LoadedRecipe) -> Path:
    """The folder of `drift.checkpoint`.

    Raises:
        DriftError: it is not there, or holds no trained model.
    """
    path = ("drift", "checkpoint")
    folder = loaded.folder(path) / local_path(loaded.recipe.drift.checkpoint or "")
    if not any((folder / name).is_file() for name in ("adapter_config.json", "config.json")):
        found = "holds no trained model" if folder.is_dir() else "is not there"
        raise DriftError(
            f"{loaded.where(path)}: drift.checkpoint: the folder {folder} {found}; expected adapter_config.json or "
            "config.json with safetensors weights. Name the `model` folder of a run that `mixplan train` finished."
        )
    return folder


def model_files(loaded: LoadedRecipe) -> Any:
    """What tells one state of the model's files from another, without reading the tensors.

    Raises:
        ModelError: the model's folder is not there, or not whole.
    """
    spec = loaded.recipe.model
    if (problem := absent_model(spec.name, loaded.folder(("model", "name")))) is not None:
        raise ModelError(f"{loaded.where(('model', 'name'))}: model.name: {problem}")
    if spec.name == "embedded":
        return embedded.GGUF_SHA256
    folder = loaded.folder(("model", "name")) / local_path(spec.name)
    return folder_state(folder) if folder.is_dir() else hub_commit(spec.name, "config.json", spec.revision)


def model_folder(loaded: LoadedRecipe) -> Path | None:
    """The folder of the model's files, None for a hub model that is not in the local cache."""
    spec = loaded.recipe.model
    if spec.name == "embedded":
        return embedded.converted_folder()
    local = loaded.folder(("model", "name")) / local_path(spec.name)
    if local.is_dir():
        return local
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(spec.name, "config.json", revision=spec.revision)
    return Path(found).parent if isinstance(found, str) else None


def sae_files(loaded: LoadedRecipe) -> Any:
    """The same of the SAE's files."""
    spec = loaded.recipe.model.sae_spec
    if spec is None:
        return None
    if spec.embedded:
        return folder_state(embedded.sae_folder())
    if spec.path is not None:
        return folder_state(loaded.folder(("model", "sae", "path")) / local_path(spec.path))
    return [spec.release, spec.repo, spec.id, hub_main(spec.repo) if spec.repo else None]


def folder_state(folder: Path) -> Any:
    """Name, size and times of change of each weight file, and the content of each small one.

    Weights of one architecture have one size, and an archive gives what it holds one time of content: so the time of
    the last change of any kind counts too.
    """
    if not folder.is_dir():
        return None
    files = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".safetensors", ".jinja", ".model"))
    states = ((path, path.stat()) for path in (*files, *further_files(folder)))
    return [
        [
            path.relative_to(folder).as_posix(),
            file_hash(path) if state.st_size < 1 << 24 else [state.st_size, state.st_mtime_ns, state.st_ctime_ns],
        ]
        for path, state in states
    ]


def hub_main(repo: str) -> str | None:
    """The commit that the local cache holds of a hub repository's main branch, or None when it is not there yet."""
    from huggingface_hub import constants

    reference = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}" / "refs" / "main"
    return reference.read_text(encoding="utf-8").strip() if reference.is_file() else None


def hub_commit(repo: str, name: str, revision: str | None) -> str | None:
    """The commit of a hub repository in the local cache, or None when it is not there yet."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, name, revision=revision)
    return Path(found).parent.name if isinstance(found, str) else None
