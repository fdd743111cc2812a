"""The scores among domains of one kind: answers against the judgement of a made-up study."""

from random_table import random_table
from study_pages import judged_values, results

from mixplan.study.results.kinds import CENTRED, KINDS, by_kind


def test_each_kind_is_judged_and_small_ones_are_named():
    table = random_table()
    judged = judged_values(table, marks=[], resamples=0, seed=1)
    kinds = judged["kinds"]["all"]["kl"]
    title, pearson, centred, words, *tables = by_kind(results(judged), table, "kl")
    assert title == "## Does it hold among domains of one kind?"
    for said, score, name in ((pearson, "pearson", "Pearson"), (centred, "centred", "centred")):
        chosen = judged["chosen"]["kl"][score]["forecast"]
        entry = kinds["short"][score][chosen]
        number = int(entry["low"] > 0)
        assert said == (
            f"**By {name}, `{chosen}` is surely above 0 in {number} of 1 kinds**, all targets: "
            f"short {entry['value']:.2f} [{entry['low']:.2f}, {entry['high']:.2f}]."
        )
    assert words.startswith(KINDS)
    assert words.endswith("Left out, with fewer than 4 domains: text and code.")
    assert [block.splitlines()[0] for block in tables] == ["Pearson, all targets:", "centred, all targets:"]
    good = kinds["short"]["centred"]["good"]
    assert f"| `good` | {good['value']:.2f} [{good['low']:.2f}, {good['high']:.2f}] |" in tables[1]


def test_a_predictor_that_is_alike_for_all_targets_has_no_centred_score():
    table = random_table()
    judged = judged_values(table, marks=[], resamples=0, seed=1)
    assert judged["kinds"]["all"]["kl"]["short"]["centred"]["size"]["value"] is None
    assert "| `size` | – |" in list(by_kind(results(judged), table, "kl"))[-1]
    assert "has no answer (–)" in CENTRED.replace("\n", " ")


def test_without_kinds_there_is_no_section_and_without_a_choice_no_score():
    table = random_table()
    judged = judged_values(table, marks=[], resamples=0, seed=1)
    assert list(by_kind(results(judged | {"kinds": {}}), table, "kl")) == []
    assert list(by_kind(results(judged | {"chosen": {}}), table, "kl"))[1] == "**By Pearson no forecast was chosen.**"
