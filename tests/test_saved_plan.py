"""A plan shows its domains by the score that planned them, and its warnings first."""

import json
from typing import Any

import pytest
from saved_plan import sample

from mixplan.saved.plan import Plan


def plan_of(value: dict[str, Any]) -> Plan:
    return Plan.model_validate_json(json.dumps(value))


@pytest.mark.parametrize(("score", "name"), [("icl", "STS_ICL"), ("act", "STS_act")])
def test_order_is_by_the_planning_score(score: str, name: str) -> None:
    value = {**sample(), "score": score}
    plan = plan_of(value)
    scores = [value["domains"][domain][f"sts_{score}"]["value"] for domain in plan.order()]
    assert scores == sorted(scores, reverse=True)
    assert sorted(plan.order()) == sorted(value["domains"])
    assert plan.score_name == name


def test_equal_scores_are_ordered_by_name() -> None:
    value = sample()
    for domain in value["domains"].values():
        domain["sts_icl"] = {"value": 1, "low": 0, "high": 2}
    assert plan_of(value).order() == sorted(value["domains"])


def test_no_better_than_uniform_is_a_notice_said_once() -> None:
    value = sample()
    sentence = value["allocation"]["no_better_than_uniform"]
    assert plan_of(value).notices() == [*value["warnings"], sentence]
    assert plan_of({**value, "warnings": [sentence]}).notices() == [sentence]
    value["allocation"]["no_better_than_uniform"] = None
    assert plan_of({**value, "warnings": []}).notices() == []
