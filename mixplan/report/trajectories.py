"""Renders the page's sections on what was measured while a model trained, and the front of its checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mixplan.report.charts import Axis, line_chart
from mixplan.report.markup import Html, tag
from mixplan.report.measures import quantity
from mixplan.report.plots import Dot, axis_over, scatter, ticks_over
from mixplan.report.sentences import watched_line
from mixplan.report.tables import cell, header, row, section, table
from mixplan.report.text import number, plain, whole
from mixplan.runs import JUDGED
from mixplan.saved.trajectory import Named, Point, Trajectory, mean, trajectories

NATS = "KL in nats per token"


def measured_in(folder: Path) -> list[Named]:
    """What was measured while the models of a page trained.

    Args:
        folder: A run folder; or `judged/LABEL` in one, whose model trained as `monitored/LABEL`.

    Raises:
        RunError: a trajectory is damaged.
    """
    if folder.parent.name == JUDGED:
        return [one for one in trajectories(folder.parents[1]) if one.name == folder.name]
    return trajectories(folder)


def while_it_trained(named: Named) -> Html:
    """Draw each part's KL over the steps, the target's gain, and which checkpoints no other one betters.

    Args:
        named: A training; where nothing was measured, why is said.
    """
    found = named.trajectory
    title = "While it trained" if named.name is None else f"While {named.name} trained"
    told = [tag("p", watched_line(found))]
    end = found.end
    notes = [text for text in (end.stopped, end.kept.why if end.kept else None) if text] if end else []
    told += [tag("p", text) for text in [*notes, *found.begin.warnings]]
    if end is not None and end.left_out:
        told.append(tag("p", f"{whole(end.left_out)} measures were left out to keep to that bound."))
    told += [tag("p", f"Step {whole(one.step)} was not measured: {one.why}") for one in found.failed[:1]]
    if len(found.points) < 2:
        return section(title, *told)
    charts = tag("div", *(moved(found, name) for name in order(found)), class_="grid-of curves")
    gains = tag("div", *(taught(found, name) for name in found.points[0].targets()), class_="grid-of curves")
    return section(title, *told, gains, charts, _table(found), *front(found))


def order(found: Trajectory) -> list[str]:
    """The domains, those that moved most at the last measure first, then the target or its sources."""
    last = found.points[-1]
    return [*sorted(last.domains(), key=lambda name: -last.parts[name].mean_kl), *last.targets()]


def moved(found: Trajectory, name: str) -> Html:
    """Draw a part's KL over the steps, on an axis that all parts share."""
    highest = [part.mean_kl for point in found.points for part in point.parts.values()]
    points = [(float(point.step), point.parts[name].mean_kl) for point in found.points]
    return _curve(f"{name}: {NATS}", points, axis_over("", [0, *highest], plain, (0, None)))


def taught(found: Trajectory, name: str) -> Html:
    """Draw the quantity of the target, or of a source of it, over the steps."""
    unit = quantity(found.begin.parts[name].quantity)
    points = [(float(point.step), unit.scale * point.parts[name].value) for point in found.points]
    most = None if unit.most is None else unit.scale * unit.most
    y = axis_over("", [value for _, value in points], plain, (0.0, most))
    return _curve(f"{name}: {unit.title} ({unit.unit})", points, y)


def _curve(title: str, points: Sequence[tuple[float, float]], y: Axis) -> Html:
    first, last = points[0], points[-1]
    steps = [step for step in ticks_over(first[0], last[0]) if first[0] < step < last[0]]
    x = Axis("Optimiser step", [first[0], *steps, last[0]], first[0], last[0], whole)
    ends = f"from {number(first[1])} at step {whole(first[0])} to {number(last[1])} at step {whole(last[0])}"
    dots = [(point, "") for point in points[:-1]] + [(last, number(last[1]))]
    return tag("figure", tag("h3", title), line_chart(points, x, y, summary=f"{title} {ends}.", dots=dots))


def _table(found: Trajectory) -> Html:
    first, last = found.points[0], found.points[-1]
    drifted = any(part.drift is not None for part in last.parts.values())
    heads = ["Part", "Measured as", "Before training", f"At step {whole(last.step)}", NATS, "Highest KL"]
    heads += ["Drift"] if drifted else []
    lines = []
    for name in [*last.targets(), *(name for name in order(found) if name in last.domains())]:
        part, peak = last.parts[name], max(found.points, key=lambda point: point.parts[name].mean_kl)
        unit = quantity(found.begin.parts[name].quantity)
        cells = (
            *(unit.value(first.parts[name].value), unit.value(part.value), number(part.mean_kl)),
            f"{number(peak.parts[name].mean_kl)} at {whole(peak.step)}",
            *(["" if part.drift is None else number(part.drift)] if drifted else []),
        )
        line = [cell(unit.title), *(cell(text, kind="n") for text in cells)]
        lines.append(row(header(name), *line, kind="target" if name in last.targets() else ""))
    note = (
        "Drift is the squared change of the plan's drift dimensions together, in squared SAE units, averaged over the "
        "tokens at which KL is read: those that predict the untrained model's own answers."
    )
    return tag(
        "div",
        table("wide", heads, lines, "What was measured of each part while the model trained"),
        tag("p", note) if drifted else None,
    )


def front(found: Trajectory) -> list[Html]:
    """Draw each measured step by the target's gain and the KL of the domain that moved most."""
    if not found.gains(found.points[0]):
        return []
    best, kept = {point.step for point in found.front(found.points)}, found.end.kept if found.end else None
    dots = [_step(found, point, best, kept.step if kept else None) for point in found.points]
    unit = quantity(found.begin.parts[next(iter(found.points[0].targets()))].quantity)
    across = axis_over("KL of the domain that moved most, nats per token", [dot.x for dot in dots], plain, (0, None))
    up = axis_over(f"The target's gain ({unit.change_unit})", [dot.y for dot in dots], plain)
    listed = ", ".join(whole(step) for step in sorted(best))
    note = (
        f"No other measured step has a larger gain on the target at no more KL than these: {listed}. The gain is taken "
        f"on {whole(len(found.gains(found.points[0])))} rows, so steps close to each other are not told apart."
    )
    drawn = scatter(dots, across, up, summary=note)
    return [tag("h3", "Gain on the target against the loss elsewhere"), tag("p", note), drawn]


def _step(found: Trajectory, point: Point, best: set[int], kept: int | None) -> Dot:
    kind = "gain" if point.step == kept else "moved" if point.step in best else "none"
    unit = quantity(found.begin.parts[next(iter(point.targets()))].quantity)
    gain = unit.scale * mean(found.gains(point))
    return Dot(f"step {whole(point.step)}", point.worst[1], gain, None, None, kind)
