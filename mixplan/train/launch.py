"""Starts a run's training processes by `accelerate launch`, from its job and the options that the person gave."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from mixplan.child_process import started_child
from mixplan.errors import RecipeError, RunError
from mixplan.recipe import TrainSpec
from mixplan.recipe.configs import config_folders, config_names
from mixplan.recipe.suggest import did_you_mean
from mixplan.runs import translated
from mixplan.train.curve import FOLLOWED
from mixplan.train.machine_share import Part

SHARED_CPU = "multi-cpu"
"""The shipped config of several processes on a CPU, which accelerate's `--cpu` would not start."""


@dataclass(frozen=True)
class Launch:
    """How a job is started.

    Attributes:
        config: accelerate's config file, or the name of a shipped one such as `fsdp2`; by the hardware when None.
        processes: On this machine; one for each GPU, or one on a CPU, when None.
        extra: Further arguments of `accelerate launch`, passed on as they are.
        part: Of the machine, where several jobs run at once.

    Raises:
        RunError: the further arguments begin with one that is no flag.
    """

    config: Path | None = None
    processes: int | None = None
    extra: tuple[str, ...] = ()
    part: Part = field(default_factory=Part)

    def __post_init__(self) -> None:
        if self.extra and not self.extra[0].startswith("-"):
            raise RunError(
                f"'{self.extra[0]}': expected a flag of accelerate launch, such as --num_machines. Give one recipe or "
                "run folder; `mixplan report RUN RUN` shows several runs side by side."
            )


def launch_command(run: Path, launch: Launch, *, recipe: Path, gpus: int) -> list[str]:
    """The whole command.

    Args:
        run: The run folder.
        launch: The person's wishes.
        recipe: The recipe's file, beside which configs are looked for.
        gpus: How many this job may use; 0 for a CPU.

    Raises:
        RunError: there is no such config.
    """
    processes = launch.processes or max(1, gpus)
    config = config_file(launch.config or shipped_for(gpus, processes), recipe)
    several = ["--main_process_port", "0"] if processes > 1 else []
    return [
        *(sys.executable, "-m", "accelerate.commands.launch"),
        *("--config_file", str(config), "--num_processes", str(processes), *several),
        *launch.extra,
        *("-m", "mixplan.train.worker", str(run)),
    ]


def processes_of(launch: Launch, gpus: int) -> int | None:
    """How many processes a job is started with; None where further arguments for accelerate say it.

    Args:
        launch: The person's wishes.
        gpus: How many this job may use; 0 for a CPU.
    """
    flags = {flag.partition("=")[0].lstrip("-").replace("-", "_") for flag in launch.extra}
    return None if flags & {"num_processes", "num_machines"} else launch.processes or max(1, gpus)


def processes_text(count: int | None) -> str:
    """So many processes in words, such as `1 process`; None of those that further arguments say."""
    if count is None:
        return "the processes that accelerate's flags ask for"
    return "1 process" if count == 1 else f"{count:,} processes"


def refuse_several(train: TrainSpec, processes: int) -> None:
    """Refuse several processes where the recipe asks for what one alone can train.

    Args:
        train: The recipe's section.
        processes: Of the whole job, on all machines.

    Raises:
        RecipeError: it does.
    """
    if processes > 1 and train.replay_kl is not None and train.replay_kl.weight:
        raise RecipeError(
            f"train.replay_kl trains in one process alone, and {processes} would be started. Give --processes 1, or "
            "plan with `--set train.replay_kl=null`."
        )


def shipped_for(gpus: int, processes: int) -> Path:
    """The shipped config for the hardware: CPU, one GPU, or several processes on either."""
    if gpus == 0:
        return Path("cpu" if processes == 1 else SHARED_CPU)
    return Path("gpu" if processes == 1 else "multi-gpu")


def config_file(wanted: Path, recipe: Path) -> Path:
    """Find a config: a file as it is, a bare name under configs/launch.

    Raises:
        RunError: there is none.
    """
    if wanted.is_file():
        return wanted.resolve()
    folders = config_folders(recipe)
    for folder in folders:
        if (file := folder / "launch" / f"{wanted}.yaml").is_file():
            return file.resolve()
    known = config_names(folders, "launch")
    raise RunError(
        f"--launch: there is no file {str(wanted)!r}, and no shipped config of that name."
        f"{did_you_mean(str(wanted), known)} Shipped are {', '.join(known) or 'none here'}."
    )


def gpus_for(device: str, part: Part) -> int:
    """How many GPUs a job may use by the recipe's `model.device` and its part of the machine; 0 for a CPU."""
    if device == "cpu":
        return 0
    import torch  # see `visible_gpus`

    if device.startswith("cuda:"):
        return 1
    return len(part.gpus()) or int(torch.backends.mps.is_available())


def environment(run: Path, *, device: str, gpus: int, processes: int, part: Part) -> dict[str, str]:
    """The training processes' environment: loggers write into the run folder, nothing is reported unasked."""
    place = run / "training"
    ours = {
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TENSORBOARD_LOGGING_DIR": str(place / "tensorboard"),
        "WANDB_DIR": str(place),
    }
    values = {FOLLOWED: "1"} | {name: os.environ.get(name) or value for name, value in ours.items()}
    values |= part.environment(device)
    if gpus > processes:
        # A single process would spread each batch over all that it sees.
        values["CUDA_VISIBLE_DEVICES"] = ",".join(part.gpus()[:processes])
    if gpus == 0:
        values["ACCELERATE_USE_CPU"] = "true"
        # A person's own number stands as it is for a job that has the machine to itself.
        if part.of > 1 or not os.environ.get("OMP_NUM_THREADS"):
            values["OMP_NUM_THREADS"] = str(part.threads(processes))
    if device.startswith("cuda:"):
        values["CUDA_VISIBLE_DEVICES"] = named_gpu(device)
    return {**os.environ, **values}


def named_gpu(device: str) -> str:
    """The one GPU that a job on `cuda:N` may see: of those that this process sees, the one of that number.

    Seeing others, a single process would spread each batch over all of them.
    """
    number = device.removeprefix("cuda:")
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in given.split(",")] if given else []
    return names[int(number)] if number.isdecimal() and int(number) < len(names) else number


def start(command: list[str], run: Path, variables: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the training processes, apart from the terminal, so that Ctrl-C reaches them only as a wish to stop.

    What they print goes to training/worker.log. They end with this process, whatever ends it.

    Raises:
        RunError: the log cannot be written.
    """
    log = run / "training" / "worker.log"
    with translated(log), open(log, "ab") as output:
        return started_child(command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=variables)
