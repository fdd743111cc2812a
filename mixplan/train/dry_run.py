"""Asks, before anything is measured, whether a recipe's job could be trained: what TRL, peft or a tracker refuses."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import math
import netrc
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from mixplan import embedded
from mixplan.child_process import outside_group
from mixplan.errors import RecipeError, TrainError
from mixplan.grading.own_rewards import unfindable_rewards
from mixplan.recipe import LoadedRecipe, SourcesSpec
from mixplan.recipe.base_models import cached
from mixplan.runs import cache_folder, content_hash, file_hash, store, unseal, version_of
from mixplan.train.job import MODEL_KEYS, Job
from mixplan.train.launch import config_file
from mixplan.train.trackers import PACKAGES as TRACKERS
from mixplan.train.trackers import is_installed

VERSION = 2
"""Of what is tried and kept; part of the key."""

SHIPPED = Path(__file__).parent / "dry_runs.json"

TAKEN = b"null"
"""What is kept of a job that the libraries take."""

LIBRARIES = ("trl", "transformers", "peft", "accelerate", "torch", "datasets")
SMALL_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
"""Files of a model without which its trainer cannot be built, and whose content decides what is refused."""

READ_FROM = ("is_local", "local_files_only")
"""What transformers notes in tokenizer_config.json of where a tokenizer was read from, which no library asks for."""

PACKAGES = {"use_liger_kernel": ("liger_kernel", "liger-kernel"), "use_vllm": ("vllm", "'trl[vllm]'")}
"""Settings that need a package which the library asks for only once training starts: its module and what pip calls it.
"""

SECONDS = 300


def problems_of_training(recipes: Sequence[LoadedRecipe], launch: Path | None = None) -> list[list[str]]:
    """What keeps each recipe's job from being trained as it says, one line each; empty where nothing is known to.

    The libraries are asked about all recipes in one process of their own, and their answers are kept, so that a second
    time costs nothing.

    Args:
        recipes: The recipes.
        launch: accelerate's config that the jobs will be started with, or a shipped one's name.

    Raises:
        RunError: there is no such config.
        TrainError: the libraries could not be asked.
    """
    found: list[list[str]] = []
    for loaded in recipes:
        overridden = overridden_precision(loaded, launch)
        known = (missing_packages(loaded), unfindable_rewards(loaded), login_missing(loaded))
        found.append([*([overridden] if overridden else []), *chain(*known)])
    unknown = [place for place, problems in enumerate(found) if not problems]
    for place, text in zip(unknown, refused([recipes[place] for place in unknown]), strict=True):
        if text is not None:
            path = ("train", "lora") if "peft" in text.lower() or "target_modules" in text else ("train", "args")
            where = recipes[place].where(path)
            found[place].append(f"{where}: {'.'.join(path)}: this job cannot be trained: {text}{fitting(text)}")
    return found


def fitting(text: str) -> str:
    """The numbers that fit where TRL refuses a GRPO batch for its size; nothing else is said of other refusals."""
    if "at least 2 generations" in text:
        return " Set `train.args.num_generations` to 2 or more."
    found = re.search(r"generation_batch_size \((\d+)\) must be divisible by num_generations \((\d+)\)", text)
    if found is None:
        return ""
    batch, group = int(found[1]), int(found[2])
    sizes = [str(size) for size in range(2, batch + 1) if batch % size == 0]
    least = math.lcm(batch, group)
    other = f"`train.args.generation_batch_size` to {least}"
    return f" Set `train.args.num_generations` to {' or '.join(sizes)}, or {other}." if sizes else f" Set {other}."


def refuse_untrainable_job(loaded: LoadedRecipe, launch: Path | None = None) -> None:
    """Refuse a job that cannot be trained before anything is measured for it.

    Args: see `problems_of_training`.

    Raises:
        RecipeError: it cannot; the message lists why.
        RunError: there is no such config.
        TrainError: the libraries could not be asked.
    """
    (problems,) = problems_of_training([loaded], launch)
    if problems:
        raise RecipeError("\n".join(problems))


def missing_packages(loaded: LoadedRecipe) -> Iterator[str]:
    """Packages that settings ask for and that are not installed."""
    args = loaded.recipe.train.args
    for key, (module, package) in PACKAGES.items():
        if args.get(key) and importlib.util.find_spec(module) is None:
            yield (
                f"{loaded.where(('train', 'args', key))}: train.args.{key}: the package {module} is not installed. "
                f"Install it with `pip install {package}`, or leave the key out."
            )
    reported = args.get("report_to") or []
    for name in [reported] if isinstance(reported, str) else reported:
        if name in TRACKERS and not is_installed(name):
            yield (
                f"{loaded.where(('train', 'args', 'report_to'))}: train.args.report_to: the package {name} is not "
                f"installed. Install it with `pip install {name}`, or leave {name} out."
            )
    steps, epochs = args.get("max_steps", -1), args.get("num_train_epochs", 3)
    if steps <= 0 and epochs <= 0:
        yield (
            f"{loaded.where(('train', 'args', 'num_train_epochs'))}: train.args.num_train_epochs: {epochs} epochs "
            "train nothing. Give a number above 0, or `max_steps`."
        )


def login_missing(loaded: LoadedRecipe) -> Iterator[str]:
    """Trackers that a job reports to and that nobody is logged in to, where it would wait for a login or stop."""
    reported = loaded.recipe.train.args.get("report_to") or []
    trackers = [reported] if isinstance(reported, str) else list(reported)
    where = loaded.where(("train", "args", "report_to"))
    if "all" in trackers:  # to the trainer, every tracker that is installed
        trackers += [name for name in ("wandb", "comet_ml", "neptune") if importlib.util.find_spec(name)]
    if "wandb" in trackers and not logged_in_to_wandb():
        yield (
            f"{where}: train.args.report_to: nobody is logged in to wandb. Run `wandb login`, set WANDB_API_KEY, or "
            "set WANDB_MODE=offline to keep its files in the run folder."
        )
    if "trackio" in trackers and (space := trackio_space(loaded)) and not logged_in_to_hub():
        yield (
            f"{where}: train.args.report_to: nobody is logged in to the hub, where Trackio's Space {space} is. Run "
            "`hf auth login`, set HF_TOKEN, or leave the Space out to keep the figures on this machine."
        )
    if "comet_ml" in trackers and not (os.environ.get("COMET_API_KEY") or (Path.home() / ".comet.config").is_file()):
        yield f"{where}: train.args.report_to: Comet has no API key. Run `comet login`, or set COMET_API_KEY."
    if "neptune" in trackers and not os.environ.get("NEPTUNE_API_TOKEN"):
        yield f"{where}: train.args.report_to: Neptune has no token. Set NEPTUNE_API_TOKEN."


def trackio_space(loaded: LoadedRecipe) -> str | None:
    """The hub's Space that Trackio reports to; None where it keeps its figures on this machine."""
    space = loaded.recipe.train.args.get("trackio_space_id") or os.environ.get("TRACKIO_SPACE_ID")
    return str(space) if space else None


def logged_in_to_hub() -> bool:
    """Whether a token for the hub is in the environment or was kept by `hf auth login`."""
    from huggingface_hub import get_token  # loads an HTTP client, which few jobs need here

    return bool(get_token())


def logged_in_to_wandb() -> bool:
    """Whether wandb would start without asking: a key, a stored login, or a mode that needs none."""
    if os.environ.get("WANDB_MODE") in ("offline", "disabled", "dryrun") or os.environ.get("WANDB_API_KEY"):
        return True
    if os.environ.get("WANDB_DISABLED", "").lower() in ("true", "1", "yes"):
        return True
    place = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        hosts = netrc.netrc(place).hosts if place.is_file() else {}
    except (netrc.NetrcParseError, OSError):
        return False
    own = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("//")[-1].split("/")[0]
    return own in hosts


def refused(recipes: Sequence[LoadedRecipe]) -> list[str | None]:
    """What the libraries refuse of each recipe's job, in their words; that they take one is kept.

    Raises:
        TrainError: the libraries could not be asked.
    """
    files = [small_files(loaded) for loaded in recipes]
    asked = [question_of(loaded, found) for loaded, found in zip(recipes, files, strict=True)]
    keys = [key_of(question, found) for question, found in zip(asked, files, strict=True)]
    places = [cache_folder() / "rehearsed" / f"{key}.json" for key in keys]
    known = set(shipped_keys())
    missing = [n for n, place in enumerate(places) if keys[n] not in known and unseal(place) != TAKEN]
    found: dict[int, str | None] = {}
    if missing:
        answers = asked_of_libraries([asked[number] for number in missing])
        found = dict(zip(missing, answers, strict=True))
    for number, answer in found.items():
        if answer is None:  # a refusal may end with a package or a login, so it is asked about again
            store(places[number], TAKEN)
    return [found.get(number) for number in range(len(recipes))]


def question_of(loaded: LoadedRecipe, files: Mapping[str, Path]) -> dict[str, object]:
    """What the libraries are asked about a recipe, of whose model these small files are here."""
    return {"job": asdict(job_of(loaded)), "with_model": len(files) > 1}


def key_of(question: Mapping[str, Any], files: Mapping[str, Path]) -> str:
    """Under what the libraries' answer is kept: all that decides it, wherever the embedded model was put."""
    job = question["job"]
    if job["model"]["name"] == str(embedded.converted_folder()):
        job = {**job, "model": {**job["model"], "name": "embedded"}}
    return content_hash(
        VERSION, {**question, "job": job}, {name: small_file_hash(path) for name, path in files.items()},
        {name: version_of(name) for name in LIBRARIES},
        sorted(name for name, (module, _) in PACKAGES.items() if importlib.util.find_spec(module)),
    )  # fmt: skip


def small_file_hash(path: Path) -> str:
    """Hash what a model's small file says: a tokenizer that was saved offline is the one that was saved online."""
    if path.name == "tokenizer_config.json":
        with contextlib.suppress(ValueError, AttributeError):  # what it is instead is hashed as it is
            values = json.loads(path.read_bytes())
            return content_hash({name: value for name, value in values.items() if name not in READ_FROM})
    return file_hash(path)


def shipped_keys() -> list[str]:
    """Keys of shipped recipes' jobs that the libraries were seen to take, in the versions of constraints.txt.

    `bin/dry-runs` asks them and writes the file, so that who begins with a shipped recipe need not wait for that.
    """
    found: list[str] = json.loads(SHIPPED.read_text(encoding="utf-8"))
    return found


def asked_of_libraries(questions: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """Run the rehearsals.

    Args:
        questions: `job` and `with_model` of each.

    Raises:
        TrainError: they ended without an answer.
    """
    variables = {**outside_group(), "HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled", "TOKENIZERS_PARALLELISM": "false"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "mixplan.train.dry_run_process"], input=json.dumps(questions), capture_output=True,
            text=True, env=variables, timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise TrainError(f"TRL's trainer was not built within {SECONDS} s. Try the command again.") from error
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        printed = [line for line in done.stderr.splitlines() if line.strip()]
        raise TrainError(
            f"TRL's config and trainer could not be built (exit code {done.returncode}): "
            f"{printed[-1][:300] if printed else 'nothing was printed'}. Install mixplan's requirements again."
        )
    answers: list[str | None] = json.loads(lines[-1])
    return answers


def job_of(loaded: LoadedRecipe) -> Job:
    """The recipe's job as far as it is known before the plan."""
    recipe = loaded.recipe
    name = recipe.model.name
    if name != "embedded":
        local = loaded.folder(("model", "name")) / Path(name).expanduser()
        name = str(local.resolve()) if local.is_dir() else name
    else:
        name = str(embedded.converted_folder())
    args = {**recipe.train.args, "seed": recipe.training_seed}
    args.pop("push_to_hub", None)  # it makes a repository at once
    return Job(
        model={"name": name, **recipe.model.model_dump(include=MODEL_KEYS)},
        train=recipe.train.model_dump() | {"args": args},
        mixture="mixture",
        planned_rows=planned_rows(loaded),
        hashes={},
    )


def planned_rows(loaded: LoadedRecipe) -> dict[str, int]:
    """Rows of the mixture, as far as the recipe says; empty where only the plan will, and where no job is too short.

    TRL's SFT makes a step of fewer rows than a batch; a new budget need not ask the libraries again.
    """
    if loaded.recipe.train.method == "sft":
        return {}
    rows, target = loaded.recipe.budget.rows, loaded.recipe.mixture.target_rows
    if isinstance(loaded.recipe.target, SourcesSpec):
        asked = [source.rows for source in loaded.recipe.target.sources.values()]
        target = None if None in asked else sum(filter(None, asked))
    if rows is None or rows == "auto" or not isinstance(target, int):
        return {}
    return {"target": target, "domains": rows[-1] if isinstance(rows, list) else rows}


def small_files(loaded: LoadedRecipe) -> dict[str, Path]:
    """Those of a model's small files that are here, by name."""
    place = str(job_of(loaded).model["name"])
    found = {name: cached(place, name, loaded.recipe.model.revision) for name in SMALL_FILES}
    return {name: path for name, path in found.items() if path is not None}


def overridden_precision(loaded: LoadedRecipe, launch: Path | None) -> str | None:
    """Say that an accelerate config computes in another type than the recipe; None where it does not.

    accelerate hands its `mixed_precision` to transformers in the environment, where it wins over `bf16: false`.

    Args:
        loaded: The recipe.
        launch: accelerate's YAML file, or the name of a shipped one.

    Raises:
        RunError: there is no such config.
    """
    if launch is None:
        return None
    config, train_args, dtype = config_file(launch, loaded.path), loaded.recipe.train.args, loaded.recipe.model.dtype
    try:
        values = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return None  # accelerate says so itself
    asked = values.get("mixed_precision") if isinstance(values, dict) else None
    own = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}.get(dtype)
    own = "bf16" if train_args.get("bf16") else "fp16" if train_args.get("fp16") else own
    if asked in (None, "no", False) or own is None or asked == own:
        return None
    return (
        f"{config}: mixed_precision is {asked}, but the recipe trains with {own if own != 'no' else 'float32'}; "
        "accelerate's file would win. Set `mixed_precision: 'no'` there, or `model.dtype` and `train.args` to match."
    )
