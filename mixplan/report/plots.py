"""Draws saved changes and scores with their intervals, without scripts: dumbbells, whiskers and scatters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mixplan.report.charts import Axis, framed, spaced
from mixplan.report.markup import Html, tag
from mixplan.saved.base_types import Expected
from mixplan.saved.outcome import Change

HEIGHT, MIDDLE, BELOW = 24, 12, 24
"""A strip's height, where its numbers stand, and where a forecast below them stands, in pixels."""

Span = tuple[float, float]


@dataclass(frozen=True)
class Dot:
    """One domain in a scatter.

    Attributes:
        name: Its label.
        x, y: Where it stands.
        x_span, y_span: Its intervals; None where there is none.
        kind: `gain`, `loss`, `moved` or `none`, which its shape and colour say.
    """

    name: str
    x: float
    y: float
    x_span: Span | None
    y_span: Span | None
    kind: str


Limits = tuple[float | None, float | None]
"""The least and the most that values can be; None without an end."""


def axis_over(
    label: str, values: Sequence[float], write: Callable[[float], str], limits: Limits = (None, None)
) -> Axis:
    """Lay an axis over values, its ends on round numbers, and never beyond what a value can be.

    Args:
        label: What it measures.
        values: What has to have room; an interval's end beyond a limit is drawn at the axis's end.
        write: How a tick is written.
        limits: The least and the most that a value can be.
    """
    least, most = (end if end is not None else bound for end, bound in zip(limits, (-math.inf, math.inf), strict=True))
    inside = [min(max(value, least), most) for value in values]
    ticks = [tick for tick in ticks_over(min(inside), max(inside)) if least <= tick <= most]
    if len(ticks) < 2 and math.isfinite(most - least):  # all values are one that lies at a limit
        ticks = ticks_over(least, most)
    return Axis(label, ticks, ticks[0], ticks[-1], write)


def ticks_over(low: float, high: float) -> list[float]:
    """Choose about five ticks at 1, 2 or 5 times a power of ten that begin below `low` and end above `high`."""
    if not high > low:
        low, high = (low - abs(low) / 2, low + abs(low) / 2) if low else (0.0, 1.0)
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(m * power for m in (1, 2, 5, 10) if m * power * 4.0001 >= high - low)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def dumbbell(change: Change, expected: Expected | None, axis: Axis) -> Html:
    """Draw a domain before (ring) and after (dot), with the change's interval, its noise floor and what was forecast.

    Args:
        change: The change; its text stands beside the picture, which is hidden from screen readers.
        expected: The forecast, drawn as a bracket below; None where there was none.
        axis: The panel's axis.
    """
    before, after = _at(axis, change.before), _at(axis, change.after)
    low, high = change.before + change.low, change.before + change.high
    parts = [_band(axis, change.before - change.noise, change.before + change.noise, "noise")]
    if expected:
        parts.append(_whisker(axis, change.before + expected.low, change.before + expected.high, "foretold", BELOW))
    parts.append(_whisker(axis, low, high, "whisker", MIDDLE))
    parts.append(tag("line", class_=f"link {change.direction}", x1=before, x2=after, y1=MIDDLE, y2=MIDDLE))
    parts.append(tag("circle", class_="before", cx=before, cy=MIDDLE, r=5))
    parts.append(tag("circle", class_=f"after {change.direction}", cx=after, cy=MIDDLE, r=4))
    return _strip(axis, *parts, height=HEIGHT + 6)


def interval_strip(
    value: float, span: Span | None, axis: Axis, kind: str = "", range_: Span | None = None, tick: float | None = None
) -> Html:
    """Draw a number as a dot with its interval as a whisker, over the axis's zero line.

    Args:
        value: The number; its text stands beside the picture, which is hidden from screen readers.
        span: Its interval.
        axis: The column's axis.
        kind: The dot's class in page.css.
        range_: A second range, drawn as a band behind.
        tick: A place to mark, such as chance.
    """
    parts = [_band(axis, *range_, "noise")] if range_ else []
    if tick is not None:
        parts.append(tag("line", class_="uniform", x1=_at(axis, tick), x2=_at(axis, tick), y1=2, y2=HEIGHT - 4))
    if span:
        parts.append(_whisker(axis, *span, "whisker", MIDDLE))
    parts.append(tag("circle", class_=f"after {kind}".strip(), cx=_at(axis, value), cy=MIDDLE, r=4))
    return _strip(axis, *parts)


def axis_strip(axis: Axis) -> Html:
    """Write an axis's ticks under a column of strips."""
    ticks = spaced(axis)
    sides = {ticks[-1]: "last", ticks[0]: "first"}
    marks = [tag("span", axis.write(t), class_=sides.get(t), style=f"left:{100 * axis.place(t):.2f}%") for t in ticks]
    return tag("div", *marks, class_="ticks", aria_hidden="true")


def _strip(axis: Axis, *parts: Html, height: int = HEIGHT) -> Html:
    grid = [
        tag("line", class_="zero" if tick == 0 else "grid", x1=_at(axis, tick), x2=_at(axis, tick), y1=0, y2=height)
        for tick in axis.ticks
    ]
    return tag("svg", *grid, *parts, class_="strip", width="100%", height=height, aria_hidden="true")


def _band(axis: Axis, low: float, high: float, kind: str) -> Html:
    width = 100 * (axis.place(high) - axis.place(low))
    return tag("rect", class_=kind, x=_at(axis, low), width=f"{width:.2f}%", y=MIDDLE - 7, height=14)


def _whisker(axis: Axis, low: float, high: float, kind: str, y: int) -> Html:
    ends = [tag("line", class_=kind, x1=x, x2=x, y1=y - 3.5, y2=y + 3.5) for x in (_at(axis, low), _at(axis, high))]
    return tag("g", tag("line", class_=kind, x1=_at(axis, low), x2=_at(axis, high), y1=y, y2=y), *ends)


def _at(axis: Axis, value: float) -> str:
    return f"{100 * axis.place(value):.2f}%"


WHISKERED = 200
"""Dots up to which a scatter draws their intervals and labels."""


def scatter(dots: Sequence[Dot], x: Axis, y: Axis, *, summary: str) -> Html:
    """Draw domains as dots with their intervals and labels.

    Args:
        dots: The domains; where labels would overlap, higher dots keep theirs.
        x: The horizontal axis.
        y: The vertical axis.
        summary: What the picture shows, for those who cannot see it.
    """
    places = [(100 * x.place(dot.x), 100 * y.place(dot.y)) for dot in dots]
    grid = [
        tag("line", class_="zero" if t == 0 else None, x1=0, x2=100, y1=_down(y, t), y2=_down(y, t)) for t in y.ticks
    ]
    few = len(dots) <= WHISKERED
    # Whiskers and labels of more would hide the dots.
    spans = [line for dot in dots for line in _spans(dot, x, y)] if few else []
    drawing = tag("svg", *grid, *spans, viewBox="0 0 100 100", preserveAspectRatio="none", aria_hidden="true")
    ups = [tag("span", y.write(t), class_="y", style=f"bottom:{100 * y.place(t):.2f}%") for t in y.ticks]
    acrosses = [tag("span", x.write(t), class_="x", style=f"left:{100 * x.place(t):.2f}%") for t in spaced(x)]
    sides = label_sides([dot.name for dot in dots], places) if few else [None] * len(dots)
    marks = [_mark(dot, place, side) for dot, place, side in zip(dots, places, sides, strict=True)]
    plot = tag("div", drawing, *ups, *acrosses, *marks, class_="plot scatter", role="img", aria_label=summary)
    return framed(plot, x, y)


def _spans(dot: Dot, x: Axis, y: Axis) -> list[Html]:
    across, down = f"{100 * x.place(dot.x):.2f}", _down(y, dot.y)
    lines = []
    if dot.x_span:
        ends = [f"{100 * x.place(end):.2f}" for end in dot.x_span]
        lines.append(tag("line", class_="span", x1=ends[0], x2=ends[1], y1=down, y2=down))
    if dot.y_span:
        downs = [_down(y, end) for end in dot.y_span]
        lines.append(tag("line", class_="span", x1=across, x2=across, y1=downs[0], y2=downs[1]))
    return lines


def _down(y: Axis, value: float) -> str:
    return f"{100 - 100 * y.place(value):.2f}"


def _mark(dot: Dot, place: Span, side: str | None) -> Html:
    label = tag("span", dot.name, class_=side) if side else None
    style = f"left:{place[0]:.2f}%;bottom:{place[1]:.2f}%"
    return tag("span", tag("i", class_=dot.kind), label, class_="domain", style=style, title=dot.name)


CHARACTER, LINE, GAP = 2.1, 4.2, 2.2
"""Size of a label's character and line and its distance from the dot, in per cent of the narrowest plot."""


def label_sides(names: Sequence[str], places: Sequence[Span]) -> list[str | None]:
    """Choose where each label stands beside its dot so that none covers another label or dot.

    Args:
        names: The labels.
        places: The dots, in per cent of the plot, from its lower left corner.

    Returns:
        A point of the compass, or None where there is no room; the dot's title still names it.
    """
    taken = [(x - 1.2, y - 1.5, x + 1.2, y + 1.5) for x, y in places]
    sides: list[str | None] = [None] * len(names)
    for i in sorted(range(len(names)), key=lambda i: (-places[i][1], i)):
        others = [box for j, box in enumerate(taken) if j != i]
        for side, box in _boxes(names[i], *places[i]).items():
            inside = box[0] >= 0 and box[2] <= 104 and box[1] >= 0 and box[3] <= 106
            if inside and not any(_overlap(box, other) for other in others):
                sides[i] = side
                taken.append(box)
                break
    return sides


Box = tuple[float, float, float, float]


def _boxes(name: str, x: float, y: float) -> dict[str, Box]:
    wide, tall = CHARACTER * len(name), LINE / 2
    return {
        "east": (x + GAP, y - tall, x + GAP + wide, y + tall),
        "west": (x - GAP - wide, y - tall, x - GAP, y + tall),
        "north": (x - wide / 2, y + GAP, x + wide / 2, y + GAP + LINE),
        "south": (x - wide / 2, y - GAP - LINE, x + wide / 2, y - GAP),
        "northeast": (x + 1.5, y + 1.5, x + 1.5 + wide, y + 1.5 + LINE),
        "northwest": (x - 1.5 - wide, y + 1.5, x - 1.5, y + 1.5 + LINE),
        "southeast": (x + 1.5, y - 1.5 - LINE, x + 1.5 + wide, y - 1.5),
        "southwest": (x - 1.5 - wide, y - 1.5 - LINE, x - 1.5, y - 1.5),
    }


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
