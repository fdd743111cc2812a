"""Writes a Slurm batch script or a SkyPilot task that trains a planned run, from templates in configs/cluster."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from mixplan.errors import RunError
from mixplan.recipe import LoadedRecipe
from mixplan.recipe.configs import CHECKOUT, SHIPPED, config_folders
from mixplan.recipe.paths import local_path
from mixplan.runs import translated, write_atomic
from mixplan.train.launch import Launch, config_file, refuse_several, shipped_for
from mixplan.train.make import prepare
from mixplan.train.verify import AsPlanned

TEMPLATES = {"slurm": "slurm.sh", "skypilot": "skypilot.yaml"}
GPUS_A_NODE = 8
"""Processes on a node when the person does not say, as on the machines the large recipes are for."""


def emit(
    kind: Literal["slurm", "skypilot"],
    run: Path,
    loaded: LoadedRecipe,
    planned: AsPlanned,
    *,
    launch: Launch,
    nodes: int = 1,
) -> Path:
    """Write a cluster's job file and all that it needs into the run folder.

    Args:
        kind: For which cluster.
        run: The planned run folder.
        loaded: The recipe.
        planned: What the plan was made from.
        launch: accelerate's config (`multi-gpu`, or `cpu` by the recipe's device, when None) and processes a node.
        nodes: How many machines.

    Returns:
        The job file: training/slurm.sh or training/skypilot.yaml.

    Raises:
        RecipeError: several processes would train what one alone can.
        RunError: the plan no longer holds, or the model lies on this machine alone.
    """
    prepare(run, loaded, planned)
    on_gpu = loaded.recipe.model.device != "cpu"
    processes = launch.processes or (GPUS_A_NODE if on_gpu else 1)
    refuse_several(loaded.recipe.train, processes * nodes)
    config = config_file(launch.config or shipped_for(processes if on_gpu else 0, processes * nodes), loaded.path)
    if kind == "skypilot":
        refuse_local_model(loaded)
        refuse_without_source()
    with translated(run):
        write_atomic(run / "training" / "launch.yaml", config.read_bytes())
    # Folders are quoted as one word for a shell; SkyPilot reads YAML, where a name with quotes in it stays as it is.
    quoted = shlex.quote if kind == "slurm" else str
    values = {
        "NAME": plain_name(loaded.path.stem if loaded.path.stem != "recipe" else run.name),
        "NODES": str(nodes),
        "PROCESSES": str(processes),
        "GPU_LINE": gpu_line(processes if on_gpu else 0),
        "ACCELERATORS": f"H100:{processes}" if on_gpu else "{}",
        "RUN": quoted(str(run.resolve())),
        "FOLDER": quoted(str(Path.cwd())),
        "PYTHON": quoted(sys.executable),
        "SOURCE": quoted(str(SHIPPED)),
        "EXTRA": shlex.join(launch.extra),
    }
    path = run / "training" / TEMPLATES[kind]
    write_atomic(path, filled(TEMPLATES[kind], values, loaded.path).encode())
    return path


def filled(name: str, values: Mapping[str, str], recipe: Path) -> str:
    """A template's text with values in their places, a user's own template beside the recipe first.

    Args:
        name: Its file's.
        values: By what stands between two @.
        recipe: The recipe's or study's file.

    Raises:
        RunError: there is none.
    """
    places = [folder / "cluster" / name for folder in config_folders(recipe)]
    for path in places:
        if path.is_file():
            return re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], path.read_text(encoding="utf-8"))
    raise RunError(f"--emit: there is no template {places[0]}. Copy it there from mixplan's repository.")


def plain_name(text: str) -> str:
    """A job's name in letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", text)


def gpu_line(gpus: int) -> str:
    """Slurm's line that asks for GPUs on a node."""
    return f"#SBATCH --gpus-per-node={gpus}" if gpus else "# No GPUs are asked for."


def refuse_without_source() -> None:
    """Refuse to send mixplan to rented machines from where only its installed package is.

    Raises:
        RunError: this mixplan runs outside its repository.
    """
    if not CHECKOUT:
        raise RunError(
            "--emit skypilot: rented machines install mixplan from its repository, and this one runs from an installed "
            "package. Run the same command with bin/mixplan of a clone of the repository."
        )


def refuse_local_model(loaded: LoadedRecipe) -> None:
    """Refuse a model that only this machine has.

    Raises:
        RunError: the recipe's model is a folder.
    """
    name = loaded.recipe.model.name
    if name != "embedded" and (loaded.folder(("model", "name")) / local_path(name)).is_dir():
        raise RunError(
            f"{loaded.where(('model', 'name'))}: model.name is the folder '{name}' of this machine, which a rented one "
            "has not. Give a hub id."
        )
