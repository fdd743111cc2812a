"""Says in a plan's report what its forecast took from a pilot of the job, and how well that did in earlier targets."""

from __future__ import annotations

from mixplan.outcome.units import counted
from mixplan.report.markup import Html, tag
from mixplan.report.tables import cell, header, row, section, table
from mixplan.report.text import expected_ends, number
from mixplan.saved import Plan
from mixplan.saved.plan import PilotUse


def grounds_of(plan: Plan) -> str:
    """What a plan rests on, in a few words."""
    studied = sum(one.studied for one in plan.forecast.learned_from)
    own, pilot = len(plan.forecast.learned_from) - studied, plan.forecast.pilot
    targets = f"{counted(studied, 'target')} of studies" if studied else ""
    runs = " and ".join(filter(None, [targets, counted(own, "earlier run") if own else ""]))
    if pilot is not None:
        short = f"a pilot of {counted(pilot.steps, 'step')} on {counted(len(pilot.measured), 'domain')}"
        return f"{short} and {runs}" if runs else short
    return runs or "the score alone"


def learned_from(plan: Plan) -> str:
    """How rows were planned where they were planned by an expected change, as a sentence."""
    by = f"which was learned from its {plan.score_name} in earlier runs"
    if plan.forecast.pilot is not None:
        by = "which was forecast from a pilot of the job"
    return (
        f"Rows are planned by how far each domain's behaviour is expected to move, {by}; the interval is for what a "
        "run on the target's rows alone will measure. "
    )


def pilot_section(plan: Plan) -> Html | None:
    """What the pilot changed beside what the job is expected to, a line a domain; None without a pilot."""
    if (pilot := plan.forecast.pilot) is None:
        return None
    names = dict.fromkeys([*pilot.measured, *pilot.completed])
    lines = [_line(plan, pilot, name) for name in names if name in plan.domains]
    heads = ["Domain", "Pilot (nats per token)", "Job, expected", "By"]
    errors = ", ".join(f"{_columns(rank)}: {number(error, 3)}" for rank, error in sorted(pilot.errors.items()))
    note = f"Error in targets left out, in nats per token, by {errors}." if errors else ""
    if note and pilot.score_share and pilot.error_without_scores is not None:
        taken = "half" if pilot.score_share < 1 else "all"
        note += f" Of what scores say beside that {taken} is taken: without it {number(pilot.error_without_scores, 3)}."
    parts = (tag("p", note),) if note else ()
    return section("The pilot", table("cards", heads, lines, "What the pilot changed in each domain"), *parts)


def _line(plan: Plan, pilot: PilotUse, name: str) -> Html:
    expected = plan.expected_of(name)
    change = pilot.changes.get(name)
    job = "" if expected is None else f"{number(expected.change, 2)} {expected_ends(expected)}"
    by = "measured" if name in pilot.changes else "completed"
    by = "measured, within noise" if name in pilot.within_noise else by
    return row(header(name), cell("" if change is None else number(change, 2), kind="n"), cell(job, kind="n"), cell(by))


def _columns(rank: str) -> str:
    """A rank in words."""
    return {"0": "strength alone", "1": "strength and 1 latent column"}.get(rank, f"strength and {rank} latent columns")
