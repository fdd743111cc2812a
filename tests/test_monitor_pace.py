"""When a monitor measures: never beyond its share of the training's time."""

import pytest

from mixplan.monitor.pace import Pace


def simulated(
    cost: float, *, step_seconds: float, measure_seconds: float, first: float, steps: int
) -> tuple[Pace, list]:
    """A training by the clock: its pace, and after each measure the step, seconds of measuring, and of training."""
    pace, made = Pace.of(cost, None, steps), []
    pace.spent, pace.estimate = first, measure_seconds
    for step in range(1, steps + 1):
        training = step * step_seconds
        if pace.due(step) and pace.affords(training, pace.spent, pace.estimate):
            pace.spent += measure_seconds
            made.append((step, pace.spent, training))
    return pace, made


@pytest.mark.parametrize("cost", [0.01, 0.05, 0.5])
@pytest.mark.parametrize("first", [0.0, 3.0])
def test_measuring_never_takes_more_than_its_share(cost, first):
    pace, made = simulated(cost, step_seconds=0.5, measure_seconds=0.7, first=first, steps=1000)
    assert all(spent <= cost * training for _, spent, training in made)
    # As many as the share has room for, up to one: or as many as there are places.
    room = int((cost * 500 - first) / 0.7)
    assert len(made) in (min(room, 100), min(room, 100) - 1)
    assert len(made) + pace.left_out == 100


def test_a_cheap_measure_is_made_at_each_place():
    pace, made = simulated(0.05, step_seconds=1.0, measure_seconds=0.001, first=0.0, steps=40)
    assert [step for step, *_ in made] == list(range(1, 41))
    assert pace.left_out == 0


def test_the_last_step_is_a_place_too():
    pace = Pace.of(0.05, 30, 100)
    assert [step for step in range(1, 101) if pace.due(step)] == [30, 60, 90, 100]
    assert [pace.places(step) for step in (29, 30, 99, 100)] == [0, 1, 3, 4]


@pytest.mark.parametrize("seconds", [1.01, 3.01, 4.76, 4.99, 5.01], ids=str)
def test_the_next_measure_is_expected_at_the_first_place_that_has_room_at_the_speed_so_far(seconds):
    pace = Pace.of(0.05, 30, 100)  # steps of a second each: 5 s for measuring in all
    pace.spent, pace.estimate = seconds - 0.5, 0.5
    room = [step for step in range(11, 101) if pace.due(step) and seconds <= 0.05 * step]
    assert pace.next_after(10, 10.0) == (room[0] if room else None)
