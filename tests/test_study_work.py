"""`mixplan study run` from end to end on a tiny model: registered, forecast, trained, judged, resumed, shared."""

import json
import os
import re
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch
import yaml
from small_study import DOMAINS, QUANTITIES, TARGETS, bench, lay, study

from mixplan.errors import RunError
from mixplan.runs import locked
from mixplan.study import jobs, judge, work
from mixplan.study.asked.request import StudyRequest, study_name
from mixplan.study.asked.spec import load_study
from mixplan.study.jobs import Cell, cells_of
from mixplan.study.judged.table import read_table
from mixplan.study.reading import forecasts as reading
from mixplan.study.register import register
from mixplan.train.launch import Launch
from mixplan.train.machine_share import Part

ARTIFACTS = ("registered.json", "forecasts.json", "table.json", "results.json", "concentration.json")


def artifacts(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in ARTIFACTS}


def refused(place: Path, run: Path, **asked) -> str:
    with pytest.raises(RunError) as caught:
        study(place, run, **asked)
    return str(caught.value)


def change(place: Path, **values) -> str:
    """Change keys of a study's file and give its new hash."""
    place.write_text(yaml.safe_dump({**yaml.safe_load(place.read_text()), **values}, sort_keys=False))
    return load_study(place).hash


def forget(run: Path, *names: str) -> None:
    """Take the mark of being done from cells, which keep their training."""
    for name in names:
        (run / "cells" / name / "cell.json").unlink()


def test_a_study_is_registered_forecast_trained_and_judged(whole_study):
    folder, said = whole_study
    run, known = folder / "run", load_study(folder / "study.yaml")
    registered = json.loads((run / "registered.json").read_bytes())
    assert registered["hash"] == known.hash
    assert registered["study"] == known.spec.model_dump(mode="json")
    forecasts = json.loads((run / "forecasts.json").read_bytes())
    assert forecasts["study"] == known.hash
    assert {target: list(found) for target, found in forecasts["forecasts"].items()} == {
        "sums": list(DOMAINS[1:]),
        "doctors": list(DOMAINS),
    }
    trained = [path.stat().st_mtime_ns for path in run.glob("cells/*/training/job.json")]
    assert len(trained) == 2
    assert (run / "registered.json").stat().st_mtime_ns <= (run / "forecasts.json").stat().st_mtime_ns < min(trained)
    assert [text for text in said if text.startswith("cell ")] == [
        "cell 1 of 2: sums, seed 3",
        "cell 2 of 2: doctors, seed 3",
    ]
    results = json.loads((run / "results.json").read_bytes())
    assert results["study"] == known.hash
    assert [mark["quantity"] for mark in results["marks"]] == list(QUANTITIES)
    assert read_table(run / "table.json").targets == TARGETS


def test_the_same_command_again_trains_nothing_and_ends_with_the_same_bytes(studied):
    before = artifacts(studied / "run")
    said = study(studied / "study.yaml", studied / "run").said
    assert artifacts(studied / "run") == before
    assert not any(text.startswith(("cell ", "starting training", "training is reused")) for text in said)


def test_results_that_were_lost_are_made_again_from_the_cells(studied):
    before = artifacts(studied / "run")
    for name in ("forecasts.json", "table.json", "results.json"):
        (studied / "run" / name).unlink()
    assert not any(text.startswith("cell ") for text in study(studied / "study.yaml", studied / "run").said)
    assert artifacts(studied / "run") == before


def test_a_changed_study_is_refused_once_training_has_begun(studied):
    place, run = studied / "study.yaml", studied / "run"
    before, old = artifacts(run), load_study(place).hash
    new = change(place, title="Another title")
    assert refused(place, run) == (
        f"{run}: registered as {old[:16]}, but {place} now reads {new[:16]}, and training has begun. "
        "Undo the change, or choose another run folder with --run FOLDER."
    )
    assert artifacts(run) == before


NOT_ONE = "not a registered.json that mixplan wrote, or changed or damaged since:\n"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "missing, though training has begun, so nothing says what was registered."),
        ("damaged", f"{NOT_ONE}  not JSON: expected value at line 1 column 1\n"),
        ("[]", f"{NOT_ONE}  the file: expected an object, found []\n"),
        (
            '{"hash": 1, "mixplan": "0.1", "libraries": {}}',
            f"{NOT_ONE}  `hash`: expected a valid string, found 1\n  `study` is missing\n",
        ),
    ],
)
def test_a_registration_that_was_lost_is_not_written_anew_once_training_has_begun(studied, found, said):
    place = studied / "run" / "registered.json"
    place.unlink()
    if found is not None:
        place.write_text(found)
    end = "Put the file back, or begin again in another run folder: `mixplan study run STUDY --run ANOTHER_FOLDER`."
    assert refused(studied / "study.yaml", studied / "run") == f"{place}: {said}{'' if found else ' '}{end}"


def test_a_study_may_change_until_training_begins(tmp_path, tiny_model, tiny_sae):
    place, run = lay(tmp_path, tiny_model, tiny_sae), tmp_path / "run"
    register(load_study(place), run, 1)
    new = change(place, title="Another title")
    register(load_study(place), run, 2)
    registered = json.loads((run / "registered.json").read_bytes())
    assert (registered["hash"], registered["processes"]) == (new, 2)


@pytest.mark.parametrize("beside", [False, True])
def test_every_job_has_as_many_processes_as_the_first_ones(studied, beside):
    place, run = studied / "study.yaml", studied / "run"
    assert json.loads((run / "registered.json").read_bytes())["processes"] == 1
    before = artifacts(run)
    assert refused(place, run, beside=beside, launch=Launch(processes=2)) == (
        f"{run}: its jobs have 1 process each, which sets how many rows a step takes, but 2 were asked for. "
        "Give --processes 1, or choose another run folder with --run FOLDER."
    )
    assert artifacts(run) == before


def not_begun(place: Path, run: Path) -> str:
    return f"{run}: {place} has not begun here. Start it first: `mixplan study run {place} --run {run}`."


@pytest.mark.parametrize("asked", ["beside", "so_far"])
@pytest.mark.parametrize("changed", [False, True])
def test_beside_a_study_that_has_not_begun_here_nothing_is_done(studied, asked, changed):
    place, run = studied / "study.yaml", studied / "run"
    if changed:
        change(place, title="Another title")
    else:
        (run / "registered.json").unlink()
    forget(run, "sums-3")
    said = refused(place, run, **{asked: True})
    if changed:
        assert said.endswith("has begun. Undo the change, or choose another run folder with --run FOLDER.")
    else:  # to start it would be refused too, since cells were trained
        assert said.startswith(f"{run / 'registered.json'}: missing, though training has begun")
    assert not (run / "cells" / "sums-3" / "cell.json").exists()


def test_nothing_is_judged_without_forecasts(studied):
    place, run = studied / "study.yaml", studied / "run"
    (run / "forecasts.json").unlink()
    assert refused(place, run, so_far=True) == not_begun(place, run)


def test_a_further_process_waits_for_the_forecasts(studied, monkeypatch):
    place, run = studied / "study.yaml", studied / "run"
    forecasts = (run / "forecasts.json").read_bytes()
    (run / "forecasts.json").unlink()
    forget(run, "sums-3")
    monkeypatch.setattr(jobs.time, "sleep", lambda _: (run / "forecasts.json").write_bytes(forecasts))
    read = []
    monkeypatch.setattr(reading, "domain_reading", lambda _, name: read.append(name))
    said = study(place, run, beside=True).said
    assert said[0] == f"waiting until `mixplan study run {place} --run {run}` has written down what will be judged"
    assert (run / "cells" / "sums-3" / "cell.json").exists()
    # Until then it reads for the first process, which begins at the other end.
    assert read == list(DOMAINS)[::-1]


def test_seeds_that_are_finished_are_judged_beside_a_process_that_works_on_others(studied):
    place, run = studied / "study.yaml", studied / "run"
    ours = bench(place, run)
    missing = [Cell(name, 7, run / "cells" / f"{name}-7") for name in TARGETS]
    with locked(run):
        folder = judge.judge_so_far(ours, [*cells_of(ours.study, run), *missing])
    assert folder == run / "so-far"
    assert read_table(folder / "table.json").seeds == (3,)
    for name in ("table.json", "results.json", "concentration.json"):
        assert (folder / name).read_bytes() == (run / name).read_bytes()


def test_what_is_judged_so_far_is_looked_into_further_where_asked(studied, monkeypatch):
    run, looked = studied / "run", []
    monkeypatch.setattr(judge, "write_ablations", lambda *asked: looked.append(asked))
    ours = bench(studied / "study.yaml", run)
    judge.judge_so_far(ours, cells_of(ours.study, run))
    assert not looked
    judge.judge_so_far(ours, cells_of(ours.study, run), further=True)
    ((_, cells, table, readings, folder),) = looked
    assert (cells, folder) == (cells_of(ours.study, run), run / "so-far")
    assert table.targets == tuple(TARGETS)
    assert set(readings.targets) == set(TARGETS)


@pytest.mark.parametrize("asked", [{"so_far": True}, {"beside": True}])
def test_ablations_are_asked_for_by_the_file(studied, asked):
    assert refused(studied / "study.yaml", studied / "run", ablations=True, **asked) == (
        "--ablations looks further as `ablations` in the study's file asks, and this one has none. Leave --ablations "
        "out, or add the section."
    )


def test_a_further_process_trains_the_saes_for_ablations_too_or_asked_for_them_these_alone(studied, monkeypatch):
    place, run, done = studied / "study.yaml", studied / "run", []
    monkeypatch.setattr(work, "run_cells", lambda *_: done.append("cells"))
    monkeypatch.setattr(work, "train_saes", lambda _: done.append("saes"))
    study(place, run, beside=True)
    assert done == ["cells", "saes"]
    done.clear()
    values = yaml.safe_load(place.read_text())
    place.write_text(yaml.safe_dump({**values, "ablations": {"features": [5]}}, sort_keys=False))  # not registered
    study(place, run, beside=True, ablations=True)
    assert done == ["saes"]
    assert refused(place, studied / "other", beside=True, ablations=True).startswith(f"{studied / 'other'}: ")


def test_before_any_seed_is_finished_with_every_target_there_is_nothing_to_judge(studied):
    place, run = studied / "study.yaml", studied / "run"
    forget(run, "sums-3")
    assert refused(place, run, so_far=True) == (
        f"{run}: 1 of 2 cells are finished, but no seed is with every target, so there is nothing to judge yet. "
        f"Wait for who works on it, or finish it: `mixplan study run {place} --run {run}`."
    )
    assert not (run / "cells" / "sums-3" / "cell.json").exists()


def test_a_further_process_works_beside_the_one_that_holds_the_run_and_judges_nothing(studied):
    run = studied / "run"
    cell = (run / "cells" / "sums-3" / "cell.json").read_bytes()
    forget(run, "sums-3")
    (run / "results.json").unlink()
    with locked(run):
        said = study(studied / "study.yaml", run, beside=True).said
    assert [text for text in said if text.startswith("cell ")] == ["cell 1 of 2: sums, seed 3"]
    assert (run / "cells" / "sums-3" / "cell.json").read_bytes() == cell
    assert not (run / "results.json").exists()


def test_a_run_folder_is_held_by_one_judging_process(studied):
    run = studied / "run"
    with locked(run):
        assert refused(studied / "study.yaml", run) == (
            f"{run}: another mixplan run (process {os.getpid()}) is using this folder. "
            "Wait for it to end, or choose another folder with --run FOLDER."
        )


def test_cells_that_others_still_work_on_are_waited_for(studied, monkeypatch):
    run, before = studied / "run", artifacts(studied / "run")
    kept = (run / "cells" / "doctors-3" / "cell.json").read_bytes()
    forget(run, "sums-3", "doctors-3")
    other = ExitStack()
    other.enter_context(locked(run / "cells" / "doctors-3"))

    def finish(_):
        (run / "cells" / "doctors-3" / "cell.json").write_bytes(kept)
        other.close()

    monkeypatch.setattr(jobs.time, "sleep", finish)
    said = study(studied / "study.yaml", run).said
    assert [text for text in said if text.startswith(("cell ", "waiting"))] == [
        "cell 1 of 2: sums, seed 3",
        "waiting for other processes that still work on cells",
    ]
    assert artifacts(run) == before


def test_a_cell_that_a_process_beside_could_not_end_is_taken_up(studied, monkeypatch):
    run, before = studied / "run", artifacts(studied / "run")
    forget(run, "doctors-3")

    @contextmanager
    def held_for_a_while(*_, **__):
        with locked(run / "cells" / "doctors-3"):
            yield

    monkeypatch.setattr(work, "beside", held_for_a_while)
    said = study(studied / "study.yaml", run).said
    assert [text for text in said if text.startswith("cell ")] == ["cell 2 of 2: doctors, seed 3"]
    assert artifacts(run) == before


def test_two_jobs_share_the_cells_and_the_processors(studied, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    run, before = studied / "run", artifacts(studied / "run")
    forget(run, "sums-3", "doctors-3")
    study(studied / "study.yaml", run, jobs=2)
    assert artifacts(run) == before
    assert re.search("Traceback|Error", (run / "worker-1.log").read_text()) is None
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_a_failure_stops_the_processes_beside(studied, tmp_path, monkeypatch):
    """A process beside gets Ctrl-C and is waited for."""
    started = []

    class Process:
        def __init__(self, command, *, env, **_):
            self.told = []
            started.append((command, env, self))

        def send_signal(self, number):
            self.told.append(number)

        def wait(self):
            self.told.append("waited for")

    monkeypatch.setattr(work.subprocess, "Popen", Process)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    place, run, threads = studied / "study.yaml", studied / "run", torch.get_num_threads()
    request = StudyRequest(place, run, 3, Launch(Path("fsdp2"), 2))
    during = []

    def fail():
        during.append(torch.get_num_threads())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), work.beside(request, run, device="auto"):
        fail()
    assert during == [4]
    assert torch.get_num_threads() == threads
    assert [process.told for *_, process in started] == [[2, "waited for"], [2, "waited for"]]
    assert [(env["OMP_NUM_THREADS"], env["CUDA_VISIBLE_DEVICES"]) for _, env, _ in started] == [
        ("4", "2,3"),
        ("4", "4,5"),
    ]
    assert request.first == Launch(Path("fsdp2"), 2, part=Part(0, 3))
    for command, *_ in started:
        assert command[1:3] == ["-m", "mixplan.child_process"]
        assert command[4:] == [
            *(sys.executable, "-m", "mixplan", "study", "work", str(place), "--run", str(run)),
            *("--processes", "2", "--launch", "fsdp2"),
        ]


def test_a_study_s_name_is_its_folder_s_or_its_file_s(tmp_path):
    assert study_name(tmp_path / "mine" / "study.yaml") == "mine"
    assert study_name(tmp_path / "mine" / "small.yaml") == "small"


def test_every_cell_has_its_folder(studied):
    ours = bench(studied / "study.yaml", studied / "run")
    for cell in cells_of(ours.study, ours.run):
        kept = json.loads((cell.folder / "cell.json").read_bytes())
        assert (kept["study"], kept["target"], kept["seed"], kept["steps"]) == (ours.study.hash, cell.target, 3, 2)
        assert [step for step, _ in kept["loss"]] == [1, 2]
