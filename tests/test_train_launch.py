"""How training processes are started: the config by the hardware or by name, flags passed on, the environment."""

import os
import sys
from pathlib import Path

import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file

from mixplan.errors import RecipeError, RunError
from mixplan.recipe import TrainSpec
from mixplan.train.launch import (
    Launch,
    config_file,
    environment,
    gpus_for,
    launch_command,
    processes_of,
    refuse_several,
    shipped_for,
)
from mixplan.train.machine_share import Part

REPOSITORY = Path(__file__).resolve().parents[1]
SHIPPED = sorted((REPOSITORY / "configs" / "launch").glob("*.yaml"))
RECIPE = REPOSITORY / "recipes" / "quickstart.yaml"


@pytest.mark.parametrize(
    ("gpus", "wanted", "name", "processes"),
    [(0, None, "cpu", 1), (0, 2, "multi-cpu", 2), (1, None, "gpu", 1), (8, None, "multi-gpu", 8), (8, 1, "gpu", 1)],
)
def test_the_config_and_the_processes_are_those_of_the_hardware(gpus, wanted, name, processes):
    command = launch_command(Path("runs/x"), Launch(processes=wanted), recipe=RECIPE, gpus=gpus)
    several = ["--main_process_port", "0"] * (processes > 1)
    assert command == [
        *(sys.executable, "-m", "accelerate.commands.launch"),
        *("--config_file", str(REPOSITORY / "configs" / "launch" / f"{name}.yaml")),
        *("--num_processes", str(processes), *several, "-m", "mixplan.train.worker", "runs/x"),
    ]


def test_extra_flags_are_passed_on_before_the_module():
    command = launch_command(Path("r"), Launch(extra=("--dynamo_backend", "no")), recipe=RECIPE, gpus=0)
    assert command[-5:] == ["--dynamo_backend", "no", "-m", "mixplan.train.worker", "r"]


def test_a_second_run_is_no_flag():
    with pytest.raises(RunError) as refused:
        Launch(extra=("runs/other",))
    assert str(refused.value) == (
        "'runs/other': expected a flag of accelerate launch, such as --num_machines. Give one recipe or run folder; "
        "`mixplan report RUN RUN` shows several runs side by side."
    )


def test_a_config_is_a_file_or_a_shipped_name(tmp_path, monkeypatch):
    own = tmp_path / "mine.yaml"
    own.write_text("distributed_type: 'NO'\n")
    assert config_file(own, RECIPE) == own
    assert config_file(Path("fsdp2"), RECIPE).name == "fsdp2.yaml"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError) as error:
        config_file(Path("fdsp2"), RECIPE)
    assert str(error.value) == (
        "--launch: there is no file 'fdsp2', and no shipped config of that name. Did you mean 'fsdp2'? "
        "Shipped are cpu, fsdp2, gpu, multi-cpu, multi-gpu, zero2, zero3."
    )


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_accelerate_reads_each_shipped_config(path):
    config = load_config_from_file(str(path))
    assert config.num_machines == 1
    kinds = {"fsdp2": "FSDP", "zero2": "DEEPSPEED", "zero3": "DEEPSPEED", "multi-gpu": "MULTI_GPU",
             "multi-cpu": "MULTI_GPU"}  # fmt: skip
    assert config.distributed_type.value == kinds.get(path.stem, "NO")
    assert config.use_cpu is ("cpu" in path.stem)
    known = yaml.safe_load(path.read_text())
    assert set(known) <= set(vars(config))
    if path.stem in ("zero2", "zero3"):
        assert config.deepspeed_config["zero_stage"] == int(path.stem[-1])
    if path.stem == "fsdp2":
        assert (config.fsdp_config["fsdp_version"], config.fsdp_config["fsdp_state_dict_type"]) == (
            2,
            "FULL_STATE_DICT",
        )


def test_every_shipped_config_has_its_place():
    by_hardware = {str(shipped_for(gpus, processes)) for gpus in (0, 1, 8) for processes in (1, 2)}
    assert by_hardware | {"fsdp2", "zero2", "zero3"} == {path.stem for path in SHIPPED}


def test_gpus_by_the_recipe_s_device_and_the_job_s_part(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    assert gpus_for("cpu", Part()) == 0
    assert gpus_for("cuda:3", Part()) == gpus_for("cuda:3", Part(0, 2)) == 1
    assert [gpus_for("auto", Part(0, jobs)) for jobs in (1, 2, 3, 16)] == [8, 4, 2, 1]


def test_a_job_sees_no_more_gpus_than_it_has_processes(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)

    def seen(processes, part):
        gpus = gpus_for("auto", part)
        found = environment(tmp_path, device="auto", gpus=gpus, processes=processes, part=part)
        return found.get("CUDA_VISIBLE_DEVICES")

    assert [seen(1, Part()), seen(3, Part()), seen(8, Part())] == ["0", "0,1,2", None]
    assert [seen(1, Part(1, 2)), seen(4, Part(1, 2))] == ["4", "4,5,6,7"]


def test_a_job_on_a_named_gpu_sees_that_one_alone(tmp_path, monkeypatch):
    """A single process would train on all that it sees, with as many times the batch."""

    def seen(device):
        return environment(tmp_path, device=device, gpus=1, processes=1, part=Part())["CUDA_VISIBLE_DEVICES"]

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert seen("cuda:2") == "2"
    for given in ("4,5,7", "4, 5, 7"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
        assert [seen(f"cuda:{number}") for number in range(3)] == ["4", "5", "7"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    assert seen("cuda:1") == "GPU-b"


def test_the_environment_keeps_files_in_the_run_folder_and_reports_nothing_unasked(tmp_path, monkeypatch):
    for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "WANDB_DIR", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    found = environment(tmp_path, device="cpu", gpus=0, processes=2, part=Part())
    assert found["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert found["WANDB_DIR"] == str(tmp_path / "training")
    assert found["TENSORBOARD_LOGGING_DIR"] == str(tmp_path / "training" / "tensorboard")
    assert found["ACCELERATE_USE_CPU"] == "true"
    assert found["OMP_NUM_THREADS"] == str(max(1, len(os.sched_getaffinity(0)) // 2))
    assert "CUDA_VISIBLE_DEVICES" not in found
    on_gpu = environment(tmp_path, device="cuda:2", gpus=1, processes=1, part=Part())
    assert on_gpu["CUDA_VISIBLE_DEVICES"] == "2"
    assert "OMP_NUM_THREADS" not in on_gpu
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("WANDB_DIR", "/elsewhere")
    chosen = environment(tmp_path, device="cpu", gpus=0, processes=1, part=Part())
    assert (chosen["OMP_NUM_THREADS"], chosen["WANDB_DIR"]) == ("3", "/elsewhere")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)))
    for wished, part in (("1", "1"), ("64", "2"), ("4,2", "2")):
        monkeypatch.setenv("OMP_NUM_THREADS", wished)
        assert environment(tmp_path, device="cpu", gpus=0, processes=1, part=Part())["OMP_NUM_THREADS"] == wished
        shared = environment(tmp_path, device="cpu", gpus=0, processes=2, part=Part(0, 3))
        assert shared["OMP_NUM_THREADS"] == part


def test_what_trains_in_one_process_alone_is_refused_to_several():
    near = TrainSpec.model_validate({"replay_kl": {"weight": 1.0}})
    refuse_several(near, 1)
    refuse_several(TrainSpec(), 8)
    refuse_several(TrainSpec.model_validate({"replay_kl": {"weight": 0.0}}), 8)
    with pytest.raises(RecipeError) as refused:
        refuse_several(near, 8)
    assert str(refused.value) == (
        "train.replay_kl trains in one process alone, and 8 would be started. Give --processes 1, or plan with `--set "
        "train.replay_kl=null`."
    )


@pytest.mark.parametrize(
    ("launch", "gpus", "count"),
    [
        (Launch(), 0, 1), (Launch(), 4, 4), (Launch(processes=2), 4, 2),
        (Launch(extra=("--mixed_precision=no",)), 4, 4),
        (Launch(extra=("--num_processes", "8")), 4, None), (Launch(extra=("--num-machines=2",)), 4, None),
    ],
)  # fmt: skip
def test_how_many_processes_start_is_known_unless_flags_for_accelerate_say_it(launch, gpus, count):
    assert processes_of(launch, gpus) == count
