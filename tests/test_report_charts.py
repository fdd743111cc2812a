"""Pictures stand where the numbers say: places, ticks and bars by their own formulas."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixplan.report.charts import Axis, line_chart, log_axis, round_ticks, score_bar, share_bar, spaced
from mixplan.report.text import whole
from mixplan.saved.base_types import Interval


def numbers(html: str, pattern: str) -> list[float]:
    return [float(found) for found in re.findall(pattern, html)]


def test_score_bar() -> None:
    html = score_bar(Interval(value=2, low=1, high=3), 4)
    assert numbers(html, r'class="bar" width="([\d.]+)%"') == [50]
    assert numbers(html, r'x1="([\d.]+)%"') == [25, 25, 75]
    assert numbers(html, r'x2="([\d.]+)%"') == [75, 25, 75]
    assert 'aria-hidden="true"' in html


def test_share_bar() -> None:
    html = share_bar(0.1, 0.0625, 0.25)
    assert numbers(html, r'class="bar" width="([\d.]+)%"') == [40]
    assert numbers(html, r'x1="([\d.]+)%"') == [25]


def test_nothing_is_drawn_outside_its_strip() -> None:
    html = score_bar(Interval(value=-1, low=-2, high=9), 4)
    assert numbers(html, r'width="([\d.]+)%"') == [100, 0]
    assert numbers(html, r'x[12]="([\d.]+)%"') == [0, 100, 0, 0, 100, 100]
    assert numbers(share_bar(0, 0, 0), r'class="bar" width="([\d.]+)%"') == [0]


@given(st.floats(1e-6, 1e6), st.floats(0, 1))
def test_axis_places_linearly_and_by_ratio(high: float, part: float) -> None:
    assert Axis("", [], 0, high, whole).place(part * high) == pytest.approx(part, abs=1e-9)
    assert Axis("", [], 1, high + 2, whole, log=True).place((high + 2) ** part) == pytest.approx(part, abs=1e-9)


def test_axis_holds_values_beyond_its_ends() -> None:
    axis = log_axis("features", 4608, whole)
    assert (axis.place(0), axis.place(9999)) == (0, 1)
    assert Axis("", [0], 5, 5, whole).place(5) == 0


def test_log_axis_ticks() -> None:
    assert list(log_axis("features", 4608, whole).ticks) == [1, 10, 100, 1000, 4608]
    assert list(log_axis("features", 1000, whole).ticks) == [1, 10, 100, 1000]
    assert list(log_axis("features", 2, whole).ticks) == [1, 2]


def test_labels_that_would_overlap_are_left_out() -> None:
    assert spaced(Axis("", [0, 5, 50, 96, 100], 0, 100, whole)) == [0, 50, 100]
    assert spaced(Axis("", [7], 7, 7, whole)) == [7]


@given(st.floats(1e-9, 1e9))
def test_round_ticks_cover_without_waste(highest: float) -> None:
    zero, half, top = round_ticks(highest)
    assert (zero, half) == (0, top / 2)
    assert highest <= top <= 2.0001 * highest


def test_round_ticks_of_nothing() -> None:
    assert round_ticks(0) == [0, 0.5, 1]


def test_line_chart() -> None:
    x, y = Axis("rows", [0, 10], 0, 10, whole), Axis("loss", [0, 2], 0, 2, whole)
    html = line_chart([(0, 2), (5, 1), (10, 0)], x, y, summary='falls "fast"', dots=[((5, 1), "half"), ((10, 0), "")])
    assert 'points="0.00,0.00 50.00,50.00 100.00,100.00"' in html
    assert 'role="img" aria-label="falls &quot;fast&quot;"' in html
    assert '<span class="dot" style="left:50.00%;bottom:50.00%"><span>half</span></span>' in html
    assert '<span class="dot left" style="left:100.00%;bottom:0.00%"></span>' in html
