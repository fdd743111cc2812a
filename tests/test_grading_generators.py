"""What is known of reasoning-gym's scorers: for the pinned version, as the page says it, and still so when tried."""

import importlib.metadata
import json
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from reasoning_gym.factory import DATASETS

sys.path.insert(0, str(Path(__file__).parent.parent / "bin"))

import graders

from mixplan.grading.generators import known, warnings_of
from mixplan.grading.process import GradingProcess


def test_every_generator_of_the_pinned_version_is_known():
    saved = json.loads((files("mixplan") / "grading" / "generators.json").read_text())
    assert saved["reasoning_gym"] == importlib.metadata.version("reasoning-gym")
    # `composite` makes nothing without options that name other generators.
    assert set(DATASETS) - set(known()) == {"composite"}


def test_the_page_says_what_the_package_knows():
    page = graders.page(importlib.metadata.version("reasoning-gym"), known())
    assert (Path(__file__).parent.parent / "docs" / "graders.md").read_text() == page


@pytest.mark.parametrize(
    "name", ["gsm_symbolic", "puzzle24", "game_of_life_halting", "chain_sum", "decimal_arithmetic"]
)
def test_the_probes_still_find_it(name):
    process = GradingProcess(seconds=10)
    try:
        found = graders.facts_of(name, 6, process)
    finally:
        process.close()
    facts = known()[name]
    assert (found.own, found.none, found.options) == (facts.own, facts.none, facts.options)
    # The same seeds, so the same first entries.
    for kind, part in facts.wrong.items():
        assert part not in (0.0, 1.0) or found.wrong[kind] == part


def test_what_is_told_of_generators():
    assert list(warnings_of("gsm_symbolic", rewarded=True)) == []
    assert list(warnings_of("nowhere", rewarded=False)) == []
    assert list(warnings_of("puzzle24", rewarded=False)) == [
        "generator puzzle24: its scorer accepts wrong answers: another entry's answer in 100% of entries."
    ]
    assert list(warnings_of("graph_color", rewarded=False)) == [
        "generator graph_color: 100% of its entries have no answer."
    ]
    assert list(warnings_of("arc_agi", rewarded=False)) == [
        "generator arc_agi: its scorer accepts only 0% of its own answers once they are saved."
    ]
    score = known()["chain_sum"].partial["one more digit"]
    assert list(warnings_of("chain_sum", rewarded=True)) == [
        f"generator chain_sum: its scorer rewards wrong answers: one more digit scores {score:.2f} on average."
    ]
    assert list(warnings_of("chain_sum", rewarded=False)) == []
