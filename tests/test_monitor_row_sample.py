"""How many rows are given up so that a training has room for a few measures."""

import pytest

from mixplan.monitor.pace import Pace
from mixplan.monitor.row_sample import WANTED, fewer, remaining, share_of_rows
from mixplan.monitor.rows import Asked, Text


def test_with_the_share_given_the_training_has_room_for_as_many_measures_as_wanted():
    pace = Pace.of(0.05, None, 200)  # of 2 s each: 20 s for measuring
    share = share_of_rows(pace, step=2, training=4.0, spent=5.0, estimate=10.0)
    assert 5.0 + WANTED * share * 10.0 == pytest.approx(0.05 * 200 * 2.0)


@pytest.mark.parametrize(
    ("spent", "estimate"), [(5.0, 3.0), (21.0, 1.0), (0.0, 0.0)], ids=["there is room", "there is none", "unknown"]
)
def test_rows_are_not_given_up_without_need_or_for_nothing(spent, estimate):
    assert share_of_rows(Pace.of(0.05, None, 200), step=2, training=4.0, spent=spent, estimate=estimate) == 1.0


def test_the_first_rows_stay_and_two_at_least():
    text = Text((1, 2, 3), 1)
    part = Asked("law", "likelihood", "exact", tuple(range(8)), {str(n): text for n in range(8)}, {})
    assert fewer({"law": part}, 0.5)["law"].scored == (0, 1, 2, 3)
    assert list(fewer({"law": part}, 0.5)["law"].own) == ["0", "1", "2", "3"]
    assert fewer({"law": part}, 0.01)["law"].scored == (0, 1)


def test_the_share_that_is_left_is_that_of_the_rows_which_stay():
    text = Text((1, 2, 3), 1)
    sizes = {"law": 8, "care": 2}
    before = {
        name: Asked(name, "likelihood", "exact", tuple(range(size)), {str(n): text for n in range(size)}, {})
        for name, size in sizes.items()
    }
    assert remaining(before, fewer(before, 0.5)) == (4 + 2) / (8 + 2)
    assert remaining(before, fewer(before, 0.01)) == (2 + 2) / (8 + 2)
    small = {"care": before["care"]}
    assert remaining(small, fewer(small, 0.01)) == 1.0
