"""Cluster job files: every place filled in, all that they name there, and refusals in full."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from own_slurm import own_slurm
from small_jobs import ARGS, ROWS, lay_run

from mixplan.errors import RecipeError, RunError
from mixplan.plan import PlanRequest, make_plan
from mixplan.reading.progress import Silent
from mixplan.recipe import load_recipe
from mixplan.saved import read_plan
from mixplan.train.emit import emit
from mixplan.train.job import read_job
from mixplan.train.launch import Launch
from mixplan.train.verify import AsPlanned

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def planned(tmp_path, tiny_model):
    return lay_run(tmp_path, tiny_model)


def test_the_slurm_script_starts_the_job_on_every_node(planned):
    run, loaded, plan = planned
    path = emit("slurm", run, loaded, plan, launch=Launch(processes=2, extra=("--tee", "3")), nodes=4)
    text = path.read_text()
    assert path == run / "training" / "slurm.sh"
    assert not re.search(r"@[A-Z_]+@", text)
    lines = text.splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "#SBATCH --job-name=job" in lines
    assert "#SBATCH --nodes=4" in lines
    assert "# No GPUs are asked for." in lines
    assert '"$((SLURM_NNODES * 2))"' in text
    assert "--tee 3" in text
    assert (run / "training" / "launch.yaml").read_bytes() == (
        REPOSITORY / "configs/launch/multi-cpu.yaml"
    ).read_bytes()
    assert read_job(run).planned_rows == {"target": 7, "law": 5, "fox": 4}
    assert subprocess.run(["bash", "-n", path], capture_output=True, text=True).stderr == ""


STAND_IN = """#!/usr/bin/env bash
printf '%s\\n' "$@" ""
"""


def test_every_word_arrives_as_one_where_a_folder_has_a_space(planned, tmp_path, monkeypatch):
    """Run by a shell, with a scontrol and an srun that start one node's launcher here."""
    run, loaded, plan = planned
    run = run.rename(tmp_path / "my runs")
    for name, text in {
        "python 3": STAND_IN,
        "scontrol": "#!/usr/bin/env bash\necho node1\n",
        "srun": '#!/usr/bin/env bash\nshift\nexec "$@"\n',
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python 3"))
    script = emit("slurm", run, loaded, plan, launch=Launch(processes=2, extra=("--note", "two words")), nodes=1)
    told = {"SLURM_JOB_NODELIST": "node[1]", "SLURM_JOB_ID": "7", "SLURM_NNODES": "1", "SLURM_NODEID": "0"}
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = subprocess.run(["bash", script], env=os.environ | told | path, capture_output=True, text=True)
    launched, measured, _ = ended.stdout.split("\n\n")
    assert launched.split("\n") == [
        *("-m", "accelerate.commands.launch", "--config_file", f"{run}/training/launch.yaml", "--num_machines", "1"),
        *("--num_processes", "2", "--machine_rank", "0", "--main_process_ip", "node1", "--main_process_port", "20007"),
        *("--note", "two words", "-m", "mixplan.train.worker", str(run)),
    ]
    assert measured.split("\n") == ["-m", "mixplan", "train", str(run)]


def test_on_gpus_it_asks_for_eight_a_node_unless_told(planned):
    run, loaded, plan = planned
    other = load_recipe(loaded.path, ["model.device=cuda"])
    plan = replace(plan, recipe=recipe_hash(other))
    assert "#SBATCH --gpus-per-node=8" in emit("slurm", run, other, plan, launch=Launch()).read_text().splitlines()
    assert (run / "training" / "launch.yaml").read_bytes() == (
        REPOSITORY / "configs/launch/multi-gpu.yaml"
    ).read_bytes()
    emit("slurm", run, other, plan, launch=Launch(Path("zero3"), 4))
    assert yaml.safe_load((run / "training" / "launch.yaml").read_text())["deepspeed_config"]["zero_stage"] == 3


def recipe_hash(loaded) -> str:
    from mixplan.reading import standalone
    from mixplan.runs import content_hash

    return content_hash(standalone(loaded))


def test_the_skypilot_task_is_yaml_that_brings_all_it_needs(planned, monkeypatch):
    run, loaded, plan = planned
    monkeypatch.setattr("mixplan.train.emit.refuse_local_model", lambda _: None)
    task = yaml.safe_load(emit("skypilot", run, loaded, plan, launch=Launch(), nodes=2).read_text())
    assert (task["name"], task["num_nodes"], task["workdir"]) == ("job", 2, str(run.resolve()))
    assert task["file_mounts"] == {"~/mixplan": str(REPOSITORY)}
    assert task["resources"] == {"accelerators": {}}
    assert '"$((SKYPILOT_NUM_NODES * 1))"' in task["run"]
    assert "-m mixplan.train.worker ." in task["run"]


def test_skypilot_refuses_a_model_that_only_this_machine_has(planned):
    run, loaded, plan = planned
    with pytest.raises(RunError) as error:
        emit("skypilot", run, loaded, plan, launch=Launch())
    assert str(error.value) == (
        f"{loaded.path}:2: model.name is the folder '{loaded.recipe.model.name}' of this machine, which a rented one "
        "has not. Give a hub id."
    )


def test_a_missing_template_is_named(planned, monkeypatch, tmp_path):
    run, loaded, plan = planned
    monkeypatch.setattr("mixplan.train.emit.config_folders", lambda _: [tmp_path / "configs"])
    with pytest.raises(RunError) as error:
        emit("slurm", run, loaded, plan, launch=Launch())
    assert str(error.value) == (
        f"--emit: there is no template {tmp_path / 'configs' / 'cluster' / 'slurm.sh'}. "
        "Copy it there from mixplan's repository."
    )


@pytest.mark.slurm
def test_slurm_runs_the_script_from_the_job_to_the_outcome(tmp_path, tiny_model, tiny_sae):
    tiny_sae("jumprelu", 32, 96, "blocks.2.hook_resid_post", tmp_path / "sae")
    lay_run(tmp_path, tiny_model, rows={**ROWS, "doctor": 3}, args={**ARGS, "per_device_train_batch_size": 2})
    sizes = ["drift.features=10", "drift.draws=2", "drift.query_tokens=20", "sts.query_tokens=20", "sts.draws=2",
             "sts.demonstrations=2", "sts.resamples=100"]  # fmt: skip
    shutil.rmtree(tmp_path / "run")
    run = make_plan(PlanRequest(tmp_path / "job.yaml", tuple(sizes), None, tmp_path / "run"), watcher=Silent())
    loaded, plan = load_recipe(run / "recipe.yaml"), AsPlanned.of(read_plan(run))
    script = emit("slurm", run, loaded, plan, launch=Launch(processes=2))
    with own_slurm():
        ended = subprocess.run(["sbatch", "--wait", script], capture_output=True, text=True)
    printed = "".join(path.read_text() for path in (run / "training").glob("slurm-*.log"))
    assert ended.returncode == 0, ended.stderr + printed
    done = json.loads((run / "training" / "done.json").read_text())
    assert (done["processes"], done["steps"]) == (2, 6)
    outcome = json.loads((run / "outcome.json").read_text())
    assert outcome["training"]["steps"] == 6
    assert "training is reused from an earlier run: 6 steps" in printed


def test_what_trains_in_one_process_alone_is_not_written_for_several(tmp_path, tiny_model):
    run, loaded, plan = lay_run(tmp_path, tiny_model, replay_kl={"weight": 1.0})
    with pytest.raises(RecipeError, match=r"train\.replay_kl trains in one process alone, and 2 would be started"):
        emit("slurm", run, loaded, plan, launch=Launch(processes=1), nodes=2)
    assert "--processes" not in emit("slurm", run, loaded, plan, launch=Launch(processes=1)).name
