"""A judgement tried before training: what it refuses, what it leaves behind, and the changes that it makes up."""

import numpy as np
import pytest
from small_study import bench, lay, study

from mixplan.errors import RunError
from mixplan.saved.evaluation import Measured
from mixplan.study.jobs import cells_of
from mixplan.study.judge import marks_of
from mixplan.study.judged.dry_run import moved_items, rehearse
from mixplan.study.reading.forecasts import read_forecasts


def test_a_mark_that_names_no_figure_is_refused_before_anything_is_trained(tmp_path, tiny_model, tiny_sae):
    marks = [{"text": "It holds.", "quantity": "chosen/kl/pearsons/held_out", "at_least": 0.5}]
    place, run = lay(tmp_path, tiny_model, tiny_sae, marks=marks), tmp_path / "run"
    with pytest.raises(RunError) as caught:
        study(place, run)
    assert str(caught.value) == (
        "study mark 'chosen/kl/pearsons/held_out': there is no 'pearsons' in the judgement. Did you mean 'pearson'?"
    )
    assert not (run / "cells").exists()
    # Processes beside this one begin to train once it is there.
    assert not (run / "forecasts.json").exists()


def test_marks_that_name_figures_pass_and_nothing_is_written(tmp_path, tiny_model, tiny_sae):
    ours = bench(lay(tmp_path, tiny_model, tiny_sae), tmp_path / "run")
    readings = read_forecasts(ours)
    before = sorted(ours.run.rglob("*"))
    rehearse(ours, cells_of(ours.study, ours.run), readings, marks_of(ours.study))
    assert sorted(ours.run.rglob("*")) == before


def test_made_up_items_move_together_and_divergences_upwards():
    items = Measured("x", ("a", "b", "c"), {"kl": (0.0, 0.0, 0.0), "bits_per_byte": (1.0, 2.0, 3.0)}, {})
    rng = np.random.default_rng(0)
    moved = [moved_items(items, rng) for _ in range(40)]
    assert all(min(one.values["kl"]) > 0 for one in moved)
    steps = np.array([np.subtract(one.values["bits_per_byte"], (1.0, 2.0, 3.0)) for one in moved])
    assert {-1.0, 1.0} == set(np.sign(steps.mean(1)))
    assert (steps.std(1) < 0.05 * np.abs(steps.mean(1))).all()
