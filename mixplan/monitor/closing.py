"""Says what a monitor did to a training, what it left out, and what it took of the training's time."""

from __future__ import annotations

from mixplan.monitor.row_sample import span
from mixplan.saved.trajectory import Begin, Trajectory


def notes(trajectory: Trajectory, keep: str) -> list[str]:
    """What was done to the training: that it was stopped, and which step's model was chosen.

    Args:
        trajectory: All that was measured.
        keep: `last` or `best`.
    """
    end = trajectory.end
    if end is None:
        return []
    found = [] if end.stopped is None else [end.stopped]
    if end.kept is not None:
        found.append(end.kept.why)
        if end.kept.step < end.step:
            found[-1] += f" The training went on to step {end.step}; what it read is counted up to there."
    elif unchosen := unchoosable(trajectory.begin, keep):
        found += unchosen
    elif keep == "best":
        found.append(
            "No step was measured whose model could be chosen, so the last one is kept although "
            "evaluate.during.keep is best."
        )
    return found


def unchoosable(begin: Begin, keep: str) -> list[str]:
    """Say that no step's model can be chosen, where sources of the target have no gain in common; else nothing.

    Args:
        begin: What is measured.
        keep: `last` or `best`.
    """
    found = begin.target_quantities
    if keep != "best" or len({*found.values()}) == 1:
        return []
    listed = ", ".join(f"{name} by {quantity.replace('_', ' ')}" for name, quantity in found.items())
    return [
        f"The last model is kept although evaluate.during.keep is best: gains of the target's sources are in different "
        f"units ({listed}), so that no step's gain is the best of all. Set `likelihood` for each of them in "
        "`evaluate.measures` to have one unit, or leave `keep` out."
    ]


def warnings(trajectory: Trajectory, cost: float) -> list[str]:
    """What a person should know of a training that has ended.

    Args:
        trajectory: All that was measured.
        cost: Seconds of measuring for each of training, at most.
    """
    if trajectory.end is None:
        return []
    told = list(trajectory.begin.warnings)
    told += [f"Step {one.step} was not measured: {one.why}" for one in trajectory.failed]
    if trajectory.end.left_out:
        first = "" if trajectory.begin.reused_answers else (
            ", or measure the run before training (`mixplan eval`), so that the untrained model's answers are there"
        )  # fmt: skip
        told.append(
            f"While it trained, {measures(trajectory)} {verb(trajectory)} made and {trajectory.end.left_out} left out, "
            f"to keep measuring within {100 * cost:.3g} % of the training's time so far "
            f"(evaluate.during.cost). {took(trajectory)} For more measures, raise evaluate.during.cost, lower "
            f"evaluate.during.rows or tokens{first}."
        )
    return told


def measures(trajectory: Trajectory) -> str:
    """How many measures were made beside the untrained model's, such as `1 measure`."""
    made = max(0, len(trajectory.points) - 1)
    return f"{made} measure{'s' * (made != 1)}"


def verb(trajectory: Trajectory) -> str:
    """Was or were, of so many measures."""
    return "was" if len(trajectory.points) == 2 else "were"


def took(trajectory: Trajectory) -> str:
    """Say what the monitor took of the training's time, from before the first step to the end of the last one."""
    seconds, spent = trajectory.time
    training = max(seconds - spent, 1e-9)
    first = (
        f", {trajectory.points[0].spent:.3g} s of it up to the untrained model's reading" if trajectory.points else ""
    )
    return f"The monitor took {spent:.3g} s{first}: {100 * spent / training:.1f} % of the training's {training:.3g} s."


def summary(trajectory: Trajectory, cost: float) -> str:
    """Say how much was measured, and what it took of the time.

    Args:
        trajectory: All that was measured.
        cost: Seconds of measuring for each of training, at most.
    """
    rows = f" of {span({len(part.rows) for part in trajectory.begin.parts.values()})} rows a part"
    return (
        f"While it trained, {measures(trajectory)}{rows if trajectory.points else ''} {verb(trajectory)} made. "
        f"{took(trajectory)} The bound is {100 * cost:.3g} % (evaluate.during.cost)."
    )
