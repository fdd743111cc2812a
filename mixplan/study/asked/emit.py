"""Writes a Slurm array that shares a study's jobs out, from the template configs/cluster/slurm-study.sh."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from mixplan.runs import translated, write_atomic
from mixplan.study.asked.request import StudyRequest, run_of, study_name
from mixplan.study.asked.spec import load_study
from mixplan.train.emit import filled, gpu_line, plain_name
from mixplan.train.launch import config_file

TEMPLATE = "slurm-study.sh"


def emit_study(request: StudyRequest) -> Path:
    """Write the script into the run folder; nothing is registered yet.

    Args:
        request: What to study; as many tasks as `jobs`, each with a GPU for each process unless the recipe's device is
            a CPU.

    Returns:
        slurm.sh in the run folder.

    Raises:
        RecipeError: the study is not valid.
        RunError: there is no such launch config, no template, or the folder cannot be written.
    """
    study, run = load_study(request.place), run_of(request)
    on_gpu = study.whole.recipe.model.device != "cpu"
    config = request.launch.config and config_file(request.launch.config, study.path)
    options = ["--launch", str(config)] if config else []
    measured = [] if request.measured is None else ["--measured", str(request.measured.resolve())]
    values = {
        "NAME": plain_name(study_name(request.place)),
        "LAST": str(request.jobs - 1),
        "GPU_LINE": gpu_line(request.processes if on_gpu else 0),
        "STUDY": shlex.quote(str(request.place.resolve())),
        "RUN": shlex.quote(str(run.resolve())),
        "PROCESSES": str(request.processes),
        "OPTIONS": shlex.join(options),
        "MEASURED": shlex.join(measured),
        "FOLDER": shlex.quote(str(Path.cwd())),
        "PYTHON": shlex.quote(sys.executable),
    }
    path = run / "slurm.sh"
    text = filled(TEMPLATE, values, study.path)
    with translated(run):
        write_atomic(path, text.encode())
    return path
