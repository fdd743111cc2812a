"""Jobs that run at once share processors and GPUs in equal parts."""

import os

import pytest
import torch

from mixplan.train.machine_share import Part, visible_gpus


@pytest.fixture
def machine(monkeypatch):
    """Sets how many processors and GPUs there are, and what the environment says of them."""

    def make(processors=12, gpus=0, **variables):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return make


@pytest.mark.parametrize(
    ("jobs", "processes", "wished", "expected"),
    [
        (1, 1, None, 12),
        (1, 4, None, 3),
        (4, 1, None, 3),
        (2, 3, None, 2),
        (40, 1, None, 1),
        # A person's wish lowers the part and does not raise it.
        (1, 1, "16", 12),
        (4, 1, "16", 3),
        (4, 1, "1", 1),
        (4, 1, "0", 3),
        (4, 1, "4,2", 3),
    ],
)
def test_threads_of_each_process(machine, jobs, processes, wished, expected):
    machine(**({} if wished is None else {"OMP_NUM_THREADS": wished}))
    assert Part(0, jobs).threads(processes) == expected


@pytest.mark.parametrize(
    ("gpus", "jobs", "expected"),
    [
        (0, 2, [[], []]),
        (4, 1, [["0", "1", "2", "3"]]),
        (4, 2, [["0", "1"], ["2", "3"]]),
        # One is left over: parts of different sizes would train with different batches.
        (5, 2, [["0", "1"], ["2", "3"]]),
        (2, 3, [["0"], ["1"], ["0"]]),
    ],
)
def test_gpus_of_each_job(machine, gpus, jobs, expected):
    machine(gpus=gpus)
    assert [Part(number, jobs).gpus() for number in range(jobs)] == expected


def test_gpus_keep_the_names_they_were_given(machine):
    machine(gpus=2, CUDA_VISIBLE_DEVICES="GPU-a,GPU-b")
    assert visible_gpus() == ["GPU-a", "GPU-b"]
    assert Part(1, 2).gpus() == ["GPU-b"]
    # torch counted four before the variable took two of them away, or counts none of those that it names.
    machine(gpus=4, CUDA_VISIBLE_DEVICES="2,3")
    assert visible_gpus() == ["2", "3"]
    machine(gpus=0, CUDA_VISIBLE_DEVICES="-1")
    assert visible_gpus() == []


def test_the_environment_keeps_a_job_to_its_part(machine):
    machine(gpus=4)
    assert Part(1, 2).environment("auto") == {"OMP_NUM_THREADS": "6", "CUDA_VISIBLE_DEVICES": "2,3"}
    assert Part(1, 2).environment("cuda") == Part(1, 2).environment("auto")
    # A GPU that the recipe names, and a CPU, leave nothing to share out.
    assert Part(1, 2).environment("cuda:3") == Part(1, 2).environment("cpu") == {"OMP_NUM_THREADS": "6"}
    assert Part().environment("auto") == {}
