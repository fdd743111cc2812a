"""Scores are kept by all that they were measured from, apart for each look, and come back as they were."""

import re

import pytest
from small_plan import recipe  # noqa: F401 - a fixture is used by its name

from mixplan.domains import open_domains
from mixplan.errors import RunError
from mixplan.plan.kept_scores import KeptScores
from mixplan.reading.progress import Silent
from mixplan.reading.workers import Workers
from mixplan.recipe import load_recipe


def kept(path, *overrides: str) -> KeptScores:
    loaded = load_recipe(path, overrides)
    return KeptScores(loaded, *open_domains(loaded.recipe, folder=path.parent), Silent())


def test_scores_are_measured_once_and_come_back_as_they_were(recipe, monkeypatch):
    first = kept(recipe)
    found = first.at(None)
    again = kept(recipe)
    monkeypatch.setattr(KeptScores, "measured", lambda self, look: pytest.fail("measured again"))
    assert again.at(None) == found
    assert again.watcher.said == ["scores are reused from an earlier run; no model is loaded"]


def test_another_look_and_other_reading_have_places_of_their_own(recipe):
    fixed, fewer = kept(recipe), kept(recipe, "sts.query_tokens=80")
    assert fewer.place(None) != fixed.place(None)
    assert kept(recipe).place(None) == fixed.place(None)
    automatic = kept(recipe, "sts.query_tokens=auto")
    looks = [{"target": one, "fox": other} for one in range(2) for other in range(3)]
    assert len({automatic.place(None), *map(automatic.place, looks)}) == 7
    # What the rows are spread by does not change what is read.
    assert kept(recipe, "budget.rows=7").place(None) == fixed.place(None)


def test_what_is_warned_of_in_one_way_of_training_is_not_taken_for_another(recipe):
    """Scores hold the warnings of what a chat template leaves out of the rows that SFT trains."""
    rewarded = ("train.method=grpo", "train.args={learning_rate: 1.0e-6}")
    assert kept(recipe, *rewarded).place(None) != kept(recipe).place(None)
    assert kept(recipe, *rewarded, "budget.rows=7").place(None) == kept(recipe, *rewarded).place(None)


def test_damaged_scores_are_measured_again(recipe):
    first = kept(recipe)
    found = first.at(None)
    place = first.place(None)
    place.write_bytes(place.read_bytes()[:-3])
    again = kept(recipe)
    assert again.at(None) == found
    assert "loading" in again.watcher.said[0]


def test_processes_take_what_the_first_finds(recipe, monkeypatch):
    """One that found scores where the first did not would never come to the others' reading, and they would wait."""
    first = kept(recipe)
    absent = first.place(None)
    monkeypatch.setattr(Workers, "agreed", lambda self, make: [1])
    with pytest.raises(RunError, match=re.escape(f"{absent}: the first process finds scores there, and this one does")):
        first.at(None)
    monkeypatch.setattr(Workers, "agreed", lambda self, make: [0])
    found = first.at(None)
    again = kept(recipe)
    assert again.at(None) == found
    assert "loading" in again.watcher.said[0]
    asked = []
    monkeypatch.setattr(Workers, "agreed", lambda self, make: asked.append(make()) or asked[-1])
    assert kept(recipe).at(None) == found
    assert asked == [[1]]
