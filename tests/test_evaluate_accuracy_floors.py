"""An accuracy that has nothing to lose is known, and another measure replaces it for its domain."""

import math

import pytest
from evaluated import choice_rows

from mixplan.evaluate.accuracy_floors import Floor, floor_of
from mixplan.saved.evaluation import Measured

ROWS = choice_rows(24)
CHANCE = sum(1 / len(row.options) for row in ROWS) / 24
FREE = [f"r:{i}" for i in range(24)]


def choice(right):
    values = tuple([1.0] * right + [0.0] * (24 - right))
    return Measured("choice", tuple(row.id for row in ROWS), {"correct": values, "gold_probability": values}, {})


def exact(right, items=24):
    return Measured("exact", tuple(FREE[:items]), {"score": tuple([1.0] * right + [0.0] * (items - right))}, {})


MOVED = {"behaviour": Measured("behaviour", tuple(FREE), {"kl": (0.0,) * 24}, {})}


@pytest.mark.parametrize(("right", "floor"), [(0, True), (5, True), (6, False), (24, False)])
def test_free_answers_need_six_to_lose(right, floor):
    """Five losses of five: the signs of five flips are alike once in sixteen times."""
    found = floor_of("exact", {"exact": exact(right)} | MOVED, (), named=False)
    told = {"measure": "exact", "quantity": "score", "value": right / 24, "chance": 0.0, "items": 24}
    assert found == (Floor(**told, instead="behaviour") if floor else None)


def test_choices_need_more_than_guessing_gives():
    """The fewest right answers of 24 that guessing at 3, 2 and 4 options gives less often than 1 in 20 times."""

    def guessed(right):
        return sum(math.comb(24, k) * CHANCE**k * (1 - CHANCE) ** (24 - k) for k in range(right, 25))

    found = {right: floor_of("choice", {"choice": choice(right)} | MOVED, ROWS, named=False) for right in range(25)}
    assert {right for right, floor in found.items() if floor is None} == {k for k in range(25) if guessed(k) <= 0.05}
    assert found[8].chance == pytest.approx(CHANCE)
    told = {"measure": "choice", "quantity": "correct", "value": 8 / 24, "chance": found[8].chance, "items": 24}
    assert found[8] == Floor(**told, instead="behaviour")
    assert found[24] is None


def test_what_stands_instead():
    prose = Measured("likelihood", tuple(FREE), {"bits_per_byte": (1.0,) * 24}, {})
    measures = {"exact": exact(0), "likelihood": prose} | MOVED
    assert floor_of("exact", measures, (), named=False).instead == "likelihood"
    assert floor_of("exact", measures, (), named=True).instead is None
    assert floor_of("exact", {"exact": exact(0)}, (), named=False).instead is None


def test_few_items_and_other_measures_have_no_floor():
    assert floor_of("exact", {"exact": exact(0, 5)} | MOVED, (), named=False) is None
    assert floor_of("exact", {"exact": exact(5, 6)} | MOVED, (), named=False).instead == "behaviour"
    assert floor_of("exact", {"exact": exact(6, 6)} | MOVED, (), named=False) is None
    assert floor_of("behaviour", MOVED, (), named=False) is None
    assert floor_of("exact", MOVED, (), named=False) is None


@pytest.mark.parametrize("metric", ["acc", "exact_match"])
def test_a_harness_s_task_has_the_floor_of_its_options(metric):
    """It is the same accuracy, whichever harness took it."""
    for right in range(25):
        own = choice(right)
        task = Measured("lm_eval", own.rows, {metric: own.values["correct"]}, {}, {metric: 1})
        found = floor_of("lm_eval", {"lm_eval": task}, ROWS, named=True)
        expected = floor_of("choice", {"choice": own}, ROWS, named=True)
        assert (found is None) == (expected is None)
        if found and expected:
            changed = {"measure": "lm_eval", "quantity": metric}
            assert found == expected.model_copy(update=changed)


def test_a_metric_that_is_no_share_of_right_answers_has_no_floor():
    for metric, values in {"perplexity": (1.0,) * 24, "score": (5.0,) * 24}.items():
        task = Measured("lm_eval", tuple(FREE), {metric: values}, {})
        assert floor_of("lm_eval", {"lm_eval": task}, (), named=True) is None
