"""A monitor never measures beyond its share of the training's time."""

from itertools import pairwise

import pytest

from mixplan.monitor.pace import SLACK, Pace


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


@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("seconds", [0.01, 0.3, 1.0, 2.4])
def test_measures_are_spread_up_to_the_last_step_within_the_bound(every, seconds):
    pace = Pace.of(0.05, every, 200)  # steps of half a second: 5 s for measuring in all
    pace.first, pace.estimate, spent, made = (1, 0.5), seconds, 0.4, [0]
    for step in filter(pace.due, range(2, 201)):
        training = 0.5 * step
        if pace.turn(step, made[-1], training, spent) and seconds <= pace.room(training, spent):
            spent, made = spent + seconds, [*made, step]
        assert spent <= max(0.4, 0.05 * training) + 1e-9
    assert made[-1] == 200
    early = pace.places(int((0.4 + seconds) / 0.05 / 0.5))  # places at which the start has not been paid for yet
    count = min(pace.places(200) - early, int(4.6 / (SLACK * seconds)))
    assert len(made) - 1 >= count
    assert (
        max(later - earlier for earlier, later in pairwise(made[1:] if made[2:] else [0, 200])) <= 200 / count + every
    )
