"""A study's Slurm array: every place filled in, who does what, and a study run by it from end to end."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from own_slurm import own_slurm
from small_study import TARGETS, lay

from mixplan.errors import RunError
from mixplan.study.asked.emit import emit_study
from mixplan.study.asked.request import StudyRequest
from mixplan.train.launch import Launch


def test_each_task_asks_for_what_one_job_needs(tmp_path, tiny_model, tiny_sae):
    place = lay(tmp_path / "some study", tiny_model, tiny_sae)
    script = emit_study(StudyRequest(place, tmp_path / "run", 8))
    assert script == tmp_path / "run" / "slurm.sh"
    text = script.read_text()
    assert not re.search(r"@[A-Z_]+@", text)
    lines = text.splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert {"#SBATCH --job-name=some-study", "#SBATCH --array=0-7", "# No GPUs are asked for."} <= set(lines)
    assert f"options=('{place}' --run {tmp_path / 'run'} --processes 1 )" in lines
    assert f'exec {sys.executable} -m mixplan study work "${{options[@]}}"' in lines
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["slurm.sh"]


def test_on_gpus_a_task_has_one_for_each_process(tmp_path, tiny_model, tiny_sae):
    place = lay(tmp_path, tiny_model, tiny_sae)
    values = yaml.safe_load(place.read_text())
    values["recipe"]["model"]["device"] = "auto"
    place.write_text(yaml.safe_dump(values, sort_keys=False))
    text = emit_study(StudyRequest(place, tmp_path / "run", 3, Launch(Path("fsdp2"), 4))).read_text()
    assert "#SBATCH --gpus-per-node=4" in text.splitlines()
    assert re.search(r"--processes 4 --launch \S+/configs/launch/fsdp2.yaml\)", text)


def test_what_was_measured_elsewhere_is_named_to_the_task_that_runs_the_study(tmp_path, tiny_model, tiny_sae):
    place = lay(tmp_path, tiny_model, tiny_sae)
    text = emit_study(StudyRequest(place, tmp_path / "run", 3, measured=tmp_path / "trainings.jsonl")).read_text()
    (line,) = (line for line in text.splitlines() if "--measured" in line)
    assert line.endswith(f'study run "${{options[@]}}" --measured {tmp_path / "trainings.jsonl"}')


def test_a_launch_config_that_is_not_there_is_refused(tmp_path, tiny_model, tiny_sae):
    place = lay(tmp_path, tiny_model, tiny_sae)
    with pytest.raises(RunError, match="there is no file 'fdsp2'"):
        emit_study(StudyRequest(place, tmp_path / "run", 2, Launch(Path("fdsp2"))))
    assert not (tmp_path / "run").exists()


def test_the_first_task_judges_and_the_others_wait_until_it_has_registered(tmp_path, tiny_model, tiny_sae, monkeypatch):
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/called\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    place, run = lay(tmp_path, tiny_model, tiny_sae), tmp_path / "run"
    script = emit_study(StudyRequest(place, run, 2))
    asked = f"{place} --run {run} --processes 1"

    def task(number):
        return subprocess.Popen(["bash", script], env={**os.environ, "SLURM_ARRAY_TASK_ID": str(number)})

    other = task(1)
    assert task(0).wait(timeout=60) == 0
    assert (tmp_path / "called").read_text() == f"-m mixplan study run {asked}\n"
    assert other.poll() is None
    (run / "registered.json").write_text("{}")
    assert other.wait(timeout=60) == 0
    assert (tmp_path / "called").read_text() == f"-m mixplan study run {asked}\n-m mixplan study work {asked}\n"


@pytest.mark.slurm
def test_slurm_runs_a_study_with_two_tasks(tmp_path, tiny_model, tiny_sae, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "cache"))
    run = tmp_path / "run"
    script = emit_study(StudyRequest(lay(tmp_path, tiny_model, tiny_sae), run, 2))
    with own_slurm():
        ended = subprocess.run(["sbatch", "--wait", script], capture_output=True, text=True)
    printed = "".join(path.read_text() for path in run.glob("slurm-*.log"))
    assert ended.returncode == 0, ended.stderr + printed
    assert json.loads((run / "results.json").read_bytes())["sets"]["all"] == list(TARGETS)
    assert printed.count("cell ") == len(TARGETS)
