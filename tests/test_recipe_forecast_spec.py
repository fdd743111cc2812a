"""The section `forecast`: what a pilot needs, and that recipes without one keep their hashes."""

import pytest
from pydantic import ValidationError

from mixplan.recipe.forecast_spec import ForecastSpec, unfit_forecast

DOMAINS = {"law": None, "medicine": None}


def problems(values, *, method="sft", domains=DOMAINS):
    return [text for _, text in unfit_forecast(ForecastSpec.model_validate(values), method, domains)]


def test_a_recipe_without_a_pilot_says_nothing_of_one():
    assert ForecastSpec().model_dump(by_alias=True) == {"runs": None}
    assert problems({}) == []


def test_a_pilot_is_part_of_the_recipe_where_it_is_asked_for():
    found = ForecastSpec.model_validate({"from": "pilot", "pilot": {"steps": 5}}).model_dump(by_alias=True)
    assert found == {"from": "pilot", "runs": None, "pilot": {"steps": 5, "domains": "auto", "rows": None}}


@pytest.mark.parametrize(
    ("values", "method", "says"),
    [
        ({"pilot": {"steps": 5}}, "sft", "only `forecast.from: pilot` reads it. Add `from: pilot`"),
        ({"from": "pilot"}, "grpo", "`drift.from: reward_step` or `drift.from: checkpoint`"),
        ({"from": "pilot", "pilot": {"domains": ["low"]}}, "sft", "there is no domain 'low'. Did you mean 'law'?"),
        ({"from": "pilot", "pilot": {"domains": ["law", "law"]}}, "sft", "'law' is there twice"),
    ],
)
def test_what_no_pilot_can_be_made_of_is_refused_with_a_remedy(values, method, says):
    (found,) = problems(values, method=method)
    assert says in found


@pytest.mark.parametrize("pilot", [{"steps": 0}, {"domains": []}, {"rows": 1}, {"domains": "all"}, {"step": 3}])
def test_impossible_pilots_are_no_section(pilot):
    with pytest.raises(ValidationError):
        ForecastSpec.model_validate({"from": "pilot", "pilot": pilot})


def test_names_are_not_held_against_domains_that_could_not_be_read():
    assert problems({"from": "pilot", "pilot": {"domains": ["low"]}}, domains={}) == []
