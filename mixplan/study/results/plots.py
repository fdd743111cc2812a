"""Draws a study's results for RESULTS.md as SVG: pooled scores, and predicted against measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mixplan.report.markup import Html, tag
from mixplan.report.text import plain
from mixplan.study.files.figure import Bounded
from mixplan.study.files.judgement import Judgement
from mixplan.study.judged.table import Table
from mixplan.study.results.figures import NAMES
from mixplan.study.results.page import HEADLINE, role

STYLE = Html(
    "text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#16191d}"
    ".quiet{fill:#5a626d}.title{font-weight:600}.end{text-anchor:end}.middle{text-anchor:middle}"
    "rect.ground{fill:#fff}rect.panel{fill:none;stroke:#dfe3e8}line{stroke:#dfe3e8}line.zero{stroke:#5a626d}"
    "line.whisker{stroke:#0c2f3d;stroke-width:1.5}.forecast{fill:#1f6f8b}.competitor{fill:#b4470e}.bound{fill:#9aa3ad}"
    ".hollow{fill:#fff;stroke:#1f6f8b;stroke-width:1.5}polyline{stroke-width:1.5}polyline.forecast{fill:none;stroke:#1f6f8b}"
    "polyline.competitor{fill:none;stroke:#b4470e}polyline.bound{fill:none;stroke:#9aa3ad}"
    "@media (prefers-color-scheme:dark){text{fill:#e8eaed}.quiet{fill:#a0a8b2}rect.ground{fill:#14171a}"
    "rect.panel,line{stroke:#2f353c}line.zero{stroke:#a0a8b2}line.whisker{stroke:#e2f3fa}.forecast{fill:#4f9fbd}"
    ".competitor{fill:#f2a15f}.hollow{fill:#14171a;stroke:#4f9fbd}polyline.forecast{stroke:#4f9fbd}"
    "polyline.competitor{stroke:#f2a15f}}"
)
CLASSES = {"forecast": "forecast", "competitor": "competitor", "needs the trained model": "bound"}

NAMES_WIDE, BARS_WIDE, FIGURES_WIDE, ROW = 210, 420, 60, 20
PANEL, GAP, ACROSS = 190, 34, 4
"""Sizes in pixels; panels in a row."""

Span = tuple[float, float]


def plots(judged: Judgement, table: Table) -> dict[str, str]:
    """Draw a study's pictures.

    Returns:
        SVG texts by file name: `pooled.svg` (each predictor's pooled Pearson with its interval, all targets) and, where
        a forecast was chosen, `cells.svg` (its values against the size of change, one panel a target).
    """
    quantity = HEADLINE if HEADLINE in judged.cells else next(iter(judged.cells))
    drawn = {"pooled.svg": pooled(judged, table, quantity)}
    choice = judged.chosen.get(quantity, {}).get("pearson")
    if choice:
        drawn["cells.svg"] = panels(judged, table, quantity, choice.forecast)
    return drawn


def pooled(judged: Judgement, table: Table, quantity: str) -> str:
    """Each predictor's pooled Pearson as a dot with its interval, best first."""
    found = judged.pooled["all"][quantity]["pearson"]
    values = {name: entry.value for name, entry in found.items() if entry.value is not None}
    order = sorted(values, key=lambda name: -values[name])
    parts = [text(f"Pearson with {NAMES.get(quantity, quantity)}, within target, mean over targets", 0, 14, "title")]
    for i, (name, kind) in enumerate(
        {"forecast": "forecast", "competitor": "competitor", "bound": role_bound()}.items()
    ):
        parts.append(tag("circle", class_=name, cx=8 + 120 * i, cy=32, r=4))
        parts.append(text(kind, 18 + 120 * i, 36, "quiet"))
    top = 50
    for tick in (-1.0, -0.5, 0.0, 0.5, 1.0):
        across = bar_place(tick)
        bottom = top + ROW * len(order)
        parts.append(tag("line", class_="zero" if tick == 0 else None, x1=across, x2=across, y1=top, y2=bottom))
        parts.append(text(plain(tick), across, bottom + 16, "quiet middle"))
    for i, name in enumerate(order):
        parts.extend(bar(name, values[name], found[name], CLASSES[role(table, name)], top + ROW * i + ROW / 2))
    return framed(parts, NAMES_WIDE + BARS_WIDE + FIGURES_WIDE, top + ROW * len(order) + 26)


def role_bound() -> str:
    """What a bound is called."""
    return next(said for said, kind in CLASSES.items() if kind == "bound")


def bar(name: str, value: float, entry: Bounded, kind: str, down: float) -> list[Html]:
    """One predictor's line."""
    parts = [text(name, NAMES_WIDE - 12, down + 4, "end")]
    if entry.low is not None and entry.high is not None:
        ends = bar_place(entry.low), bar_place(entry.high)
        parts.append(tag("line", class_="whisker", x1=ends[0], x2=ends[1], y1=down, y2=down))
    parts.append(tag("circle", class_=kind, cx=bar_place(value), cy=down, r=4))
    right = NAMES_WIDE + BARS_WIDE + FIGURES_WIDE
    return [*parts, text(f"{value:.2f}", right - 4, down + 4, "quiet end")]


def bar_place(value: float) -> float:
    """Where a correlation lies across the picture, in pixels."""
    return round(NAMES_WIDE + BARS_WIDE * (value + 1) / 2, 2)


def panels(judged: Judgement, table: Table, quantity: str, name: str) -> str:
    """The chosen forecast against the size of change, one panel a target, all on the same axes."""
    sizes = judged.cells[quantity].size
    points = {
        target: [
            (float(x), float(y))
            for x, y in zip(table.predictors[name][t], sizes[t], strict=True)
            if y is not None and not math.isnan(x)
        ]
        for t, target in enumerate(table.targets)
    }
    every = [point for found in points.values() for point in found]
    across, up = (Scale([point[side] for point in every]) for side in (0, 1))
    rows = math.ceil(len(points) / ACROSS)
    parts = [text(f"across: {name}{across.note}; up: {NAMES.get(quantity, quantity)}{up.note}", 0, 14, "title")]
    parts += [tag("circle", class_="forecast", cx=8, cy=32, r=3.5), text("development target", 18, 36, "quiet")]
    parts += [tag("circle", class_="hollow", cx=158, cy=32, r=3.5), text("held-out target", 168, 36, "quiet")]
    for i, (target, found) in enumerate(points.items()):
        left, top = (i % ACROSS) * (PANEL + GAP) + GAP, (i // ACROSS) * (PANEL + 2 * GAP) + 70
        parts.extend(panel(found, across, up, (left, top), target in table.held_out))
        score = judged.by_target[quantity][target][name].pearson
        parts.append(text(target + ("" if score is None else f"  r = {score:.2f}"), left, top - 6))
    return framed(parts, ACROSS * (PANEL + GAP) + GAP, 70 + rows * (PANEL + 2 * GAP))


def panel(points: Sequence[Span], across: Scale, up: Scale, corner: Span, held_out: bool) -> list[Html]:
    """One target's dots in its frame."""
    left, top = corner
    parts = [tag("rect", class_="panel", x=left, y=top, width=PANEL, height=PANEL)]
    for end, side in ((0.0, "quiet"), (1.0, "quiet end")):
        parts.append(text(across.end(end), left + end * PANEL, top + PANEL + 14, side))
        parts.append(text(up.end(end), left - 4, top + (1 - end) * (PANEL - 10) + 10, "quiet end"))
    for x, y in points:
        place = {"cx": round(left + across.place(x) * PANEL, 2), "cy": round(top + (1 - up.place(y)) * PANEL, 2)}
        parts.append(tag("circle", class_="hollow" if held_out else "forecast", r=3.5, **place))
    return parts


class Scale:
    """An axis over values, in logarithms where all lie above 0."""

    def __init__(self, values: Sequence[float]) -> None:
        self.log = bool(values) and min(values) > 0
        self.note = " (logarithmic)" if self.log else ""
        seen = [self.bent(value) for value in values] or [0.0]
        room = 0.05 * (max(seen) - min(seen)) or 0.5
        self.low, self.high = min(seen) - room, max(seen) + room

    def bent(self, value: float) -> float:
        """The value, or its logarithm."""
        return math.log(value) if self.log else value

    def place(self, value: float) -> float:
        """Where a value lies, 0 to 1."""
        return (self.bent(value) - self.low) / (self.high - self.low)

    def end(self, place: float) -> str:
        """What stands at an end."""
        value = self.low + place * (self.high - self.low)
        return f"{math.exp(value) if self.log else value:.2g}"


def text(words: str, x: float, y: float, kind: str | None = None) -> Html:
    """Write words at a place."""
    return tag("text", words, class_=kind, x=round(x, 2), y=round(y, 2))


def framed(parts: Sequence[Html], width: float, height: float) -> str:
    """A picture that stands by itself, on its own ground."""
    ground = tag("rect", class_="ground", x=-10, y=-10, width=width + 20, height=height + 20)
    box = f"-10 -10 {width + 20} {height + 20}"
    drawing = tag(
        "svg", tag("style", STYLE), ground, *parts, xmlns="http://www.w3.org/2000/svg", viewBox=box, width=width + 20
    )
    return drawing + "\n"
