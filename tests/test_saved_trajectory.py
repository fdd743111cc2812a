"""The file of what was measured while a model trained: written, read strictly, cut, and what is chosen of it."""

import json
import random

import pytest
from damage import WAYS
from made_trajectory import PLAIN, ROWS, made_trajectory

from mixplan.errors import RunError
from mixplan.saved.trajectory import (
    Clock,
    End,
    Failed,
    Trajectory,
    read_trajectory,
    trajectories,
    write_trajectory,
)


def test_what_is_written_is_read_back(tmp_path):
    end = End(step=20, seconds=3.0, spent=0.3, left_out=1, stopped="so")
    clock = Clock(step=20, seconds=3.0, spent=0.3, estimate=0.1)
    whole = Trajectory(PLAIN.begin, PLAIN.points, (Failed(step=15, why="no memory"),), end, clock)
    write_trajectory(whole, tmp_path)
    assert read_trajectory(tmp_path) == whole
    lines = [json.loads(line)["event"] for line in (tmp_path / "trajectory.jsonl").read_text().splitlines()]
    assert lines == ["begin", "point", "point", "failed", "point", "clock", "end"]
    cut = whole.up_to(10)
    assert ([point.step for point in cut.points], cut.failed, cut.end) == ([0, 10], (), None)
    assert read_trajectory(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("line", "text", "said"),
    [
        (1, '{"event": "point", "step": 10', ":2: not JSON"),
        (1, '{"event": "pint"}', ":2: "),
        (0, '{"event": "end", "step": 1, "seconds": 1.0, "spent": 1.0, "left_out": 0}', "to begin with"),
        (0, None, ":1: .*version"),
        (2, None, "one a step"),
    ],
)
def test_a_damaged_line_is_refused_by_its_number(tmp_path, line, text, said):
    write_trajectory(PLAIN, tmp_path)
    file = tmp_path / "trajectory.jsonl"
    lines = file.read_text().splitlines()
    changed = lines[line].replace('"version": 1', '"version": 2') if line == 0 else lines[1]
    lines[line] = changed if text is None else text
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(RunError, match=said) as refused:
        read_trajectory(tmp_path)
    assert "Delete the folder" in str(refused.value)


@pytest.mark.parametrize("way", ["cut", "empty", "noise", "folder", "loop"])
def test_a_damaged_file_is_refused_with_what_helps(tmp_path, way):
    write_trajectory(PLAIN, tmp_path)
    WAYS[way](tmp_path / "trajectory.jsonl", random.Random(0))
    with pytest.raises(RunError, match=r"[Dd]elete the folder") as refused:
        read_trajectory(tmp_path)
    assert str(tmp_path) in str(refused.value)


def test_a_point_of_other_rows_is_refused(tmp_path):
    write_trajectory(made_trajectory(([2.0] * ROWS, 0.0), ([1.0] * (ROWS - 1), 0.2)), tmp_path)
    with pytest.raises(RunError, match="its measures are not"):
        read_trajectory(tmp_path)


def test_all_of_a_run_are_found_mixplans_own_first(tmp_path):
    for place in ("monitored/b", "monitored/a", "training/monitor"):
        write_trajectory(PLAIN, tmp_path / place)
    assert [named.name for named in trajectories(tmp_path)] == [None, "a", "b"]


def test_less_bits_and_more_probability_are_a_gain():
    assert PLAIN.gains(PLAIN.points[1]) == [0.5] * ROWS
    sure = made_trajectory(([0.25] * ROWS, 0.0), ([0.5] * ROWS, 0.1), quantity="gold_probability")
    assert sure.gains(sure.points[1]) == [0.25] * ROWS
    assert sure.points[1].worst == ("law", 0.1)


def test_the_front_is_what_no_other_point_betters():
    drawn = random.Random(0)
    for _ in range(20):
        figures = [([2.0] * ROWS, 0.0)] + [([drawn.choice([2.0, 1.5, 1.0])] * ROWS, drawn.random()) for _ in range(8)]
        found = made_trajectory(*figures)
        # Second formulation: from the least KL on, each step that gains more than all before it.
        ordered = sorted(found.points, key=lambda point: (point.worst[1], -sum(found.gains(point))))
        best, expected = float("-inf"), []
        for point in ordered:
            if sum(found.gains(point)) > best:
                best = sum(found.gains(point))
                expected.append(point.step)
        assert [point.step for point in sorted(found.front(found.points), key=lambda point: point.worst[1])] == expected


def test_near_the_best_is_what_one_standard_error_does_not_tell_apart():
    # Against the best step 20, step 10 lags by (0.1, -0.1, 0.2, 0.0): 0.05, its standard error 0.0645.
    close = made_trajectory(([2.0] * 4, 0.0), ([1.1, 0.9, 1.2, 1.0], 0.1), ([1.0] * 4, 0.3))
    assert [point.step for point in close.near_best(close.points)] == [10, 20]
    # Lagging by 0.1 everywhere, without any scatter, it is told apart.
    apart = made_trajectory(([2.0] * 4, 0.0), ([1.1] * 4, 0.1), ([1.0] * 4, 0.3))
    assert [point.step for point in apart.near_best(apart.points)] == [20]
