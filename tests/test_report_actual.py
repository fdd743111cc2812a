"""The actual drift is shown beside chance and the prediction, and what moved unexpectedly is shown in context."""

import re

import pytest
from page_html import read_page
from saved_run import checked, values

from mixplan.report.actual import actual
from mixplan.report.text import in_line, percent


def section(plan, outcome) -> str:
    found = actual(*checked(plan, outcome))
    assert found is not None
    return found


def test_not_read_is_not_shown() -> None:
    plan, outcome = values()
    outcome["drift"] = None
    assert actual(*checked(plan, outcome)) is None


def test_overlap_against_chance() -> None:
    html = section(*values())
    text = read_page(html).text
    assert "SAE features57 of 1002.6 [0, 6]" in text
    assert "Raw activations38 of 10017.4 [11, 24]" in text
    assert re.findall(r'class="after" cx="([\d.]+)%"', html) == ["57.00", "38.00"]
    assert re.findall(r'class="uniform" x1="([\d.]+)%"', html) == ["2.60", "17.40"]
    assert re.findall(r'class="noise" x="([\d.]+)%" width="([\d.]+)%"', html) == [("0.00", "6.00"), ("11.00", "13.00")]


@pytest.mark.parametrize("key", ["raw_overlap", "raw_of", "raw_chance"])
def test_without_raw_activations(key: str) -> None:
    plan, outcome = values()
    outcome["drift"][key] = None
    assert "Raw activations" not in section(plan, outcome)


def test_concentration_beside_the_predicted_one() -> None:
    plan, outcome = values()
    html = section(plan, outcome)
    assert len(re.findall("<polyline", html)) == 2
    assert html.count('class="beside"') == 1
    assert "hold 31.0 % of the actual shift, over 20,000 query tokens" in html
    outcome["drift"]["concentration"] = []
    assert "<polyline" not in section(plan, outcome)


def test_unexpected_features_with_their_contexts() -> None:
    plan, outcome = values()
    text = read_page(section(plan, outcome)).text
    for found in outcome["drift"]["unexpected"]:
        rank = found["predicted_rank"]
        told = f"predicted rank {rank:,}" if rank else "moved by no demonstration"
        assert f"Feature {found['feature']} {percent(found['share'])} of the actual shift, {told}" in text
        for context in found["contexts"]:
            assert in_line(context["before"] + context["token"] + context["after"]) in text
    outcome["drift"]["unexpected"] = []
    assert "unexpectedly" not in section(plan, outcome)
