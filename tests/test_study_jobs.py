"""Cells of a study: their order, who takes one, when one is done, and what is done again after damage."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_plan import write_rows
from small_study import bench, lay, study_values

from mixplan.errors import DataError, RunError
from mixplan.features.profile import read_profiles
from mixplan.model import load_trained
from mixplan.runs import cache_folder, seal
from mixplan.study.asked.spec import load_study
from mixplan.study.jobs import Cell, cells_of, done, read_drift, run_cells, taken
from mixplan.train.launch import Launch

HOLDS = """
import sys
from pathlib import Path
from mixplan.runs import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path, tiny_model, tiny_sae) -> Path:
    return lay(tmp_path, tiny_model, tiny_sae, seeds=[3, 1])


@pytest.fixture
def cell(tmp_path) -> Cell:
    return Cell("sums", 3, tmp_path / "cells" / "sums-3")


def test_every_target_s_first_seed_comes_before_any_second_one(place, tmp_path):
    cells = cells_of(load_study(place), tmp_path)
    assert [(one.target, one.seed) for one in cells] == [("sums", 3), ("doctors", 3), ("sums", 1), ("doctors", 1)]
    assert cells[3].folder == tmp_path / "cells" / "doctors-1"


def test_a_cell_that_another_process_holds_is_left_to_it(place, tmp_path):
    ours = bench(place, tmp_path / "run")
    held = cells_of(ours.study, ours.run)[:1]
    command = [sys.executable, "-c", HOLDS, str(held[0].folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with taken(held[0].folder) as free:
            assert not free
        run_cells(ours, held, Launch())
        holder.stdin.close()
    assert ours.watcher.said == []
    assert [path.name for path in held[0].folder.iterdir()] == [".lock"]
    with taken(held[0].folder) as free:
        assert free


def test_a_cell_is_free_again_after_a_failure(cell):
    with pytest.raises(DataError), taken(cell.folder):
        raise DataError("rows are gone")
    with taken(cell.folder) as free:
        assert free


def test_a_cell_s_folder_that_cannot_be_made(cell, tmp_path):
    (tmp_path / "cells").write_text("")
    with pytest.raises(RunError) as caught, taken(cell.folder):
        pass
    assert f"{tmp_path}/cells: found a file, expected a folder. Move it away:" in str(caught.value)


def finished(folder: Path) -> tuple:
    """A finished study's bench and its first cell."""
    ours = bench(folder / "study.yaml", folder / "run")
    return ours, cells_of(ours.study, ours.run)[0]


def test_a_measured_cell_is_done_for_its_own_study_alone(studied):
    ours, cell = finished(studied)
    assert done(cell, ours.study)
    changed = ours.study.spec.model_copy(update={"title": "Another study"})
    assert not done(cell, replace(ours.study, spec=changed))
    assert not done(replace(cell, folder=cell.folder.with_name("nowhere")), ours.study)


@pytest.mark.parametrize("name", ["cell.json", "evaluation.json", "drift.safetensors"])
@pytest.mark.parametrize("damage", ["removed", "cut", "other"])
def test_a_damaged_cell_is_not_done(studied, name, damage):
    ours, cell = finished(studied)
    file = cell.folder / name
    data = file.read_bytes()
    file.unlink()
    if damage != "removed":
        file.write_bytes(data[: len(data) // 2] if damage == "cut" else b"[]")
    assert not done(cell, ours.study)


def test_a_sealed_file_that_holds_no_arrays_is_no_drift(studied):
    ours, cell = finished(studied)
    (cell.folder / "drift.safetensors").write_bytes(seal(b"no arrays"))
    assert read_drift(cell) is None
    assert not done(cell, ours.study)


def test_a_damaged_cell_is_measured_again_to_the_same_values_and_not_trained_again(studied):
    ours, cell = finished(studied)
    before = {name: (cell.folder / name).read_bytes() for name in ("cell.json", "evaluation.json", "drift.safetensors")}
    (cell.folder / "drift.safetensors").write_bytes(b"damaged")
    (cell.folder / "evaluation.json").unlink()
    run_cells(ours, [cell], Launch())
    assert ours.watcher.said[0] == "cell 1 of 1: sums, seed 3"
    assert f"training is reused from an earlier run: 2 steps, {cell.folder / 'model'}" in ours.watcher.said
    assert not any(text.startswith("starting training") for text in ours.watcher.said)
    assert {name: (cell.folder / name).read_bytes() for name in before} == before
    said = len(ours.watcher.said)
    run_cells(ours, [cell], Launch())
    assert len(ours.watcher.said) == said


def test_a_job_trains_on_target_rows_alone(studied):
    job = json.loads((studied / "run" / "cells" / "doctors-3" / "training" / "job.json").read_bytes())
    assert {name: rows for name, rows in job["planned_rows"].items() if rows} == {"target": 8}
    assert job["train"]["args"]["seed"] == 3


def test_drift_is_what_training_changed_a_token_without_demonstrations(studied):
    ours, cell = finished(studied)
    drift = read_drift(cell)
    trained = load_trained(ours.spec, cell.folder / "model", folder=ours.study.whole.folder(("model", "name")))
    domain = ours.taught("sums").domains["fox"]
    bare = ours.reading(domain, domain, tokens=60).units
    total, moved, tokens = np.zeros(96), np.zeros(96), 0
    import torch

    for unit in bare:
        for query in unit.queries:
            one, other = (
                ours.sae.encode(stream(model, query.alone, ours.sae.depth)[-query.count :].float())
                for model in (ours.model, trained)
            )
            with torch.no_grad():
                total += (other - one).square().sum(0).double().numpy()
                moved += (other - one).sum(0).double().numpy()
            tokens += query.count
    assert tokens == 60
    np.testing.assert_allclose(drift["fox.shift"], total / 60, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(drift["fox.delta"], moved / 60, rtol=1e-3, atol=1e-4)
    assert {name.split(".")[0] for name in drift} == {"target", "patient", "fox", "colours"}  # `sum` is its own data


def stream(model, ids, depth):
    """The residual stream behind a block, by transformers' own hidden states."""
    import torch

    with torch.no_grad():
        states = model.lm(torch.tensor([ids]), output_hidden_states=True).hidden_states
    return states[depth][0]


def test_profiles_of_draws_add_up(place, tmp_path):
    ours = bench(place, tmp_path / "run")
    domain = ours.domains["fox"]
    units = ours.reading(domain, domain, tokens=60).units
    assert len(units) == 2
    parts = read_profiles(ours.model, ours.sae, units, folder=cache_folder() / "profiles")
    whole = ours.profile(units)
    assert whole.tokens == sum(part.tokens for part in parts) == 60
    for name in ("shift", "delta", "act", "fired", "raw_shift", "raw_delta", "raw_sum"):
        np.testing.assert_array_equal(getattr(whole, name), sum(getattr(part, name) for part in parts))


def test_a_domain_is_opened_by_the_first_run_that_reads_it(place, tmp_path):
    ours = bench(place, tmp_path / "run")
    assert list(ours.domains) == ["sum", "patient", "fox", "colours"]
    assert ours.domains["sum"] is ours.taught("doctors").domains["sum"]
    assert ours.domains["fox"] is ours.taught("sums").domains["fox"]


def test_a_domain_too_long_for_the_model(place, tmp_path):
    write_rows(tmp_path / "fox.jsonl", 40, "quick brown fox " * 120)
    ours = bench(place, tmp_path / "run")
    with pytest.raises(DataError) as caught:
        ours.reading(ours.domains["fox"], ours.domains["patient"], tokens=60)
    assert str(caught.value) == (
        "fox: none of its 10 query rows fits the model's window of 512 tokens. "
        "Give it shorter rows, or take it out of the study."
    )


@pytest.mark.parametrize(
    ("kept", "expected"),
    [(None, "float32"), ("damaged", "float32"), ('["x"]', "float32"), ('{"dtype": "bfloat16"}', "bfloat16")],
)
def test_the_compute_type_is_chosen_once(tmp_path, tiny_model, tiny_sae, kept, expected):
    recipe = study_values(tiny_model)["recipe"]
    recipe["model"]["dtype"] = "auto"
    place, run = lay(tmp_path, tiny_model, tiny_sae, recipe=recipe), tmp_path / "run"
    run.mkdir()
    if kept is not None:
        (run / "compute.json").write_text(kept)
    assert bench(place, run).spec.dtype == expected
    assert json.loads((run / "compute.json").read_bytes()) == {"dtype": expected}
