"""Keeps the checkpoints that may yet be chosen: the target's best gain within one standard error, at the least KL."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from mixplan.runs import translated
from mixplan.saved.trajectory import Kept, Point, Trajectory, mean, standard_error

MOST = 5
"""Checkpoints that are kept at once."""
FOLDER = "checkpoints"


def place(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step is kept."""
    return folder / FOLDER / f"step-{step}"


def kept_steps(folder: Path) -> list[int]:
    """Steps whose checkpoints are kept."""
    return sorted(int(path.name.partition("-")[2]) for path in (folder / FOLDER).glob("step-*"))


def candidates(trajectory: Trajectory, steps: list[int]) -> list[Point]:
    """Of the points whose checkpoints are there, those that may yet be chosen, the first choice first.

    A point that another trained one equals or betters in gain and in KL is none. Of more than `MOST` the last in the
    order of KL go, but never the one with the best gain, against which later ones are held.

    Args:
        trajectory: All that was measured.
        steps: Steps whose checkpoints are there.
    """
    front = [point for point in trajectory.front(trajectory.trained) if point.step in steps]
    near = trajectory.near_best(front) if front else []
    if len(near) <= MOST:
        return near
    best = max(near, key=lambda point: mean(trajectory.gains(point)))
    others = [point for point in near if point is not best]
    return [*others[: MOST - 1], best]


def keep_candidates(trajectory: Trajectory, folder: Path, trainer: Any) -> None:
    """Save the newest point's checkpoint where it may be chosen, and clear away those that no longer may.

    Every process must call this.

    Args:
        trajectory: All that was measured, the newest point last.
        folder: The trajectory's.
        trainer: Saves its model.
    """
    newest = trajectory.points[-1].step
    steps = [step for step in kept_steps(folder) if step <= newest]
    may = [point.step for point in candidates(trajectory, [*steps, newest])]
    # Every process must have looked before one of them changes what is there.
    trainer.accelerator.wait_for_everyone()
    if newest in may:
        # A save that a person asks for goes to the hub, where the trainer pushes; a candidate is none.
        trainer.save_model(str(place(folder, newest)), _internal_call=True)
    if trainer.accelerator.is_main_process:
        for step in kept_steps(folder):
            if step not in may:
                with translated(folder):
                    shutil.rmtree(place(folder, step))
    trainer.accelerator.wait_for_everyone()


def chosen(trajectory: Trajectory, folder: Path) -> Kept | None:
    """The choice among the checkpoints that are there, and why; None where there is none.

    Args:
        trajectory: All that was measured.
        folder: Its folder.
    """
    may = candidates(trajectory, kept_steps(folder))
    if not may:
        return None
    point, best = may[0], max(trajectory.trained, key=lambda one: mean(trajectory.gains(one)))
    gains, top = trajectory.gains(point), trajectory.gains(best)
    domain, loss = point.worst
    error = standard_error([first - second for first, second in zip(top, gains, strict=True)])
    same = "the largest measured"
    if point is not best:
        same = f"within one standard error ({error:.2g}) of the largest, {mean(top):.3g} at step {best.step}"
    lost = "" if mean(top) > 0 else " The target gained at no measured step."
    why = (
        f"The model of step {point.step} is kept, chosen of {len(trajectory.trained)} measured steps "
        f"(evaluate.during.keep: best): its gain on the target, {mean(gains):.3g}, is {same}, and of such steps its "
        f"domain that moved most has moved least, by {loss:.3g} nats per token ({domain}). It was chosen on "
        f"{len(gains)} rows of the target, so its gain on other rows is likely to be smaller.{lost}"
    )
    return Kept(step=point.step, folder=str(place(folder, point.step).relative_to(folder)), why=why)
