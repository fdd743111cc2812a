"""Rows that halve a domain's loss, learned from arms that were made up by a known number."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from as_saved import plain
from made_arms import bits, compared

from mixplan.study.arms.response import compared_values, losses_of, response_of
from mixplan.study.results.arms import response

ROWS = {"none": (0, 0), "uniform": (10, 10), "plan": (16, 4), "random": (1, 19)}
LOST = (0.6, 0.2)


def made(target, half, *, shift=0.0, names=("prose", "fox")):
    """One target whose domains lose by the rule: the arm `random` alone does not follow it."""
    before = bits([5] * 4, **dict.fromkeys(names, [1] * 6))
    arms = {}
    for arm, rows in ROWS.items():
        left = [(lost + shift) / (1 + count / half) for lost, count in zip(LOST, rows, strict=True)]
        numbers = {name: [1 + (9 if arm == "random" else loss)] * 6 for name, loss in zip(names, left, strict=True)}
        arms[arm] = [bits([1] * 4, **numbers)] * 2
    one = compared(target, before, arms)
    return replace(one, rows={arm: dict(zip(names, rows, strict=True)) for arm, rows in ROWS.items()})


def test_the_number_behind_the_arms_is_found_and_what_it_is_worth():
    study = {name: {20: made(name, 8.0, shift=number / 10)} for number, name in enumerate(("sums", "poems", "laws"))}
    found = plain(response_of(study, assumed=100.0))
    assert found["half"] == pytest.approx(8, rel=1e-3)
    assert (found["quantity"], found["assumed"], found["cases"], found["helps"]) == ("bits_per_byte", 100.0, 12, True)
    assert found["error"] == pytest.approx(0, abs=1e-4)
    lost = [(lost + number / 10, rows) for number in range(3) for arm in ("uniform", "plan")
            for lost, rows in zip(LOST, ROWS[arm], strict=True)]  # fmt: skip
    by_hand = [(one / (1 + rows / 8) - one) ** 2 for one, rows in lost]
    assert found["error_nothing"] == pytest.approx(np.sqrt(np.mean(by_hand)))
    assert found["text"].startswith(
        "8 [8, 8] rows of its own halve a domain's loss, over 12 losses of 3 targets with 20 extra rows; in targets "
    )
    assert found["text"].endswith("what was learned helps.")
    assert found["text"] in " ".join(response(SimpleNamespace(response=SimpleNamespace(text=found["text"]))))


def test_every_domain_of_an_arm_with_rows_counts_whether_it_got_some_or_not():
    one = made("sums", 8.0)
    bare = replace(one, rows=one.rows | {"plan": {"prose": 20, "fox": 0}})
    found = losses_of({20: bare}, "bits_per_byte")
    assert (found.rows.tolist(), found.total.tolist()) == ([10, 10, 20, 0], [20] * 4)
    assert compared_values({"sums": {20: bare}})["sums"].total == [20] * 4


def test_rows_that_save_nothing_are_said_to():
    study = {name: {20: made(name, -40.0)} for name in ("sums", "poems", "laws")}
    found = plain(response_of(study, assumed=20.0))
    assert (found["half"], found["helps"]) == (None, False)
    assert found["text"].startswith("By no number: over 12 losses of 3 targets with 20 extra rows, rows saved nothing;")


def test_one_target_or_no_common_quantity_teaches_nothing():
    assert response_of({"sums": {20: made("sums", 8.0)}}, assumed=20.0) is None
    other = compared("poems", {"prose": {"kl": [0.0]}}, {"none": [{"prose": {"kl": [1.0]}}]})
    assert response_of({"sums": {20: made("sums", 8.0)}, "poems": {20: other}}, assumed=20.0) is None
    assert list(response(SimpleNamespace(response=None))) == []
