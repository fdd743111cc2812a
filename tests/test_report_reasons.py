"""The reasons on the page are the plan's own, in its order."""

import json
from typing import Any

from saved_plan import sample

from mixplan.report.page import render
from mixplan.report.reasons import contexts, features, scores, shown_passage, why
from mixplan.saved.base_types import Context
from mixplan.saved.plan import Plan


def plan_of(value: dict[str, Any]) -> Plan:
    return Plan.model_validate_json(json.dumps(value))


def test_the_first_domain_alone_is_open() -> None:
    html = why(plan_of(sample()))
    assert html is not None
    assert html.count("<details") == 16
    assert html.index('<details open="">') < html.index("<details>")
    assert html.count(" open=") == 1


def test_a_token_is_marked_in_its_context() -> None:
    value = sample(domains=1)
    context = {"before": "the ", "token": " <b>", "after": "\nend", "activation": 4.2}
    value["domains"]["arithmetic"]["why"] = [{"feature": 17, "share": 0.2, "contexts": [context]}]
    assert (
        '<h3><span>Feature 17</span> <span class="quiet">20.0 % of the score</span></h3><ul class="contexts"><li>'
        '<bdi>the  <mark>&lt;b&gt;</mark>↵end</bdi><span class="quiet" title="activation">4.20</span></li></ul>'
    ) in str(why(plan_of(value)))


def test_a_token_of_spaces_alone_is_seen() -> None:
    context = Context(before="Book", token="  ", after="sold", activation=4.2)
    assert shown_passage(context) == '<bdi class="passage">Book<mark>␣␣</mark>sold</bdi>'


def test_no_reasons_no_section() -> None:
    value = sample(domains=1)
    value["domains"]["arithmetic"]["why"] = []
    assert why(plan_of(value)) is None


def test_the_planning_score_comes_first() -> None:
    value = sample(domains=1)
    assert scores(plan_of(value)).index(">STS_ICL<") < scores(plan_of(value)).index(">STS_act<")
    value["score"] = "act"
    assert scores(plan_of(value)).index(">STS_act<") < scores(plan_of(value)).index(">STS_ICL<")


def test_what_was_not_measured_says_so() -> None:
    value = sample(domains=1)
    value["domains"]["arithmetic"].update(outside_shift=None, forecast=None)
    assert scores(plan_of(value)).count(">not measured<") == 2


def test_what_earlier_runs_teach_to_expect() -> None:
    value = sample(domains=2)
    assert "Expected change" not in scores(plan_of(value))
    expected = {
        "measure": "choice",
        "quantity": "correct",
        "change": -0.031,
        "low": -0.06,
        "high": -0.002,
        "sign": "down",
    }
    value["domains"]["algebra"]["forecast"]["expected"] = {"headline": expected, "behaviour": None}
    html = scores(plan_of(value))
    assert "Expected change of its headline" in html
    assert '<td role="cell" class="n">-3.1 pp <span class="quiet">[-6.0, -0.2]</span></td>' in html
    assert html.count(">not known<") == 3


def test_every_drift_dimension_is_listed() -> None:
    value = sample(domains=1)
    value["drift"]["features"] = [[17, 0.93, 0.99], [4, 0.5, 1.0]]
    html = features(plan_of(value).drift, plan_of(value).sae)
    assert "<summary>All 2 drift dimensions</summary>" in html
    assert html.index(">Feature 17<") < html.index(">Feature 4<")
    assert ">0.930</td>" in html
    assert ">99.0 %</td>" in html
    assert html.count(">not recorded<") == 2
    context = {"before": "the ", "token": " <b>", "after": " end", "activation": 4.2}
    value["drift"]["examples"] = [{"feature": 4, "domain": "arithmetic", "context": context}]
    html = features(plan_of(value).drift, plan_of(value).sae)
    assert html.count(">no token that was read<") == 1
    passage = '<bdi class="passage">the  <mark>&lt;b&gt;</mark> end</bdi>'
    assert f'<td role="cell">arithmetic</td><td role="cell" class="why">{passage}</td>' in html


def test_features_are_linked_to_neuronpedia_where_the_sae_has_a_name_there() -> None:
    value = sample(domains=1)
    value["drift"]["features"] = [[17, 0.93, 0.99]]
    assert "neuronpedia" not in render(plan_of(value))
    value["sae"]["neuronpedia"] = 'gpt2-small/6-res-jb"><b>'
    html = features(plan_of(value).drift, plan_of(value).sae)
    assert 'href="https://www.neuronpedia.org/gpt2-small/6-res-jb%22%3E%3Cb%3E/17" rel="noreferrer"' in html
    assert 'aria-label="Feature 17 on Neuronpedia"' in html
    assert why(plan_of(value)).count(">Neuronpedia</a>") == 5
    # A link is followed when it is clicked; the page itself still may fetch nothing.
    assert "default-src &#x27;none&#x27;" in render(plan_of(value))


def test_a_feature_that_no_token_fires_says_so() -> None:
    assert contexts([]) == '<p class="quiet">No token that was read fires it.</p>'
