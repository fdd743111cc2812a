"""Zeroed features and targets' own ones in RESULTS.md: each answer against figures put there by hand."""

import pytest
from as_saved import plain
from random_table import random_table
from saved_further import about, further, labelled, zeroing
from study_pages import STUDY, judged_values, looked_into, page

from mixplan.study.ablations.own_features import mean_of, over_targets
from mixplan.study.ablations.zeroing import DIFFERENCES, differences
from mixplan.study.results.target_features import labelled_section, zeroing_section


def zeroed(values):
    """zeroing.json, read."""
    return looked_into({"zeroing": values}).zeroing


def test_the_samples_are_what_a_study_saves():
    saved = zeroing()
    cells = [(name.removesuffix("-0"), entry) for name, entry in looked_into(further()).zeroing.cells.items()]
    found = plain(differences(cells))
    assert found.keys() == saved["differences"].keys()
    for quantity, pairs in found.items():
        assert set(pairs) == set(saved["differences"][quantity]) == {f"{one} - {other}" for one, other in DIFFERENCES}
    assert found["score"]["drift - none"]["low"] is None  # one target
    entries = [entry.actual for entry in looked_into(further()).labelled.targets.values()]
    assert over_targets(entries).values().keys() == labelled()["actual"].keys()
    assert mean_of(entries).values().keys() == entries[0].values().keys()


def test_what_a_target_loses_without_its_drift_dimensions():
    saved = zeroing()
    title, likelihood, score, activity, _words, pairs, bits, graded, active = zeroing_section(
        looked_into({"zeroing": saved}).zeroing
    )
    assert title == "## Does a trained target need the features that drifted?"
    assert likelihood == (
        "likelihood (bits a byte of the reference answer): **without the 100 features that training moved most a "
        "target surely loses more than without 100 others that are about as active: +0.300 [+0.200, +0.400] "
        "(4 targets).** It surely loses more than without 100 blindly drawn ones: +0.300 [+0.200, +0.400] (4 targets). "
        "Without the 100 that were predicted to move it neither surely loses more nor less than without 100 others "
        "that are about as active: +0.100 [-0.100, +0.300] (4 targets). Taking the moved ones out is surely a loss "
        "against taking nothing out: +0.300 [+0.200, +0.400] (4 targets)."
    )
    # Fewer right answers are a loss; one target has no interval, so nothing of it is sure.
    assert "It surely loses more than without 100 blindly drawn ones: -0.300 [-0.400, -0.200] (4 targets)." in score
    assert "**without the 100 features that training moved most a target neither surely loses more nor less" in score
    assert activity == (
        "The features drawn as equally active are in sum less active than the drift dimensions in 1 of 2 trainings: "
        "where they are far less so (last table), part of a difference may be activity after all."
    )
    assert len(pairs.splitlines()) == 2 + len(DIFFERENCES)
    assert "| actual drift out less as active out | +0.300 [+0.200, +0.400] (4 targets) | -0.400 (4 targets) |" in pairs
    assert bits.splitlines()[-2] == (
        "| t0-0 | 2.000 | 1.000 | 1.500 | 1.300 | 1.010 [1.000, 1.020] | 1.200 [1.190, 1.210] |"
    )
    assert [line.split(" | ")[0] for line in graded.splitlines()[4:]] == ["| t1-0"]
    assert active.splitlines()[-2:] == [
        "| t0-0 | 40.0 | 41.0 | 3.00 | 30.0 |",
        "| t1-0 | 40.0 | 41.0 | 3.00 | 41.0 |",
    ]


@pytest.mark.parametrize(
    ("quantity", "value", "said"),
    [
        ("bits_per_byte", 0.3, "surely loses more than"),
        ("bits_per_byte", -0.3, "surely loses less than"),
        ("bits_per_byte", 0.01, "neither surely loses more nor less than"),
        ("score", 0.3, "surely loses less than"),
        ("score", -0.3, "surely loses more than"),
        ("bits_per_byte", None, "neither surely loses more nor less than"),
    ],
)
def test_more_bits_and_fewer_right_answers_are_losses(quantity, value, said):
    saved = zeroing()
    saved["differences"] = {quantity: saved["differences"][quantity] | {"drift - matched": about(value, 0.1)}}
    answer = list(zeroing_section(zeroed(saved)))[1]
    assert f"a target {said} without 100 others" in answer
    ending = "–" if value is None else f"{value:+.3f} [{value - 0.1:+.3f}, {value + 0.1:+.3f}] (4 targets)"
    assert f"about as active: {ending}.**" in answer


def test_stand_ins_that_are_as_active_need_no_warning():
    saved = zeroing()
    saved["cells"]["t0-0"]["matched"]["activation"] = 40.5
    assert list(zeroing_section(zeroed(saved)))[3] == (
        "The features drawn as equally active are in sum less active than the drift dimensions in 0 of 2 trainings."
    )


def test_recall_of_a_target_s_own_features():
    title, moved, predicted, words, table = labelled_section(looked_into(further()).labelled)
    assert title == "## Are a target's own features among those that move most?"
    assert moved == (
        "**Of a target's own features 0.80 [0.75, 0.85] are among the 500 that training moved most, surely more than "
        "of others that are about as active** (0.60 [0.55, 0.65]; paired difference +0.20 [+0.10, +0.30]). Blindly "
        "drawn ones: 0.250. Mean over 4 targets."
    )
    assert "among the 500 predicted to move, not surely more or fewer than of others" in predicted
    assert "up to 100 that are more active" in words
    assert "at least 0.5 % of its tokens" in words
    assert table.splitlines()[2].startswith("| t0 | 100 | 0.800 | 0.600 | 0.250 (one draw in 40 above 0.330) | 0.700 |")
    assert table.splitlines()[-1] == "| t3 | 0 | – | – | – | – | – | – |"
    fewer = labelled()
    fewer["actual"] |= {"difference": about(-0.2, 0.1)}
    fewer["predicted"] |= {"recall": about(None)}
    _, moved, predicted, *_ = labelled_section(looked_into({"labelled": fewer}).labelled)
    assert "surely fewer than of others" in moved
    assert predicted == "**No target has features of its own, so none is among the 500 predicted to move.**"


def test_what_is_not_there_has_no_section():
    assert list(zeroing_section(None)) == list(labelled_section(None)) == []
    table = random_table()
    judged = judged_values(table, marks=[], resamples=0, seed=1)
    without, whole = (page(STUDY, judged, table, seen) for seen in (None, further()))
    assert "features.svg" not in without
    added = [line for line in whole.splitlines() if line.startswith("## ") and line not in without]
    assert added == [
        "## Does it depend on how many features count as drift dimensions?",
        "## Does it depend on the number of demonstrations?",
        "## Does it depend on how many tokens are read?",
        "## Does it depend on the SAE?",
        "## In how few features does a job's change lie?",
        "## Does a trained target need the features that drifted?",
        "## Are a target's own features among those that move most?",
    ]
