"""Which domains a pilot is measured on: the recipe's, those that tell most in earlier targets, or spread ones."""

from types import SimpleNamespace

import pytest
from pilot_world import JOB, NAMES, PILOT, World

from mixplan.forecast import History, Planned
from mixplan.forecast.completion_choice import LEAST, MOST, choose
from mixplan.forecast.earlier_changes import table_of
from mixplan.forecast.target_only import comparable
from mixplan.pilot import choice


@pytest.fixture
def ask(monkeypatch, tmp_path):
    """Choose for a recipe, with earlier runs as they are given."""

    def found(runs, *, asked="auto", names=NAMES):
        monkeypatch.setattr(choice, "kind_of", lambda *_: None)
        monkeypatch.setattr(choice, "earlier_runs", lambda *_, **__: History(tuple(runs)))
        monkeypatch.setattr(choice, "with_studies", lambda history, *_, **__: (history, ()))
        forecast = SimpleNamespace(runs=[], pilot=SimpleNamespace(domains=asked))
        recipe = SimpleNamespace(forecast=forecast, domains=dict.fromkeys(names))
        loaded = SimpleNamespace(recipe=recipe, folder=lambda _: tmp_path)
        scores = SimpleNamespace(domains=dict.fromkeys(sorted(names)), model=SimpleNamespace(hash="m"))
        return choice.chosen(loaded, tmp_path / "run", Planned(job=JOB), scores, PILOT)

    return found


def test_the_recipes_own_are_taken_as_they_stand(ask):
    assert ask([], asked=["d3", "d1"]) == (["d3", "d1"], "the pilot is measured on 2 domains, as the recipe names them")


def test_those_that_tell_most_in_earlier_targets_are_chosen(ask):
    world = World(0)
    found, sentence = ask(world.runs())
    table = table_of(comparable(world.runs(), Planned(job=JOB), lambda: None), NAMES)
    assert LEAST <= len(found) <= MOST
    assert found[0] in {NAMES[place] for place in choose(table.logs).places}
    assert "which tell most of the others in 8 earlier targets" in sentence


@pytest.mark.parametrize("runs", [0, 2])
def test_with_too_few_earlier_targets_they_are_spread_over_the_recipes_order(ask, runs):
    many = tuple(f"d{number}" for number in range(28))
    found, sentence = ask(World(1).runs(range(runs)), names=many)
    assert found == [many[place] for place in range(0, 28, 3)]
    assert f"({runs} of at least 3)" in sentence
    assert ask([], names=NAMES[:4])[0] == list(NAMES[:4])
