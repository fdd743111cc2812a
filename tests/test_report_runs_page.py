"""The page of several runs sets every change, correlation and overlap beside the others, and holds against any text."""

import re
from pathlib import Path

import pytest
from page_html import HOSTILE, read_page
from saved_run import checked, sample, values

from mixplan.report.measures import quantity
from mixplan.report.runs_page import render_several, write_several


def several(count: int = 3):
    return [(f"runs/{seed}", *sample(seed)) for seed in range(count)]


def test_one_file_the_same_bytes(tmp_path: Path) -> None:
    file = write_several(several(), tmp_path / "all.html")
    page = file.read_text(encoding="utf-8")
    assert page == render_several(several())
    assert page.startswith("<!DOCTYPE html>\n")
    assert not re.search(r"url\(|@import|https?:|<script|<img", page)


def test_sections_in_order() -> None:
    assert read_page(render_several(several())).titles == [
        "What was wrong",
        "Change by domain",
        "Predicted against measured",
        "Actual drift",
    ]


def test_every_change_and_correlation_of_every_run() -> None:
    runs = several()
    text = read_page(render_several(runs)).text
    for label, _, outcome in runs:
        for measured in [outcome.target, *outcome.domains.values()]:
            assert measured.change is not None
            unit, change = quantity(measured.quantity or ""), measured.change
            assert f"{label}{unit.signed(change.change)} {unit.bounds(change.low, change.high)}" in text
        for line in outcome.judgement:
            if line.predictor == "sts_act" and line.measure != "choice":
                figures = f"{line.pearson:.2f} [{line.pearson_low:.2f}, {line.pearson_high:.2f}]{line.r2:.2f}"
                assert f"{label}STS_act{figures}" in text
        assert f"{label}57 of 1002.6 [0, 6]" in text


def test_runs_with_other_domains_leave_cells_empty() -> None:
    plan, outcome = values()
    del outcome["domains"]["law"]
    page = render_several([*several(1), ("less", *checked(plan, outcome))])
    line = page[page.index(">law<") :]
    assert "less" not in line[: line.index("</tr>")]


def test_what_is_missing_has_no_section() -> None:
    plan, outcome = values(forecast="none")
    outcome.update(judgement=[], drift=None, warnings=[])
    assert read_page(render_several([("bare", *checked(plan, outcome))])).titles == ["Change by domain"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_labels_change_no_element(text: str) -> None:
    plan, outcome = sample()
    shapes = [read_page(render_several([(label, plan, outcome)])).shape for label in ("x", text)]
    assert shapes[0] == shapes[1]
