"""What is said of a training with a monitor once it has ended."""

from dataclasses import replace

from made_trajectory import PLAIN

from mixplan.monitor.closing import notes, summary, unchoosable, warnings
from mixplan.saved.trajectory import Clock, End, Trajectory


def test_the_time_and_its_share_are_said_whatever_was_measured():
    end = End(step=20, seconds=105.0, spent=5.0, left_out=0)
    assert summary(replace(PLAIN, end=end), 0.05) == (
        "While it trained, 2 measures of 4 rows a part were made. The monitor took 5 s, 0 s of it up to the untrained "
        "model's reading: 5.0 % of the training's 100 s. The bound is 5 % (evaluate.during.cost)."
    )
    assert warnings(replace(PLAIN, end=end), 0.05) == []
    one = Trajectory(PLAIN.begin, PLAIN.points[:2], (), end)
    assert "1 measure of 4 rows a part was made" in summary(one, 0.05)
    none = Trajectory(PLAIN.begin, (), (), end.model_copy(update={"left_out": 7}))
    assert summary(none, 0.05).startswith("While it trained, 0 measures were made. The monitor took 5 s: 5.0 %")
    (left,) = warnings(none, 0.05)
    assert left.startswith("While it trained, 0 measures were made and 7 left out")
    assert "so that the untrained model's answers are there" in left


def test_the_time_is_what_was_written_down_last():
    clock = Clock(step=30, seconds=9.0, spent=2.0)
    assert replace(PLAIN, clock=clock).time == (9.0, 2.0)
    assert PLAIN.time == (2.0, 0.2)
    assert replace(PLAIN, clock=clock).up_to(10).time == (9.0, 2.0)
    assert Trajectory(PLAIN.begin).time == (0.0, 0.0)


def test_sources_without_a_common_unit_let_no_step_be_chosen_and_that_is_said():
    """A probability and bits per byte have no gain in common, however much each of them gains."""
    part, point = PLAIN.begin.parts["target"], PLAIN.points[1]
    parts = {"target.sums": part, "target.quiz": part.model_copy(update={"quantity": "gold_probability"})}
    mixed = PLAIN.begin.model_copy(update={"parts": {**parts, "law": part}})
    measured = dict.fromkeys(parts, point.parts["target"]) | {"law": point.parts["law"]}
    points = tuple(one.model_copy(update={"parts": measured}) for one in PLAIN.points)
    ended = Trajectory(mixed, points, (), End(step=20, seconds=1.0, spent=0.1, left_out=0))
    assert ended.gains(points[1]) == []
    (said,) = unchoosable(mixed, "best")
    assert "(target.sums by bits per byte, target.quiz by gold probability)" in said
    assert notes(ended, "best") == [said]
    alike = PLAIN.begin.model_copy(update={"parts": {**dict.fromkeys(parts, part), "law": part}})
    assert [unchoosable(alike, "best"), unchoosable(mixed, "last"), notes(ended, "last")] == [[], [], []]
    assert unchoosable(PLAIN.begin, "best") == []
