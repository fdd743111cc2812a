"""RESULTS.md of a made-up study: figures are the judgement's, each question is answered, misses are reported."""

import re
from copy import deepcopy
from dataclasses import replace

import pytest
from random_table import random_table
from study_pages import MARKS, STUDY, judged_values, page

from mixplan.study.results.figures import in_short


@pytest.fixture(scope="module")
def parts():
    table = random_table()
    judged = judged_values(table, marks=MARKS, resamples=20, seed=1)
    return judged, table, page(STUDY, judged, table)


def two(value, sign=""):
    return format(value, f"{sign}.2f")


def test_what_was_registered_stands_behind_the_answers(parts):
    text = parts[2]
    assert text.startswith("# What holds[U+202E]\n")
    asked = text.partition("## How it was asked\n")[2].partition("## ")[0]
    for said in (STUDY["hash"], STUDY["command"], "mixplan 0.1, torch 2.13", "| t0, t1, t2 |", "| t3, t4, t5 |"):
        assert said in asked


def test_seeds_that_are_still_missing_are_told_first(parts):
    judged, table, finished = parts
    more = {**STUDY, "study": {**STUDY["study"], "seeds": [*table.seeds, 98, 99]}}
    text = page(more, judged, table)
    assert (
        f"**Not finished: 2 of {len(table.seeds) + 2} training seeds are still missing here.**"
        in text.partition("## ")[0]
    )
    assert "Not finished" not in finished


def test_what_is_not_looked_into_yet_is_told_first(parts):
    judged, table, _ = parts
    asked = {"features": [], "demonstrations": [1], "tokens": [], "saes": {}, "trained": {}}
    text = page({**STUDY, "study": {**STUDY["study"], "ablations": asked}}, judged, table)
    told = "**Not finished: targets' own features, features taken out and other settings are still to be looked into.**"
    assert told in text.partition("## ")[0]


def test_a_missed_mark_is_said_as_plainly_as_a_reached_one(parts):
    judged, _, text = parts
    mark = judged["marks"][0]
    found = f"{two(mark['value'])} [{two(mark['low'])}, {two(mark['high'])}]"
    assert "**1 of 2 marks were reached.**" in text
    head = "| Pearson of the chosen one \\| held out | at least 0.9 and interval above 0.5"
    assert f"{head} | {found} | not reached |" in text
    assert "| half of the dimensions | at least 50 | 50.00 [50.00, 50.00] | **reached** |" in text


def test_each_predictor_stands_with_its_scores_and_intervals(parts):
    judged, table, text = parts
    for part in ("held_out", "development", "all"):
        for name in table.predictors:
            entry = judged["pooled"][part]["kl"]["pearson"][name]
            line = f"| {two(entry['value'])} [{two(entry['low'])}, {two(entry['high'])}] |"
            assert any(row.startswith(f"| `{name}` |") and line in row for row in text.splitlines())
    assert "| `actual` | needs the trained model |" in text
    assert "| `size` | competitor |" in text


def test_the_choice_and_its_held_out_score_are_told(parts):
    judged, _, text = parts
    choice = judged["chosen"]["kl"]["pearson"]
    assert "**Chosen of 2 forecasts by its Pearson score: `lucky`.**" in text
    assert f"no part in the choice, {two(choice['held_out']['value'])} [" in text
    assert "**By Pearson, `lucky` is surely ahead of 0 of 2 competitors** on the held-out targets" in text


def test_a_score_that_no_forecast_has_on_one_development_target_leaves_no_choice():
    whole = random_table()
    table = replace(whole, development=whole.targets[:1])
    text = page(STUDY, judged_values(table, marks=[], resamples=0, seed=0), table)
    assert "By centred no forecast was chosen: none has that score on the targets that choices are made on." in text


def test_each_question_has_its_section(parts):
    assert re.findall("^## (.*)$", parts[2], re.MULTILINE) == [
        "In short",
        "How it was asked",
        "Did it reach what was promised?",
        "Do forecasts that cost no training say which domains move?",
        "Is it ahead of what is cheap, and of how movable a domain is anyway?",
        "Does it hold among domains of one kind?",
        "And with the other measures?",
        "How many predicted drift dimensions does training move?",
        "Does it tell a gain from a loss?",
        "Do domains differ by more than noise?",
        "Target by target",
        "Limits",
    ]
    assert "10.0 % of cells have no behaviour (token KL, nats a token), such as a target's own data" in parts[2]


def test_what_a_study_lacks_has_no_section_and_a_flattered_choice_says_so():
    whole = random_table()
    table = replace(
        whole,
        development=(),
        overlaps={},
        live={},
        drift_features={},
        signs={},
        measures={"kl": whole.measures["kl"]},
        noise={"kl": whole.noise["kl"]},
    )
    text = page(STUDY, judged_values(table, marks=[], resamples=0, seed=0), table)
    assert "It was chosen on the very targets it is judged on" in text
    for title in ("promised?", "drift dimensions does", "gain from a loss", "other measures"):
        assert f"{title}" not in "".join(re.findall("^## .*$", text, re.MULTILINE))


def test_each_answer_stands_at_the_top_with_its_question(parts):
    answers = parts[2].partition("## In short\n\n")[2].partition("\n\n")[0].splitlines()
    assert answers[0] == "- *Did it reach what was promised?* 1 of 2 marks were reached."
    assert answers[1].startswith(
        "- *Do forecasts that cost no training say which domains move?* Chosen of 2 forecasts by its Pearson score: "
    )
    assert in_short(
        ["text", "**bold before any question**", "## Why?", "plain", "**So.** And so.", "**And this.**"]
    ) == [
        "## In short",
        "- *Why?* So. And so. And this.",
    ]
    assert in_short(["## Why?", "plain"]) == []


def test_where_no_cell_surely_moved_no_direction_is_judged(parts):
    judged, table, _ = parts
    changed = deepcopy(judged)
    for one in (
        *changed["sign"]["all"]["bits_per_byte"].values(),
        changed["sign"]["chosen"]["bits_per_byte"]["held_out"],
    ):
        one["moved"] = 0
    text = page(STUDY, changed, table).partition("## Does it tell a gain from a loss?\n\n")[2]
    assert text.partition("\n\n## ")[0] == (
        "likelihood (bits a byte of the reference answer): no cell surely moved on held-out targets, so no direction "
        "can be judged."
    )
