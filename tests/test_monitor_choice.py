"""Which checkpoint is kept: the target's best gain within one standard error, at the least KL."""

import pytest
from made_trajectory import made_trajectory

from mixplan.monitor.choice import MOST, candidates, chosen, kept_steps, place

ROWS = 4


def kept(folder, *steps):
    """The folder, with checkpoints of some steps."""
    for step in steps:
        place(folder, step).mkdir(parents=True)
    return folder


def test_of_steps_that_gain_alike_the_one_that_moved_domains_least(tmp_path):
    found = made_trajectory(([2.0] * ROWS, 0.0), ([1.1, 0.9, 1.2, 1.0], 0.1), ([1.0] * ROWS, 0.3))
    choice = chosen(found, kept(tmp_path, 10, 20))
    assert choice.step == 10
    assert "within one standard error (0.065) of the largest, 1 at step 20" in choice.why
    assert "at no measured step" not in choice.why


@pytest.mark.parametrize(("figures", "expected"), [
    ([([2.1] * ROWS, 0.05), ([2.2] * ROWS, 0.4)], 10),  # ever worse: the step that lost least
    ([([2.2] * ROWS, 0.05), ([2.0] * ROWS, 0.4)], 20),  # and where it lost nothing, that one
])  # fmt: skip
def test_where_the_target_gains_at_no_step_a_measured_one_is_kept_and_that_is_said(figures, expected, tmp_path):
    found = made_trajectory(([2.0] * ROWS, 0.0), *figures)
    choice = chosen(found, kept(tmp_path, 10, 20))
    assert choice.step == expected
    assert choice.why.endswith("The target gained at no measured step.")


def test_without_a_measured_step_there_is_no_choice(tmp_path):
    assert chosen(made_trajectory(([2.0] * ROWS, 0.0)), tmp_path) is None


def test_at_most_so_many_may_be_chosen_and_the_best_gain_is_among_them(tmp_path):
    # All within one standard error of the last, each with less KL than the one behind it.
    noisy = [([1.0 + sign * 0.1 * step for sign in (1, -1, 1, -0.99)], 0.01 * (9 - step)) for step in range(1, 9)]
    found = made_trajectory(([2.0] * ROWS, 0.0), *noisy[::-1])
    steps = [point.step for point in found.trained]
    assert kept_steps(kept(tmp_path, *steps)) == steps
    may = candidates(found, steps)
    assert len(may) == MOST
    best = max(found.trained, key=lambda point: sum(found.gains(point)))
    assert best in may
