"""Marks reached and missed, and what is said of one that names no figure."""

import pytest
from as_saved import plain

from mixplan.errors import RunError
from mixplan.study.judged.pass_marks import Mark, judge_marks

JUDGED = {"chosen": {"kl": {"pearson": {"held_out": {"value": 0.7, "low": 0.5, "high": 0.8}}}}, "seed": 3}
HELD_OUT = "chosen/kl/pearson/held_out"


@pytest.mark.parametrize(
    ("at_least", "low_above", "reached"),
    [(0.7, 0.49, True), (0.71, None, False), (None, 0.5, False), (None, None, True), (0.7, 0.5, False)],
)
def test_a_mark_is_reached_by_its_value_and_its_lower_end(at_least, low_above, reached):
    (found,) = plain(judge_marks(JUDGED, [Mark("as good as said", HELD_OUT, at_least, low_above)]))
    assert found == {
        "text": "as good as said",
        "quantity": HELD_OUT,
        "at_least": at_least,
        "low_above": low_above,
        "value": 0.7,
        "low": 0.5,
        "high": 0.8,
        "reached": reached,
    }


def test_what_is_not_defined_is_not_reached():
    judged = {"here": {"value": None, "low": None}}
    (found,) = plain(judge_marks(judged, [Mark("x", "here", 0.0)]))
    assert (found["reached"], found["high"]) == (False, None)
    (found,) = plain(judge_marks({"here": {"value": 1.0, "low": None}}, [Mark("x", "here", 0.0, 0.0)]))
    assert found["reached"] is False


@pytest.mark.parametrize(
    ("quantity", "message"),
    [
        (
            "chosen/kl/pearsn/held_out",
            "study mark 'chosen/kl/pearsn/held_out': there is no 'pearsn' in the judgement. Did you mean 'pearson'?",
        ),
        ("seed/value", "study mark 'seed/value': there is no 'value' in the judgement."),
        (
            "chosen/kl",
            "study mark 'chosen/kl': this is not one figure with an interval. Name what stands below it.",
        ),
    ],
)
def test_a_mark_that_names_no_figure(quantity, message):
    with pytest.raises(RunError) as caught:
        judge_marks(JUDGED, [Mark("x", quantity)])
    assert str(caught.value) == message
