"""Marks stand where the numbers say, and labels cover neither each other nor a dot."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixplan.report.charts import Axis
from mixplan.report.plots import (
    CHARACTER,
    LINE,
    Dot,
    axis_over,
    axis_strip,
    dumbbell,
    interval_strip,
    label_sides,
    scatter,
    ticks_over,
)
from mixplan.report.text import plain
from mixplan.saved.base_types import Expected
from mixplan.saved.outcome import Change

AXIS = Axis("", [0, 0.5, 1], 0, 1, plain)


def places(html: str, pattern: str) -> list[float]:
    return [float(found) for found in re.findall(pattern, html)]


def change() -> Change:
    numbers = {"before": 0.5, "after": 0.7, "change": 0.2, "low": 0.1, "high": 0.3, "noise": 0.05}
    return Change.model_validate({"items": 9, "changed": True, "direction": "gain", **numbers})


def test_dumbbell() -> None:
    expected = Expected(measure="exact", quantity="score", change=-0.1, low=-0.2, high=0.0, sign=None)
    html = dumbbell(change(), expected, AXIS)
    assert 'class="before" cx="50.00%"' in html
    assert 'class="after gain" cx="70.00%"' in html
    assert '<line class="link gain" x1="50.00%" x2="70.00%"' in html
    assert places(html, r'class="whisker" x1="([\d.]+)%"') == [60, 60, 80]
    assert places(html, r'class="foretold" x1="([\d.]+)%"') == [30, 30, 50]
    assert '<rect class="noise" x="45.00%" width="10.00%"' in html
    assert 'class="zero" x1="0.00%"' in html
    assert 'aria-hidden="true"' in html


def test_without_a_forecast_there_is_no_bracket() -> None:
    assert "foretold" not in dumbbell(change(), None, AXIS)


def test_interval_strip() -> None:
    html = interval_strip(0.5, (0.25, 0.75), AXIS, "loss", range_=(0.4, 0.6), tick=0.1)
    assert 'class="after loss" cx="50.00%"' in html
    assert places(html, r'class="whisker" x1="([\d.]+)%"') == [25, 25, 75]
    assert '<rect class="noise" x="40.00%" width="20.00%"' in html
    assert 'class="uniform" x1="10.00%"' in html
    bare = interval_strip(0.5, None, AXIS)
    assert not {"whisker", "noise", "uniform"} & set(re.findall(r'class="(\w+)"', bare))


def test_axis_strip_keeps_its_ends_inside() -> None:
    html = axis_strip(AXIS)
    assert '<span class="first" style="left:0.00%">0</span>' in html
    assert '<span style="left:50.00%">0.5</span>' in html
    assert '<span class="last" style="left:100.00%">1</span>' in html


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_cover_without_waste(low: float, width: float) -> None:
    high = low + width
    ticks = ticks_over(low, high)
    step = ticks[1] - ticks[0]
    slack = 1e-6 * max(abs(low), abs(high)) + 1e-6 * step
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert low - ticks[0] <= step + slack
    assert ticks[-1] - high <= step + slack
    assert 3 <= len(ticks) <= 7


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.5, 1]),
        (0.31, 0.74, [0.2, 0.4, 0.6, 0.8]),
        (-3, 9, [-5, 0, 5, 10]),
        (0, 0, [0, 0.5, 1]),
        (4, 4, [2, 3, 4, 5, 6]),
    ],
)
def test_ticks(low: float, high: float, ticks: list[float]) -> None:
    assert ticks_over(low, high) == ticks


def test_axis_over_ends_on_ticks() -> None:
    axis = axis_over("x", [0.31, 0.74, 0.5], plain)
    assert (axis.low, axis.high, axis.place(0.5)) == (0.2, 0.8, pytest.approx(0.5))


def test_scatter() -> None:
    dots = [Dot("law", 0.25, 0.5, (0.2, 0.3), (0.4, 0.9), "loss"), Dot("coding", 0.75, 0.75, None, None, "none")]
    html = scatter(dots, AXIS, AXIS, summary='two "domains"')
    assert 'role="img" aria-label="two &quot;domains&quot;"' in html
    assert 'style="left:25.00%;bottom:50.00%" title="law"><i class="loss"></i><span class="east">law</span>' in html
    assert '<line class="span" x1="20.00" x2="30.00" y1="50.00" y2="50.00">' in html
    assert '<line class="span" x1="25.00" x2="25.00" y1="60.00" y2="10.00">' in html
    assert html.count('class="span"') == 2


def test_labels_turn_away_from_each_other() -> None:
    sides = label_sides(["left", "right"], [(50, 50), (53, 50)])
    assert sides == ["west", "east"] or sides == ["north", "east"]
    assert label_sides(["edge"], [(99, 50)]) == ["west"]


def covered(side: str, name: str, x: float, y: float) -> tuple[float, float, float, float]:
    """Where a label lies, by its own reckoning: left, lower, right, upper end."""
    wide = CHARACTER * len(name)
    across = {"east": x + 2.2, "west": x - 2.2 - wide, "north": x - wide / 2, "south": x - wide / 2}
    left = across.get(side, x + 1.5 if side.endswith("east") else x - 1.5 - wide)
    up = {"east": y - LINE / 2, "west": y - LINE / 2, "north": y + 2.2, "south": y - 2.2 - LINE}
    lower = up.get(side, y + 1.5 if side.startswith("north") else y - 1.5 - LINE)
    return left, lower, left + wide, lower + LINE


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), max_size=16))
def test_no_label_covers_another_or_a_dot(places: list[tuple[float, float]]) -> None:
    names = [f"domain_{i}" for i in range(len(places))]
    sides = label_sides(names, places)
    boxes = [
        covered(side, name, *place) for side, name, place in zip(sides, names, places, strict=True) if side is not None
    ]
    shown = [i for i, side in enumerate(sides) if side]
    for i, (left, low, right, high) in zip(shown, boxes, strict=True):
        for j, (x, y) in enumerate(places):
            assert i == j or not (left < x < right and low < y < high)
        for other, (a, b, c, d) in zip(shown, boxes, strict=True):
            assert i == other or left >= c or a >= right or low >= d or b >= high


def test_a_lone_label_is_always_shown() -> None:
    assert all(label_sides(["name"], [(x, y)])[0] for x in range(0, 101, 5) for y in range(0, 101, 5))


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=5))
def test_an_axis_never_goes_beyond_what_a_value_can_be(values: list[float]) -> None:
    axis = axis_over("", values, plain, (0, 1))
    assert 0 <= axis.low < axis.high <= 1
    inside = [min(max(value, 0.0), 1.0) for value in values]
    assert axis.low <= min(inside) <= max(inside) <= axis.high
    above = axis_over("", values, plain, (0, None))
    assert 0 <= above.low < above.high
