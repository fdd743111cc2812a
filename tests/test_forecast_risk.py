"""Without earlier runs a domain's risk is its share of all scores."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixplan.errors import DriftError
from mixplan.forecast.risk import NOTHING_MOVES, forecast
from mixplan.sts import Score

AMOUNTS = st.floats(0, 1e6, allow_subnormal=False)


def score(value: float, low: float | None = None, high: float | None = None) -> Score:
    return Score(value, value if low is None else low, value if high is None else high)


@settings(max_examples=100, deadline=None)
@given(values=st.lists(AMOUNTS, min_size=1, max_size=8))
def test_shares_add_up_and_keep_the_order_and_the_unit_cancels(values):
    scores = {f"d{number}": score(value, value / 2, 2 * value) for number, value in enumerate(values)}
    made = forecast(scores)
    assert made.kind == "relative"
    total = math.fsum(values)
    for name, value in zip(scores, values, strict=True):
        risk = made.describe(name)
        assert risk.relative_risk == pytest.approx(value / total if total else 0.0)
        assert (risk.low, risk.high) == pytest.approx((risk.relative_risk / 2, 2 * risk.relative_risk))
    if total:
        assert math.fsum(risk.relative_risk for risk in made.risks.values()) == pytest.approx(1)
    else:
        assert NOTHING_MOVES in made.text


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -1.0])
@pytest.mark.parametrize("place", ["value", "low", "high"])
def test_what_is_no_amount_is_refused_by_name(wrong, place):
    values = {"value": 1.0, "low": 0.5, "high": 2.0} | {place: wrong}
    with pytest.raises(DriftError, match=r"domain 'law': found score .*expected finite numbers of at least 0"):
        forecast({"art": score(1.0), "law": Score(**values)})
