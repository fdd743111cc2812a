"""A study's pictures: whole XML, a dot for each figure, where the axes say."""

import math
from xml.etree import ElementTree

import numpy as np
import pytest
from random_table import random_table
from study_pages import judged_values, results

from mixplan.study.results.plots import Scale, bar_place, plots

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn():
    table = random_table()
    judged = judged_values(table, marks=[], resamples=0, seed=1)
    return judged, table, {name: ElementTree.fromstring(text) for name, text in plots(results(judged), table).items()}


def test_each_predictor_has_its_dot_at_its_score(drawn):
    judged, table, pictures = drawn
    dots = [float(dot.get("cx")) for dot in pictures["pooled.svg"].iter(f"{SVG}circle")][3:]  # after the legend
    scores = sorted((one["value"] for one in judged["pooled"]["all"]["kl"]["pearson"].values()), reverse=True)
    assert dots == pytest.approx([bar_place(score) for score in scores])
    words = [text.text for text in pictures["pooled.svg"].iter(f"{SVG}text")]
    assert set(table.predictors) <= set(words)
    assert bar_place(1) - bar_place(0) == pytest.approx(bar_place(0) - bar_place(-1))


def test_each_measured_cell_has_its_dot(drawn):
    _, table, pictures = drawn
    dots = [dot.get("class") for dot in pictures["cells.svg"].iter(f"{SVG}circle")][2:]
    measured = (~np.isnan(table.measures["kl"])).any(2)
    assert len(dots) == measured.sum()
    assert dots.count("hollow") == measured[3:].sum()  # held-out targets


def test_an_axis_is_logarithmic_where_it_can_be():
    axis = Scale([1.0, 10.0, 100.0])
    assert axis.place(10.0) == pytest.approx(0.5)
    assert math.log(float(axis.end(0))) < 0 < axis.place(1.0)
    assert Scale([-1.0, 0.0, 1.0]).place(0.0) == pytest.approx(0.5)
    assert Scale([]).place(0.0) == pytest.approx(0.5)
