"""Earlier runs are paired with their own pilots, studies' targets with those that come with mixplan."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from pilot_world import JOB, PILOT

from mixplan.forecast import earlier_pilots
from mixplan.forecast.earlier_pilots import earlier_pairs, paired, shipped_pairs
from mixplan.forecast.evidence import SHIPPED, run_of
from mixplan.forecast.measured_run import Found, Run
from mixplan.runs import file_hash
from mixplan.saved.evidence import Evidence
from mixplan.saved.pilot import Pilot, PilotDomain, write_pilot


def domain(change):
    return PilotDomain(change=change, error=0.001, rows=20)


def run(domains, **fields):
    found = {name: Found({}, None, change, **more) for name, (change, more) in domains.items()}
    return Run("earlier", fields.pop("hash", "h"), found, **{"job": JOB, **fields})


def test_a_pilot_is_paired_in_the_domains_that_both_moved():
    pilots = {"a": domain(0.01), "b": domain(-1e-5), "c": domain(0.02), "d": domain(0.03), "e": domain(0.01)}
    found = paired(run({"a": (0.1, {}), "b": (0.2, {}), "c": (None, {}), "d": (0.6, {})}), PILOT, pilots)
    assert found.domains == ("a", "d")
    np.testing.assert_allclose(found.pilot, np.log([0.01, 0.03]))
    np.testing.assert_allclose(found.job, np.log([0.1, 0.6]))
    assert found.log_ratio == pytest.approx(math.log(10))


def test_behind_extra_rows_only_the_arm_without_any_says_what_the_job_does():
    job = run({"a": (0.1, {"rows": 5.0, "bare": 0.4}), "b": (0.2, {})})
    found = paired(job, PILOT, {"a": domain(0.01), "b": domain(0.01)})
    assert found.domains == ("a",)
    np.testing.assert_allclose(found.job, np.log([0.4]))
    assert found.log_ratio == pytest.approx(math.log(10))
    # That arm made all its steps on target rows, of which the run itself made a part.
    alone = replace(job, alone=JOB.model_copy(update={"steps": 3 * JOB.steps}))
    assert paired(alone, PILOT, {"a": domain(0.01)}).log_ratio == pytest.approx(math.log(30))


def test_a_run_whose_job_is_not_known_or_that_shares_no_domain_is_no_pair():
    assert paired(run({"a": (0.1, {})}, job=None), PILOT, {"a": domain(0.01)}) is None
    assert paired(run({"a": (0.1, {})}), PILOT, {"b": domain(0.01)}) is None


def lay(place, *, text="{}"):
    place.mkdir(parents=True)
    (place / "outcome.json").write_text(text)
    write_pilot(
        Pilot(
            key="k",
            training="t",
            chosen="auto",
            job=PILOT,
            model="m",
            dtype="float32",
            seconds={},
            domains={"a": domain(0.01)},
        ),
        place / "pilot",
    )
    return file_hash(place / "outcome.json")


def test_pilots_beside_outcomes_are_found_and_damaged_ones_are_reported(tmp_path):
    marks = {name: lay(tmp_path / name, text=json.dumps(name)) for name in ("one", "two", "bad")}
    (tmp_path / "bad" / "pilot" / "pilot.json").write_text("{")
    runs = [run({"a": (0.1, {})}, hash=mark) for mark in marks.values()]
    found, warnings = earlier_pairs(runs, None, folder=tmp_path, run=tmp_path / "mine", model="m")
    assert {pair.run for pair in found} == {marks["one"], marks["two"]}
    assert len({pair.target for pair in found}) == 2
    (warning,) = warnings
    assert "bad/pilot/pilot.json" in warning
    assert "Remove it" in warning


def test_a_run_that_the_plan_does_not_learn_from_is_no_pair(tmp_path):
    lay(tmp_path / "one")
    assert earlier_pairs([], None, folder=tmp_path, run=tmp_path / "mine", model="m") == ((), ())


@pytest.mark.parametrize(
    ("model", "job"),
    [("another", {}), ("m", {"learning_rate": 1e-6}), ("m", {"adapter": "full"}), ("m", {"target_rows": 7})],
)
def test_a_pilot_that_an_earlier_plan_left_behind_is_no_pair(tmp_path, model, job):
    mark = lay(tmp_path / "one")
    one = run({"a": (0.1, {})}, hash=mark, job=JOB.model_copy(update=job))
    assert earlier_pairs([one], None, folder=tmp_path, run=tmp_path / "mine", model=model) == ((), ())


@pytest.mark.parametrize(("study", "count"), [("smollm2-135m", 8), ("smollm2-135m-held-out", 6)])
def test_the_pilots_that_come_with_mixplan_are_those_of_its_studies(study, count):
    evidence = Evidence.model_validate_json((SHIPPED / f"{study}.json").read_bytes())
    runs = [run_of(evidence, "mark", target) for target in evidence.targets]
    found = {pair.run: pair for pair in shipped_pairs(runs)}
    assert len(found) == count
    for one in (one for one in runs if one.hash in found):
        pair = found[one.hash]
        assert pair.log_ratio == pytest.approx(math.log(25 / 3))
        jobs = [math.log(one.domains[name].behaviour) for name in pair.domains]
        np.testing.assert_allclose(pair.job, jobs)
        assert pair.pilot.max() < pair.job.max()


def test_a_study_without_pilots_has_no_pairs(tmp_path, monkeypatch):
    monkeypatch.setattr(earlier_pilots, "SHIPPED", tmp_path)
    assert list(shipped_pairs([run({"a": (0.1, {})}, studied=True)])) == []
