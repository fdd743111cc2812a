"""Summarises a plan and its outcome in plain sentences: what was wrong, the job, the drift."""

from __future__ import annotations

from statistics import fmean

from mixplan.mixture.unread_rows import LEFT, SHORT
from mixplan.outcome.units import counted
from mixplan.report.text import number, percent, plain, visible, whole
from mixplan.saved.outcome import Drift, Outcome
from mixplan.saved.plan import Plan
from mixplan.saved.scores import Drift as Predicted
from mixplan.saved.trajectory import Trajectory

MISSED = " moved outside their forecast"
"""How the outcome's own sentence on misses is known; it may name some of the domains only."""

STALE = "outcome.json was measured for another plan than the one in plan.json: train again to measure this one."


def training_line(outcome: Outcome) -> str:
    """Summarise the job: method, steps, time, and where loss and reward began and ended.

    Single steps may hold rows of one kind, so the means of the first and the last quarter of all steps are told.
    """
    if (job := outcome.training) is None:
        harness = outcome.elsewhere.harness if outcome.elsewhere else None
        by = f" and measured by {harness.name}" if harness else ""
        return f"{model_named(outcome)} was trained without mixplan{by}: what its trainer read is not known."
    parts = [f"{job.method.upper()}, {counted(job.steps, 'optimiser step')} in {duration(job.seconds)}"]
    for key in ("loss", "reward"):
        if curve := job.curve(key):
            values = [value for _, value in curve]
            part = max(1, len(values) // 4)
            first, last = fmean(values[:part]), fmean(values[-part:])
            over = " (means of the first and the last quarter)" if part > 1 else ""
            parts.append(f"{key} from {number(first)} to {number(last)}{over}")
    return "; ".join(parts) + "."


def model_named(outcome: Outcome) -> str:
    """The trained model as the person named it."""
    return outcome.elsewhere.model if outcome.elsewhere else "The trained model"


def told_by(drift: Predicted) -> str:
    """Say in one sentence what told a plan's drift dimensions."""
    own = drift.rollouts
    if (step := drift.reward_step) is not None and own is not None:
        return (
            f"Drift is predicted from one step of {whole(step.learning_rates)} learning rates along the reward's "
            f"gradient at the untrained model, from its own answers: {whole(own.kept)} of {whole(own.prompts)} target "
            f"questions had answers rewarded differently among {whole(own.samples)} samples; mean reward "
            f"{number(own.mean_reward, 2)}."
        )
    if own is not None:
        return (
            f"Drift is predicted from the model's own answers, accepted against rejected ones: {whole(own.kept)} of "
            f"{whole(own.prompts)} target questions had both among {whole(own.samples)} samples; "
            f"{percent(own.accepted)} of all answers accepted, mean reward {number(own.mean_reward, 2)}."
        )
    if drift.checkpoint is not None:
        folder = visible(drift.checkpoint.folder)
        return f"Drift is predicted from a checkpoint: what {folder} moved on the target's questions."
    return "Drift is predicted from the target's worked examples in front of its questions."


def drift_lines(drift: Drift) -> list[str]:
    """Say how many of the predicted drift dimensions training moved, against chance."""
    lines = [
        f"{whole(drift.overlap)} of the {whole(drift.of)} predicted drift dimensions are among the {whole(drift.of)} "
        f"that training moved most; chance gives {drift.chance:.1f} [{plain(drift.low)}, {plain(drift.high)}]."
    ]
    bounded = drift.raw_low is not None and drift.raw_high is not None
    between = f" [{plain(drift.raw_low or 0)}, {plain(drift.raw_high or 0)}]" if bounded else ""
    if drift.raw_overlap is not None and drift.raw_of is not None and drift.raw_chance is not None:
        lines.append(
            f"Of raw activations, {whole(drift.raw_overlap)} of {whole(drift.raw_of)}; chance gives "
            f"{drift.raw_chance:.1f}{between}."
        )
    return lines


def outside_line(outcome: Outcome) -> str | None:
    """Say plainly how many domains moved outside their forecast; None where none did or nothing was forecast."""
    judged = [domain for domain in outcome.domains.values() if domain.outside_forecast is not None]
    if not (names := outcome.outside()):
        return None
    return f"{len(names)} of {counted(len(judged), 'domain')} moved outside their forecast: {', '.join(names)}."


def summary(outcome: Outcome) -> list[str]:
    """The outcome's own sentences, less what `wrong` says."""
    return [sentence for sentence in outcome.summary if MISSED not in sentence]


def said_first(plan: Plan, outcome: Outcome) -> list[str]:
    """What a reader should know before the answer: what was wrong, then the outcome's warnings and the plan's.

    What the plan expected one process to leave unread is left out where several trained, or where all was read.
    """
    job = outcome.training
    otherwise = job is not None and ((job.processes or 1) > 1 or job.read_all)
    planned = [notice for notice in plan.notices() if not (otherwise and notice.startswith((SHORT, LEFT)))]
    return list(dict.fromkeys([*wrong(plan, outcome), *outcome.warnings, *planned]))


def wrong(plan: Plan, outcome: Outcome) -> list[str]:
    """What did not come as foretold, and an outcome that is of another plan; no mere warnings."""
    missed = [sentence for sentence in outcome.summary if MISSED in sentence]
    outside = outside_line(outcome)
    stale = outcome.hashes.get("plan") != plan.hashes.get("plan")
    return [*([STALE] if stale else []), *(missed or [outside] if outside else [])]


def watched_line(found: Trajectory) -> str:
    """Say what was measured while a model trained, on how much, and what it took of the time."""
    begin, points = found.begin, found.points
    rows = sorted({len(part.rows) for part in begin.parts.values()})
    counts = whole(rows[0]) if rows[0] == rows[-1] else f"{whole(rows[0])} to {whole(rows[-1])}"
    seconds, spent = found.time
    share = spent / max(seconds - spent, 1e-9)
    end = "" if found.end is not None else " The training has not ended."
    top = f" (over its {whole(begin.top)} likeliest tokens and the rest as one)"
    measured = (
        f"Measured before training and at {whole(len(points) - 1)} of {whole(begin.steps)} steps, on {counts} "
        f"evaluation rows of each part; KL is from the untrained model at its own answers{top}."
        if points
        else f"Measured at none of {whole(begin.steps)} steps."
    )
    cost = begin.settings.get("cost")
    bound = f" (at most {percent(cost)} by evaluate.during.cost)" if isinstance(cost, float) else ""
    return (
        f"{measured} Measuring took {duration(spent)} from the start on, {percent(share)} of the training's "
        f"{duration(seconds - spent)}{bound}.{end}"
    )


def duration(seconds: float) -> str:
    """Write a time in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
