"""Forecasts without measured runs: shares of the total, free of the score's unit."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixplan.errors import DriftError
from mixplan.forecast import Risk, forecast
from mixplan.sts import Score

POSITIVE = st.floats(1e-6, 1e6)
RELATIVE = (
    "No measured runs yet, so the forecast is relative: a domain's risk is its share of all domains' scores. "
    "It says where the job reaches most, not how many points are lost, nor whether the change is a loss or a gain."
)


def test_a_share_of_the_total_with_its_interval() -> None:
    made = forecast({"law": Score(3.0, 2.0, 5.0), "history": Score(1.0, 0.0, 1.0)})
    assert made.risks == {"law": Risk(0.75, 0.5, 1.25), "history": Risk(0.25, 0.0, 0.25)}
    assert made.describe("law") == {"relative_risk": 0.75, "low": 0.5, "high": 1.25}
    assert (made.kind, made.text) == ("relative", RELATIVE)


@given(values=st.lists(st.tuples(POSITIVE, POSITIVE, POSITIVE), min_size=1, max_size=30), unit=POSITIVE)
def test_risks_sum_to_one_keep_the_ranking_and_have_no_unit(
    values: list[tuple[float, float, float]], unit: float
) -> None:
    scores = {str(place): Score(*value) for place, value in enumerate(values)}
    made = forecast(scores)
    assert math.isclose(sum(risk.relative_risk for risk in made.risks.values()), 1.0, rel_tol=1e-12)
    assert list(made.risks) == list(scores)
    for one in scores:
        for other in scores:
            if scores[one].value < scores[other].value:
                assert made.risks[one].relative_risk <= made.risks[other].relative_risk
    scaled = forecast({name: Score(s.value * unit, s.low * unit, s.high * unit) for name, s in scores.items()})
    for name, risk in made.risks.items():
        expected = (risk.relative_risk, risk.low, risk.high)
        found = scaled.risks[name]
        assert (found.relative_risk, found.low, found.high) == pytest.approx(expected, rel=1e-9)


def test_scores_of_zero_are_told() -> None:
    made = forecast({"law": Score(0.0, 0.0, 0.0), "history": Score(0.0, 0.0, 2.0)})
    assert set(made.risks.values()) == {Risk(0.0, 0.0, 0.0)}
    assert made.text == f"{RELATIVE} Every domain's score is 0, so the forecast cannot tell one from another."


@pytest.mark.parametrize(
    ("score", "shown"),
    [
        (Score(math.nan, 1.0, 2.0), "score nan with interval [1.0, 2.0]"),
        (Score(1.0, -1.0, 2.0), "score 1.0 with interval [-1.0, 2.0]"),
        (Score(1.0, 1.0, math.inf), "score 1.0 with interval [1.0, inf]"),
    ],
)
def test_scores_that_are_no_amounts_are_refused(score: Score, shown: str) -> None:
    with pytest.raises(DriftError) as caught:
        forecast({"history": Score(1.0, 1.0, 1.0), "law": score})
    assert str(caught.value) == (
        f"domain 'law': found {shown}, expected finite numbers of at least 0. "
        "One that is not finite means that activations overflowed: set `model.dtype: float32` or `bfloat16`."
    )
