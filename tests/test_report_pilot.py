"""What the page and the terminal say of a forecast from a pilot, and that they say nothing without one."""

import json
from typing import Any

import pytest
from saved_plan import sample

from mixplan.report.page import render
from mixplan.report.pilot import grounds_of, learned_from, pilot_section
from mixplan.report.terminal import foundations
from mixplan.saved.plan import Plan

NAMES = ("arithmetic", "algebra", "geometry")


def plan_of(value: dict[str, Any]) -> Plan:
    return Plan.model_validate_json(json.dumps(value))


@pytest.fixture
def value() -> dict[str, Any]:
    """A plan of three domains by a pilot of five steps that was measured on two of them."""
    made = sample(domains=3)
    made["forecast"] |= {"kind": "learned", "planned_by": "behaviour", "pilot": {
        "steps": 5, "job_steps": 50.0, "measured": ["geometry", "algebra"],
        "changes": {"geometry": 0.0123, "algebra": 0.0001}, "within_noise": ["algebra"],
        "completed": ["arithmetic", "algebra"], "rank": 1, "targets": 7, "error": 0.05,
        "errors": {"0": 0.09, "1": 0.05, "2": 0.06}, "by_pilots": True,
        "times": {"value": 20.0, "low": 10.0, "high": 40.0}, "law_targets": 7,
    }}  # fmt: skip
    for name in NAMES:
        moved = {"measure": "behaviour", "quantity": "kl", "change": 0.25, "low": 0.125, "high": 0.5, "sign": None}
        made["domains"][name]["forecast"] = {"relative_risk": 0.3, "low": 0.1, "high": 0.6,
                                             "expected": {"headline": None, "behaviour": moved}}  # fmt: skip
    return made


def test_without_a_pilot_nothing_is_said_of_one():
    plan = plan_of(sample(domains=3))
    assert pilot_section(plan) is None
    assert "pilot" not in render(plan)
    assert "earlier runs" in learned_from(plan)


def test_the_page_shows_what_was_measured_beside_what_is_expected(value):
    page = str(pilot_section(plan_of(value)))
    for text in ("0.012", "measured, within noise", "completed", "0.25", "strength and 1 latent column: 0.05"):
        assert text in page
    assert page.count("<tr") == 4  # a head, and each domain once
    assert page in render(plan_of(value))
    assert "forecast from a pilot of the job" in render(plan_of(value))


def test_the_terminal_says_what_the_plan_rests_on(value):
    learned = len(value["forecast"].get("learned_from", []))
    grounds = grounds_of(plan_of(value))
    assert grounds.startswith("a pilot of 5 steps on 2 domains")
    assert (" and " in grounds) == bool(learned)
    assert foundations(plan_of(value))[0].startswith(f"Rests on {grounds}")


def test_the_page_says_what_scores_are_worth_beside_the_pilot(value):
    assert "what scores say" not in str(pilot_section(plan_of(value)))
    value["forecast"]["pilot"] |= {"score_share": 0.5, "error_without_scores": 0.075}
    assert "Of what scores say beside that half is taken: without it 0.0750." in str(pilot_section(plan_of(value)))
    value["forecast"]["pilot"]["score_share"] = 1.0
    assert "beside that all is taken" in str(pilot_section(plan_of(value)))
