"""Renders the page's section on training: the job's curves, and what the trainer read beside the plan."""

from __future__ import annotations

from mixplan.report.charts import Axis, line_chart
from mixplan.report.markup import Html, tag
from mixplan.report.plots import axis_over, ticks_over
from mixplan.report.sentences import training_line
from mixplan.report.tables import cell, header, row, section, table
from mixplan.report.text import number, plain, whole
from mixplan.report.text_tables import read_counts
from mixplan.saved.outcome import Consumption, Outcome, Training

CURVES = {"loss": "Loss", "reward": "Reward", "learning_rate": "Learning rate"}


def training(outcome: Outcome) -> Html:
    """Draw the job's curves and list what was read of each domain.

    Args:
        outcome: The saved outcome.

    Returns:
        The section Training.
    """
    if outcome.training is None:
        return section("Training", tag("p", training_line(outcome)))
    charts = [chart for key in CURVES if (chart := _curve(outcome.training, key))]
    grid = tag("div", *charts, class_="grid-of curves") if charts else None
    return section("Training", tag("p", training_line(outcome)), grid, *_consumption(outcome.training.consumption))


def _curve(job: Training, key: str) -> Html | None:
    """Draw one logged number over the steps; None where it was logged fewer than two times."""
    points = job.curve(key)
    if len(points) < 2:
        return None
    values = [value for _, value in points]
    first, last = points[0], points[-1]
    y = axis_over("", [0, *values] if key == "learning_rate" else values, plain)
    steps = ticks_over(first[0], last[0])
    x = Axis(
        "Optimiser step", [first[0], *(t for t in steps if first[0] < t < last[0]), last[0]], first[0], last[0], whole
    )
    ends = f"from {number(first[1])} at step {whole(first[0])} to {number(last[1])} at step {whole(last[0])}"
    chart = line_chart(points, x, y, summary=f"{CURVES[key]} {ends}.", dots=[(last, number(last[1]))])
    return tag("figure", tag("h3", CURVES[key]), chart)


def _consumption(read: dict[str, Consumption]) -> list[Html]:
    if not read:
        return []
    heads = [
        "Domain",
        "Planned rows",
        "Rows read",
        "Different rows",
        "Trainable tokens",
        "Truncated rows",
        "Dropped rows",
    ]
    lines = [_consumption_row(name, counts) for name, counts in read.items()]
    note = "Counted batch by batch as the optimiser read them; trainable tokens are those the loss falls on."
    return [
        tag("h3", "What the optimiser read"),
        tag("p", note),
        table("wide", heads, lines, "Rows and tokens that the optimiser read of each domain"),
    ]


def _consumption_row(name: str, read: Consumption) -> Html:
    return row(header(name), *(cell(text, kind="n") for text in read_counts(read)))
