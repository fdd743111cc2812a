"""A plan's page opens with what was planned, what that is expected to bring, and how far to trust it."""

import json
from typing import Any

import pytest
from saved_plan import learned, sample

from mixplan.report.page import render
from mixplan.report.verdict import headline, removed, saving_sentence, strip
from mixplan.saved.plan import Plan


def plan_of(value: dict[str, Any]) -> Plan:
    return Plan.model_validate_json(json.dumps(value))


def against(value: dict[str, Any], together: float) -> dict[str, Any]:
    one = {"value": together, "low": together - 0.02, "high": together + 0.02}
    value["allocation"]["against_uniform"] = {"worst": one, "together": one}
    return value


@pytest.mark.parametrize("change", [dict, learned], ids=["score", "expected"])
def test_what_is_removed_is_of_the_loss_without_rows(change):
    value = change(sample())
    plan = plan_of(value)
    before = sum((plan.expected_of(name).change if plan.expected_of(name) else plan.score_of(name).value)
                 for name in plan.domains)  # fmt: skip
    value["allocation"]["expected_loss"] = 0.9 * before
    mine, even = removed(plan_of(against(value, 0.1)))
    assert mine == pytest.approx(0.1)
    # The plan leaves a tenth less than the even spread, which therefore leaves all.
    assert even == pytest.approx(0.0)
    said = saving_sentence(plan_of(value))
    assert said == "220 rows are expected to remove 10.0 % of the loss, an even spread 0.0 %."
    value["allocation"]["budget"] = 1
    assert saving_sentence(plan_of(value)).startswith("1 row is expected to remove 10.0 % of the loss, ")
    value["mixture"]["target_rows"] = 1
    assert headline(plan_of(value)).startswith("1 extra row over 16 domains beside 1 target row.")
    value["allocation"]["unit"] = "tokens"
    assert saving_sentence(plan_of(value)).startswith("1 token is expected to remove ")


def test_a_cautious_plan_is_held_against_the_upper_ends():
    value = sample()
    value["recipe"] = {**(value.get("recipe") or {}), "allocate": {"cautious": True}}
    high = sum(domain["sts_icl"]["high"] for domain in value["domains"].values())
    value["allocation"].update(expected_loss=high / 2)
    # What it saves beside an even spread is of the scores themselves, which no loss of upper ends goes with.
    assert removed(plan_of(against(value, 0.1))) == (pytest.approx(0.5), None)
    assert saving_sentence(plan_of(value)) == "220 rows are expected to remove 50.0 % of the loss."


def test_what_nobody_measured_is_said_to_be_assumed():
    """By what rows save, which arms that were compared teach, or else the recipe's number of rows."""
    value = sample()
    measured = saving_sentence(plan_of(against(value, 0.1)))
    assert "assumes" not in measured
    value["forecast"]["evidence"] = ["Other evidence.", "100 rows are taken to halve a domain's loss: nothing."]
    said = f"{measured[:-1]}: that assumes that 100 rows halve a domain's loss."
    assert saving_sentence(plan_of(value)) == said


def test_domains_that_get_no_row_are_not_counted_among_those_that_do():
    value = sample()
    names = list(value["allocation"]["rows"])
    rows = dict.fromkeys(names, 0) | {names[0]: 120, names[1]: 100}
    value["allocation"].update(rows=rows)
    assert headline(plan_of(value)).startswith("220 extra rows over 2 of 16 domains beside ")
    value["allocation"].update(rows=dict.fromkeys(names, 0), budget=0)
    assert headline(plan_of(value)).startswith("0 extra rows over 16 domains beside ")


def test_a_budget_that_reaches_for_no_row_removes_nothing():
    value = against(sample(), 0.1)
    value["allocation"].update(unit="tokens", rows=dict.fromkeys(value["allocation"]["rows"], 0))
    assert saving_sentence(plan_of(value)) is None


def test_without_a_loss_or_a_budget_nothing_is_said():
    value = sample()
    value["allocation"]["budget"] = 0
    assert saving_sentence(plan_of(value)) is None
    for domain in value["domains"].values():
        domain["sts_icl"] = {"value": 0.0, "low": 0.0, "high": 0.0}
    assert removed(plan_of(value)) is None


def test_the_strip_names_the_most_exposed_and_what_the_plan_rests_on():
    value = against(sample(), 0.01)
    plan = plan_of(value)
    facts = {name: (shown, rest) for name, shown, *rest in strip(plan)}
    assert list(facts) == ["Most exposed", "Added", "Against an even spread", "Rests on"]
    assert facts["Most exposed"][0] == plan.order()[0]
    assert facts["Added"][0] == "220 rows"
    assert facts["Against an even spread"][0] == "1.0 % less loss"
    assert facts["Rests on"][0] == "the score alone"
    assert "mixplan plan recipe.yaml --run ." in render(plan)
