"""The tables that `bin/log_forecasts.py` prints: of the shipped study as docs/evidence.md has them, and in parts."""

import sys
from pathlib import Path

import numpy as np
import pytest
from log_worlds import world

sys.path.insert(0, str(Path(__file__).parent.parent / "bin"))

import log_forecasts
from log_forecasts import BASE, Forecast, by_factors, by_logs, forecasts, judged, lines_of, minus, read_cells

from mixplan.forecast.evidence import SHIPPED
from mixplan.forecast.factors import Changes
from mixplan.forecast.log_ridge import Form
from mixplan.forecast.ways import errors_of as errors_of_ways
from mixplan.saved.evidence import Evidence
from mixplan.study.judged.learned import errors_of, left_out
from mixplan.study.judged.sizes import cells
from mixplan.study.judged.table import read_table

PAGE = Path(__file__).parent.parent / "docs" / "evidence.md"


@pytest.fixture(scope="module")
def study():
    return read_cells(log_forecasts.STUDY)


def test_the_pages_have_the_tables_as_they_are_printed():
    lines = lines_of(log_forecasts.STUDY)
    results = (log_forecasts.STUDY / "logarithms" / "RESULTS.md").read_text(encoding="utf-8")
    assert results.splitlines() == lines, "stale: run python bin/log_forecasts.py"
    page = PAGE.read_text(encoding="utf-8")
    assert [line for line in lines if line.startswith("|") and line not in page] == []


def test_factors_err_as_the_study_judged_them(study):
    """The study's own judgement, which reads the table by itself, has the same errors."""
    table = read_table(log_forecasts.STUDY / "table.json")
    size = cells("kl", table.measures["kl"], table.noise["kl"]).size
    change, _, _ = left_out(table, size, list(range(len(table.targets))), "sts_icl", True)
    found = judged(study[0], forecasts(study[0])[BASE])
    np.testing.assert_allclose(found.nats, errors_of(change, size))


@pytest.mark.parametrize(
    ("score", "best"),
    [("sts_icl", "logs"), ("sts_act", "logs"), ("preview_kl", "own"), ("behind_answers_raw", "own")],
)
def test_which_way_plans_of_the_embedded_model_take(score, best):
    """As the documentation says, by the evidence that comes with mixplan."""
    evidence = Evidence.model_validate_json((SHIPPED / "smollm2-135m.json").read_bytes())
    rows = [
        (domain.scores[score], domain.behaviour, name, number)
        for number, target in enumerate(evidence.targets.values())
        for name, domain in target.items()
        if domain.behaviour is not None
    ]
    scores, moved, names, runs = zip(*rows, strict=True)
    known = Changes(np.array(scores), np.array(moved), names, np.array(runs))
    assert errors_of_ways(known, logs=True).best == best


def test_errors_are_of_each_target_by_itself():
    known, *_ = world(np.random.default_rng(0), 3, 4, missing=0.0)
    apart = np.array([0.1, -0.2, 0.5])[known.runs]
    bend = np.where(np.array(known.domains) == "d0", 0.3, -0.1)
    made = Forecast(np.exp(known.changes) + apart, known.changes - apart - bend, (np.exp(known.changes), apart * 0))
    found = judged(known, made)
    np.testing.assert_allclose(found.nats, [0.1, 0.2, 0.5])
    np.testing.assert_allclose(found.strength, [0.1, 0.2, 0.5])
    np.testing.assert_allclose(found.known, np.sqrt(0.03))
    np.testing.assert_allclose(found.logs**2, found.strength**2 + found.known**2)
    assert found.inside == 0.0


def test_a_difference_has_the_interval_of_a_paired_t_test():
    assert minus(np.array([1.0, 2.0, 3.0]), np.zeros(3)) == "+2.000 [-0.484, 4.484]"
    assert minus(np.array([np.nan, 2.0]), np.zeros(2)) == "–"


def test_no_forecast_knows_the_target_it_is_judged_on():
    known, *_ = world(np.random.default_rng(1), 4, 5, missing=0.0)
    here = known.runs == 2
    moved = type(known)(
        known.changes + np.where(here, np.linspace(0, 3, len(here)), 0.0),
        known.covariates,
        *list(vars(known).values())[2:],
    )
    for make in (lambda one: by_logs(one, Form()), lambda one: by_factors(one, 0, own=True)):
        before, after = make(known), make(moved)
        np.testing.assert_array_equal(before.change[here], after.change[here])
        assert (before.change[~here] != after.change[~here]).all()
