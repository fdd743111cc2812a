"""When a monitor measures: never beyond its share of the training's time."""

import pytest

from mixplan.monitor.pace import Pace


def test_room_is_the_share_of_the_training_so_far_less_what_was_spent():
    assert Pace.of(0.05, None, 100).room(200.0, 4.0) == pytest.approx(6.0)


def test_the_whole_training_is_expected_at_the_speed_behind_a_slow_first_step():
    pace = Pace.of(0.05, None, 100)
    pace.first = (1, 30.0)
    assert not pace.known(1)
    assert pace.whole(1, 30.0) == 30.0
    assert pace.known(3)
    assert pace.whole(3, 34.0) == pytest.approx(30.0 + 99 * 2.0)
    resumed = Pace.of(0.05, None, 100)
    resumed.first = (61, 500.0)
    assert resumed.whole(71, 520.0) == pytest.approx(520.0 + 29 * 2.0)
    assert resumed.whole(100, 570.0) == 570.0


def test_the_last_step_is_a_place_too():
    pace = Pace.of(0.05, 30, 100)
    assert [step for step in range(1, 101) if pace.due(step)] == [30, 60, 90, 100]
    assert [pace.places(step) for step in (29, 30, 99, 100)] == [0, 1, 3, 4]


@pytest.mark.parametrize("seconds", [1.01, 3.01, 4.76, 4.99, 5.01, float("inf")], ids=str)
def test_the_next_measure_is_expected_at_the_first_place_that_has_room_at_the_speed_so_far(seconds):
    pace = Pace.of(0.05, 30, 100)  # steps of a second each: 5 s for measuring in all
    pace.first = (1, 1.0)
    room = [step for step in range(11, 101) if pace.due(step) and seconds <= 0.05 * step]
    assert pace.next_after(10, 10.0, seconds) == (room[0] if room else None)
