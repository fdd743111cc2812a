"""Draws saved numbers as small SVG pictures, in per cent of their width so that text never shrinks on a phone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mixplan.report.markup import Html, join, tag
from mixplan.saved.base_types import Interval

TICK_GAP = 0.09
"""Least distance between two labels on an axis, as a share of its length."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Attributes:
        label: What it measures, with its unit.
        ticks: Where labels stand.
        low, high: Its ends.
        write: How a tick is written.
        log: Equal ratios take equal room; `low` is above 0 then.
    """

    label: str
    ticks: Sequence[float]
    low: float
    high: float
    write: Callable[[float], str]
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value lies, 0 at the low end and 1 at the high end; values beyond an end lie on it."""
        low, high, value = (math.log(max(v, self.low)) if self.log else v for v in (self.low, self.high, value))
        return min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.0


def score_bar(score: Interval, highest: float) -> Html:
    """Draw a score as a bar with its interval as a whisker.

    Args:
        score: The score; its text stands beside the bar, so the picture is hidden from screen readers.
        highest: The value at full width.
    """
    low, value, high = (_per_cent(v, highest) for v in (score.low, score.value, score.high))
    whisker = [tag("line", class_="whisker", x1=low, x2=high, y1=8, y2=8)]
    caps = [tag("line", class_="whisker", x1=x, x2=x, y1=4.5, y2=11.5) for x in (low, high)]
    return _bar(tag("rect", class_="bar", width=value, y=3, height=10), *whisker, *caps)


def share_bar(share: float, uniform: float, highest: float) -> Html:
    """Draw a share as a bar with a tick at the uniform share.

    Args:
        share: The planned share.
        uniform: The share under a uniform spread.
        highest: The share at full width.
    """
    tick = _per_cent(uniform, highest)
    bar = tag("rect", class_="bar", width=_per_cent(share, highest), y=3, height=10)
    return _bar(bar, tag("line", class_="uniform", x1=tick, x2=tick, y1=0, y2=16))


def _bar(*parts: Html) -> Html:
    return tag("svg", *parts, class_="strip", width="100%", height=16, aria_hidden="true")


def _per_cent(value: float, highest: float) -> str:
    share = min(1.0, max(0.0, value / highest)) if highest > 0 else 0.0
    return f"{100 * share:.2f}%"


def line_chart(
    points: Sequence[Point],
    x: Axis,
    y: Axis,
    *,
    summary: str,
    dots: Sequence[tuple[Point, str]],
    beside: Sequence[Point] = (),
) -> Html:
    """Draw a line with labelled axes.

    Args:
        points: (x, y) in the order they are joined.
        x: The horizontal axis.
        y: The vertical axis.
        summary: What the picture shows, for those who cannot see it.
        dots: Points to mark, each with its label (empty for none).
        beside: A second line to compare with, drawn dashed.
    """
    grid = [tag("line", x1=0, x2=100, y1=100 - h, y2=100 - h) for h in (round(100 * y.place(t), 2) for t in y.ticks)]
    dashed = tag("polyline", points=_path(beside, x, y), class_="beside") if beside else None
    lines = join([*grid, dashed, tag("polyline", points=_path(points, x, y))])
    drawing = tag("svg", lines, viewBox="0 0 100 100", preserveAspectRatio="none", aria_hidden="true")
    ups = [tag("span", y.write(t), class_="y", style=f"bottom:{100 * y.place(t):.2f}%") for t in y.ticks]
    acrosses = [tag("span", x.write(t), class_="x", style=f"left:{100 * x.place(t):.2f}%") for t in spaced(x)]
    marks = [_dot(x.place(a), y.place(b), label) for (a, b), label in dots]
    plot = tag("div", drawing, *ups, *acrosses, *marks, class_="plot", role="img", aria_label=summary)
    return framed(plot, x, y)


def framed(plot: Html, x: Axis, y: Axis) -> Html:
    """Put the axes' labels around a plot; an empty one is left out."""
    above = tag("p", y.label, class_="axis") if y.label else None
    return tag("div", above, plot, tag("p", x.label, class_="axis below"), class_="chart")


def _path(points: Sequence[Point], x: Axis, y: Axis) -> str:
    return " ".join(f"{100 * x.place(a):.2f},{100 - 100 * y.place(b):.2f}" for a, b in points)


def _dot(across: float, up: float, label: str) -> Html:
    side = "dot left" if across > 0.5 else "dot"
    place = f"left:{100 * across:.2f}%;bottom:{100 * up:.2f}%"
    return tag("span", tag("span", label) if label else None, class_=side, style=place)


def spaced(axis: Axis) -> list[float]:
    """Choose the ticks whose labels have room: the last always, then from the first on those clear of the others."""
    last = axis.ticks[-1]
    kept: list[float] = []
    for tick in axis.ticks[:-1]:
        clear = not kept or axis.place(tick) - axis.place(kept[-1]) >= TICK_GAP
        if clear and axis.place(last) - axis.place(tick) >= TICK_GAP:
            kept.append(tick)
    return [*kept, last]


def round_ticks(highest: float) -> list[float]:
    """Choose ticks from 0 to a round number no lower than the highest value: 1, 2, 2.5, 4 or 5 times a power of ten."""
    if highest <= 0:
        return [0.0, 0.5, 1.0]
    power = 10.0 ** math.floor(math.log10(highest))
    top = next(m * power for m in (1, 2, 2.5, 4, 5, 10, 20) if m * power >= highest)
    return [0.0, top / 2, top]


def log_axis(label: str, highest: float, write: Callable[[float], str]) -> Axis:
    """Lay an axis from 1 to the highest value with a tick at each power of ten and at the end."""
    tens = [10.0**power for power in range(math.floor(math.log10(max(highest, 1))) + 1)]
    return Axis(label, [*(t for t in tens if t < highest), highest], 1, highest, write, log=True)
