"""The page's closing sections say what was read, by what, and from what."""

import json
from typing import Any

import pytest
from saved_plan import sample

from mixplan.report.provenance import sections
from mixplan.saved.plan import Plan


def html_of(value: dict[str, Any]) -> str:
    return "".join(sections(Plan.model_validate_json(json.dumps(value))))


@pytest.fixture
def value() -> dict[str, Any]:
    return sample(domains=2)


def test_data_says_licence_and_drops(value: dict[str, Any]) -> None:
    value["domains"]["algebra"].update(licence=None, dropped={"duplicate": 1200, "in the pool of law": 0})
    value["domains"]["arithmetic"].update(licence="MIT", dropped={})
    html = html_of(value)
    assert '<td role="cell">not known</td><td role="cell">1,200 duplicate</td>' in html
    assert '<td role="cell">MIT</td><td role="cell">none</td>' in html
    assert '<td role="cell">not known</td><td role="cell">3 duplicate, 1 in evaluation of law</td>' in html


@pytest.mark.parametrize(
    ("fits", "verdict"),
    [(True, "fits these tokens (20,000 read)"), (False, "does not fit these tokens: see the warnings (20,000 read)")],
)
def test_health_is_plain(value: dict[str, Any], fits: bool, verdict: str) -> None:
    value["sae"]["health"]["fits"] = fits
    assert f"<dd>{verdict}</dd>" in html_of(value)


@pytest.mark.parametrize(("repeats", "words"), [(1, "once"), (3, "3 times")])
def test_repeats(value: dict[str, Any], repeats: int, words: str) -> None:
    value["allocation"]["max_repeats"] = repeats
    assert f"<dd>alpha_fair, each row used at most {words}</dd>" in html_of(value)


def test_hashes_are_whole_and_versions_sorted(value: dict[str, Any]) -> None:
    html = html_of(value)
    for name, digest in value["hashes"].items():
        assert f"<dt>{name}</dt><dd><code>{digest}</code></dd>" in html
    assert "<dd>cvxpy 1.9.0, sae-lens 6.54.0, torch 2.13.0, transformers 5.23.0</dd>" in html


def test_nothing_recorded(value: dict[str, Any]) -> None:
    value["seconds"], value["tokens"], value["mixture"] = {}, {}, None
    html = html_of(value)
    assert html.count("<dd>not recorded</dd>") == 2
    assert "<dt>Mixture</dt><dd>not written</dd>" in html


def test_data_says_why_reading_stopped(value: dict[str, Any]) -> None:
    text = "Read 900 of at most 2,000 query tokens (look 2 of 5): enough."
    figures = {"look": 1, "query_tokens": 900, "at_most": 2000, "dimensions": 0.9, "order": 0.95, "rows": 0.96}
    assert text not in html_of(value)
    assert f"<p>{text}</p>" in html_of(value | {"stopped": {**figures, "text": text}})
