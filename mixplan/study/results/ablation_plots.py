"""Draws a study's ablations for RESULTS.md as SVG: overlap and correlation against N, and concentration."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mixplan.report.markup import Html, tag
from mixplan.report.text import plain, whole
from mixplan.study.files.ablations import Ablations
from mixplan.study.files.figure import Bounded
from mixplan.study.results.ablations import PREDICTORS, correlation
from mixplan.study.results.figures import NAMES
from mixplan.study.results.plots import framed, text

Point = tuple[float, float]

WIDE, HIGH, LEFT, TOP, BETWEEN = 380, 240, 40, 64, 70
"""Sizes in pixels."""
TICK_ROOM, INSET = 34, 14
"""Between two labels on an axis; between a panel's sides and the outermost figures."""
BESIDE = 3
"""By so much series with intervals at one place stand apart."""


class Frame:
    """A panel's axes: numbers of features across in logarithms, values up."""

    def __init__(self, features: Sequence[int], span: Point, left: float) -> None:
        self.ticks = sorted(set(features))
        self.least, self.most = math.log(self.ticks[0]), math.log(self.ticks[-1])
        self.low, self.high = span
        self.left = left

    def across(self, features: float) -> float:
        """Where a number of features lies, in pixels."""
        room = self.most - self.least
        share = (math.log(features) - self.least) / room if room else 0.5
        return round(self.left + INSET + (WIDE - 2 * INSET) * share, 2)

    def up(self, value: float) -> float:
        """Where a value lies, in pixels; one beyond an end lies on it."""
        inside = min(self.high, max(self.low, value))
        return round(TOP + HIGH * (self.high - inside) / (self.high - self.low), 2)

    def drawn(self, ups: Sequence[float]) -> list[Html]:
        """The panel, its grid and labels."""
        parts = [tag("rect", class_="panel", x=self.left, y=TOP, width=WIDE, height=HIGH)]
        for value in ups:
            place = self.up(value)
            kind = "zero" if value == 0 and self.low < 0 else None
            parts.append(tag("line", class_=kind, x1=self.left, x2=self.left + WIDE, y1=place, y2=place))
            parts.append(text(plain(value), self.left - 6, place + 4, "quiet end"))
        labelled = [text(whole(tick), self.across(tick), TOP + HIGH + 16, "quiet middle") for tick in self.labelled()]
        return [*parts, *labelled]

    def labelled(self) -> list[int]:
        """Numbers with room for their label, powers of ten first."""
        found: list[int] = []
        for tick in sorted(self.ticks, key=lambda tick: str(tick).rstrip("0") != "1"):
            if all(abs(self.across(tick) - self.across(other)) >= TICK_ROOM for other in found):
                found.append(tick)
        return sorted(found)


def further_plots(ablations: Ablations | None) -> dict[str, str]:
    """Draw what was looked into beyond a study's judgement.

    Args:
        ablations: The study judged again with one setting changed at a time; None where it was not.

    Returns:
        SVG texts by file name: `features.svg` and `concentration.svg`, where the ablations hold numbers of features.
    """
    if ablations is None or not ablations.features:
        return {}
    return {"features.svg": features(ablations), "concentration.svg": concentration(ablations)}


def features(ablations: Ablations) -> str:
    """Overlap with its chance, and both scores' Pearson, against N."""
    entries = ablations.features
    numbers = [entry.features for entry in entries]
    overlaps, scores = Frame(numbers, (0, 1), LEFT), Frame(numbers, (-1, 1), LEFT + WIDE + BETWEEN)
    quantity = NAMES.get(ablations.quantity, ablations.quantity)
    parts = [text("Overlap of predicted and actual drift dimensions, share of N", LEFT, 14, "title")]
    parts += legend((("forecast", "overlap, mean over targets"), ("bound", "chance")), LEFT)
    parts += overlaps.drawn((0, 0.25, 0.5, 0.75, 1))
    parts.append(path(overlaps, [(entry.features, entry.overlap.chance) for entry in entries], "bound"))
    parts += series(overlaps, [(entry.features, entry.overlap) for entry in entries], "forecast")
    parts.append(text(f"Pearson with {quantity}", scores.left, 14, "title"))
    kinds = ("forecast", "competitor")
    parts += legend([*zip(kinds, PREDICTORS, strict=True)], scores.left)
    parts += scores.drawn((-1, -0.5, 0, 0.5, 1))
    for shift, kind, predictor in zip((-BESIDE, BESIDE), kinds, PREDICTORS, strict=True):
        found = [(entry.features, correlation(entry, "pearson", predictor)) for entry in entries]
        parts += series(scores, found, kind, shift)
    parts += [
        text("N, drift dimensions", frame.left + WIDE, TOP + HIGH + 34, "quiet end") for frame in (overlaps, scores)
    ]
    return framed(parts, scores.left + WIDE, TOP + HIGH + 40)


def concentration(ablations: Ablations) -> str:
    """Each training's curve, with the means over targets of what the actual and the predicted N hold."""
    curves, entries = ablations.concentration, ablations.features
    numbers = [int(number) for curve in curves.values() for number, _ in curve]
    frame = Frame([*numbers, *(entry.features for entry in entries)], (0, 1), LEFT)
    parts = [text("Part of a job's whole change on its target", LEFT, 14, "title")]
    parts += legend((("bound", "each training"), ("forecast", "moved most"), ("competitor", "predicted")), LEFT)
    parts += frame.drawn((0, 0.25, 0.5, 0.75, 1))
    parts += [path(frame, [(number, share) for number, share in curve], "bound") for curve in curves.values()]
    parts += series(frame, [(entry.features, entry.concentration) for entry in entries], "forecast", -BESIDE)
    parts += series(frame, [(entry.features, entry.captured) for entry in entries], "competitor", BESIDE)
    parts.append(text("number of features", LEFT + WIDE, TOP + HIGH + 34, "quiet end"))
    return framed(parts, LEFT + WIDE, TOP + HIGH + 40)


def legend(kinds: Sequence[tuple[str, str]], left: float) -> list[Html]:
    """What each colour is."""
    parts = []
    for kind, words in kinds:
        parts += [tag("circle", class_=kind, cx=left + 6, cy=36, r=4), text(words, left + 16, 40, "quiet")]
        left += 34 + 6.5 * len(words)
    return parts


def path(frame: Frame, points: Sequence[Point], kind: str) -> Html:
    """A line through points."""
    return tag("polyline", class_=kind, points=" ".join(f"{frame.across(x)},{frame.up(y)}" for x, y in points))


def series(frame: Frame, found: Sequence[tuple[int, Bounded | None]], kind: str, shift: float = 0.0) -> list[Html]:
    """A dot for each figure with its interval, as far aside as `shift` says."""
    parts = []
    for number, entry in found:
        if entry is None or entry.value is None:
            continue
        across = round(frame.across(number) + shift, 2)
        if entry.low is not None and entry.high is not None:
            low, high = frame.up(entry.low), frame.up(entry.high)
            parts.append(tag("line", class_="whisker", x1=across, x2=across, y1=low, y2=high))
        parts.append(tag("circle", class_=kind, cx=across, cy=frame.up(entry.value), r=4))
    return parts
