"""Pictures of a study's ablations: whole XML, a dot for each figure, in its place on the axes."""

import math
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from saved_further import ablations, about, view, with_overlap
from study_pages import looked_into

from mixplan.study.results.ablation_plots import HIGH, INSET, LEFT, TICK_ROOM, TOP, WIDE, Frame, further_plots

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn():
    pictures = further_plots(looked_into({"ablations": ablations()}).ablations)
    return {name: ElementTree.fromstring(text) for name, text in pictures.items()}


def dots(picture, kind, legend):
    """Places of one kind's dots, its own in the legend left out."""
    found = [dot for dot in picture.iter(f"{SVG}circle") if dot.get("class") == kind]
    return [(float(dot.get("cx")), float(dot.get("cy"))) for dot in found[legend:]]


def across(n, least, most, left=LEFT):
    return left + INSET + (WIDE - 2 * INSET) * math.log(n / least) / math.log(most / least)


def up(value, low=0.0):
    return TOP + HIGH * (1 - value) / (1 - low)


def test_overlaps_and_correlations_stand_at_their_figures(drawn):
    picture, entries = drawn["features.svg"], ablations()["features"]
    every = [(float(dot.get("cx")), float(dot.get("cy"))) for dot in picture.iter(f"{SVG}circle")]
    for entry in entries:
        here = across(entry["features"], 10, 3000)
        assert any(place == pytest.approx((here, up(entry["overlap"]["value"])), abs=0.02) for place in every)
    (chance,) = picture.iter(f"{SVG}polyline")
    points = [tuple(map(float, point.split(","))) for point in chance.get("points").split()]
    expected = [(across(one["features"], 10, 3000), up(one["overlap"]["chance"])) for one in entries]
    assert [value for point in points for value in point] == pytest.approx(
        [value for point in expected for value in point], abs=0.02
    )
    heights = [y for _, y in dots(picture, "competitor", 1)]
    assert heights == pytest.approx([up(value, -1) for value in (0.1, 0.1, 0.1, 0.1, -0.3)], abs=0.02)
    # Overlap and two scores at five places, each with its interval.
    assert sum(line.get("class") == "whisker" for line in picture.iter(f"{SVG}line")) == 15


def test_each_training_has_its_curve_and_each_mean_its_dot(drawn):
    picture = drawn["concentration.svg"]
    assert len(list(picture.iter(f"{SVG}polyline"))) == len(ablations()["concentration"]) == 8
    for kind, key in (("forecast", "concentration"), ("competitor", "captured")):
        expected = [up(entry[key]["value"]) for entry in ablations()["features"]]
        assert [y for _, y in dots(picture, kind, 1)] == pytest.approx(expected, abs=0.02)
    # The two stand aside of their place by the same amount.
    moved, predicted = dots(picture, "forecast", 1)[0][0], dots(picture, "competitor", 1)[0][0]
    assert (moved + predicted) / 2 == pytest.approx(across(10, 1, 4608), abs=0.02)


def test_what_is_not_known_or_beyond_the_axis_is_not_drawn_astray():
    unknown = with_overlap(view(10, 0.5, 0.1, correlations={}), about(None))
    wide = with_overlap(view(20, 0.5, 0.1), about(0.5, 0.9))
    single = with_overlap(view(30, 0.5, 0.1), about(0.5, None))
    pictures = further_plots(looked_into({"ablations": ablations() | {"features": [unknown, wide, single]}}).ablations)
    picture = ElementTree.fromstring(pictures["features.svg"])
    whiskers = [line for line in picture.iter(f"{SVG}line") if line.get("class") == "whisker"]
    assert [float(whiskers[0].get(end)) for end in ("y1", "y2")] == [TOP + HIGH, TOP]
    assert len(whiskers) == 1 + 4  # an overlap, and two scores at two places
    assert len(dots(picture, "competitor", 1)) == 2


def test_labels_have_room_and_powers_of_ten_go_first():
    frame = Frame([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 4608], (0, 1), LEFT)
    found = frame.labelled()
    assert {1, 10, 100, 1000} <= set(found)
    places = [frame.across(tick) for tick in found]
    assert all(after - before >= TICK_ROOM for before, after in pairwise(places))
    assert Frame([7], (0, 1), LEFT).across(7) == LEFT + WIDE / 2


def test_nothing_is_drawn_without_numbers_of_features():
    assert (
        further_plots(None) == further_plots(looked_into({"ablations": ablations() | {"features": []}}).ablations) == {}
    )
