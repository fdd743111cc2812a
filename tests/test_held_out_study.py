"""The page of held-out targets says what its data says, and its errors are those of plain arithmetic."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from mixplan.forecast.by_pilot import by_pilot
from mixplan.study.judged.table import read_table

STUDY = Path(__file__).parent.parent / "recipes" / "studies" / "smollm2-135m-held-out"
NUMBER = re.compile(r"-?\d+\.\d+")


@pytest.fixture(scope="module")
def judge():
    # Another study's module is called judge too.
    sys.path.insert(0, str(STUDY))
    former = sys.modules.pop("judge", None)
    try:
        import judge

        yield judge
    finally:
        sys.path.remove(str(STUDY))
        sys.modules.pop("judge", None)
        if former is not None:
            sys.modules["judge"] = former


@pytest.fixture(scope="module")
def data():
    pilots = {seed: json.loads((STUDY / f"pilots-{seed}.json").read_bytes()) for seed in (0, 1)}
    return read_table(STUDY / "table.json"), pilots, json.loads((STUDY / "registered.json").read_bytes())


def test_the_page_is_what_its_data_says(judge, data):
    table, pilots, asked = data
    made, kept = judge.page(table, pilots, asked["registered"], asked["hash"]), (STUDY / "RESULTS.md").read_text()
    assert NUMBER.sub("#", made) == NUMBER.sub("#", kept)
    numbers = [list(map(float, NUMBER.findall(text))) for text in (made, kept)]
    assert len(numbers[0]) > 60
    assert numbers[0] == pytest.approx(numbers[1], abs=2e-3)


def test_errors_are_of_both_jobs_in_the_domains_that_no_pilot_knew(judge, data, monkeypatch):
    table, pilots, _ = data
    seen = []

    def noted(short, *given):
        seen.append(short.changes)
        return by_pilot(short, *given)

    monkeypatch.setattr(judge, "by_pilot", noted)
    found = judge.held(table, "arithmetic", *judge.earlier(), pilots)
    moved = table.measures["kl"][table.targets.index("arithmetic")]
    rest = [
        place for place, name in enumerate(table.domains)
        if name not in found.measured and np.isfinite(moved[place]).all()
    ]  # fmt: skip
    assert (len(found.measured), len(rest)) == (3, 17)
    assert found.error("none") == pytest.approx(np.sqrt(np.mean(moved[rest] ** 2)))
    # The job of seed 0 is forecast by the pilot of seed 1, and the other way about.
    assert list(table.seeds) == [0, 1]
    for changes, other in zip(seen, (1, 0), strict=True):
        domains = pilots[other]["targets"]["arithmetic"]["domains"]
        assert changes == {name: (domains[name]["change"], domains[name]["error"]) for name in found.measured}
    # What was expected is the same for both jobs but for the pilot's.
    alike = {way: np.array_equal(one.change, other.change) for way, (one, other) in found.forecasts.items()}
    assert alike == {"none": True, "today": True, "without_pilot": True, "with_pilot": False}


def test_nothing_of_the_targets_is_learned_from(judge, data):
    runs, pairs = judge.earlier()
    held = set(data[0].targets)
    assert len(runs) == len(pairs) == 8
    assert not held & {run.name.split(": ")[-1] for run in runs}
    assert {pair.run for pair in pairs} == {run.hash for run in runs}
