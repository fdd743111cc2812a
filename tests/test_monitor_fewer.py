"""How many rows are given up so that a training has room for a few measures."""

import pytest

from mixplan.monitor.fewer import WANTED, fewer, share_of_rows
from mixplan.monitor.pace import Pace
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
    part = Asked("law", "likelihood", "exact", tuple(range(8)), {str(n): text for n in range(8)})
    assert fewer({"law": part}, 0.5)["law"].scored == (0, 1, 2, 3)
    assert list(fewer({"law": part}, 0.5)["law"].own) == ["0", "1", "2", "3"]
    assert fewer({"law": part}, 0.01)["law"].scored == (0, 1)
