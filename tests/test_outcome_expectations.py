"""Holds forecasts against measured changes, by hand and by invariances."""

import pytest
from as_saved import filled, plain, typed
from hypothesis import given
from hypothesis import strategies as st

from mixplan.outcome import expectations
from mixplan.saved.base_types import Expected
from mixplan.saved.outcome import Change, Measured, Relative
from mixplan.saved.plan import Risk


def expected(planned, part, measured):
    return plain(expectations.expected(typed(Risk, risk(0.5) | planned), part, filled(Measured, measured)))


def outside(expectation, measured, *, behind_rows=False):
    return expectations.outside(typed(Expected, expectation), filled(Measured, measured), behind_rows=behind_rows)


def shares(planned, domains):
    risks = {name: typed(Risk, value) for name, value in planned.items()}
    return plain(expectations.shares(risks, {name: filled(Measured, domain) for name, domain in domains.items()}))


def size(values):
    return expectations.size(filled(Change, values))


def apart(share):
    return expectations.apart(typed(Relative, share))


def change(middle, low=None, high=None):
    return {"change": middle, "low": middle if low is None else low, "high": middle if high is None else high}


def domain(headline="choice", quantity="correct", middle=-0.1, kl=None):
    measures = {headline: {quantity: change(middle)}}
    if kl is not None:
        measures["behaviour"] = {"kl": change(kl)}
    return {"headline": headline, "measures": measures}


def risk(share, low=None, high=None):
    return {"relative_risk": share, "low": share if low is None else low, "high": share if high is None else high}


EXPECTED = {"measure": "choice", "quantity": "correct", "change": -0.05, "low": -0.09, "high": 0.0, "sign": None}


def test_a_change_outside_its_interval_is_outside():
    assert outside(EXPECTED, domain(middle=-0.1))
    assert not outside(EXPECTED, domain(middle=-0.09))
    assert outside(EXPECTED, domain(middle=0.001))


@pytest.mark.parametrize(("low", "high"), [(-0.09, -0.04), (0.04, 0.09), (-0.02, 0.09)])
@pytest.mark.parametrize("left", [0.0, 0.3, 1.0])
def test_what_extra_rows_leave_of_an_expected_change_does_not_contradict_it(low, high, left):
    expectation = EXPECTED | {"low": low, "high": high}
    for end in (low, high):
        assert not outside(expectation, domain(middle=left * end), behind_rows=True)
        assert outside(expectation, domain(middle=left * end)) == (not low <= left * end <= high)
    assert outside(expectation, domain(middle=1.1 * max(high, 0.01)), behind_rows=True)
    assert outside(expectation, domain(middle=1.1 * min(low, -0.01)), behind_rows=True)


def test_an_expectation_is_of_the_very_quantity_that_was_measured():
    kl = EXPECTED | {"measure": "behaviour", "quantity": "kl"}
    planned = {"expected": {"headline": EXPECTED, "behaviour": kl}}
    assert expected(planned, "headline", domain()) == EXPECTED
    assert expected(planned, "headline", domain("exact", "score")) is None
    assert expected(planned, "headline", {"headline": None, "measures": {}}) is None
    assert expected(planned, "behaviour", domain()) is None
    assert expected(planned, "behaviour", domain(kl=0.1)) == kl
    assert expected(risk(0.5), "headline", domain()) is None


def test_shares_are_of_behaviour_where_all_have_it():
    domains = {"law": domain(kl=0.3), "sums": domain("exact", "score", 0.2, kl=0.1)}
    found = shares({"law": risk(0.5, 0.4, 0.6), "sums": risk(0.5, 0.2, 0.6)}, domains)
    assert found["law"] == pytest.approx(
        {"measure": "behaviour", "quantity": "kl", "share": 0.5, "low": 0.4, "high": 0.6, "measured": 0.75,
         "measured_low": 0.75, "measured_high": 0.75}
    )  # fmt: skip
    assert apart(found["law"])
    assert not apart(found["sums"])


def test_shares_are_else_of_headlines_of_one_unit():
    both = {"law": risk(0.5), "sums": risk(0.5)}
    found = shares(both, {"law": domain(kl=0.3), "sums": domain("exact", "score", 0.3)})
    assert [found[name]["measured"] for name in both] == pytest.approx([0.25, 0.75])
    assert found["sums"]["measure"] == "exact"
    assert shares(both, {"law": domain(), "sums": domain("likelihood", "bits_per_byte")}) == {}
    assert shares(both, {"law": domain(), "sums": {"headline": None, "measures": {}}}) == {}


def test_no_share_of_nothing():
    assert shares({"law": risk(0.5), "sums": risk(0.5)}, {"law": domain(middle=0.0), "sums": domain(middle=0.0)}) == {}
    assert shares({"law": risk(0.0), "sums": risk(0.0)}, {"law": domain(), "sums": domain()}) == {}


@pytest.mark.parametrize(
    ("ends", "found"),
    [((-0.1, -0.2, 0.3), (0.0, 0.1, 0.3)), ((-0.2, -0.3, -0.1), (0.1, 0.2, 0.3)), ((0.2, 0.1, 0.3), (0.1, 0.2, 0.3))],
)
def test_sizes(ends, found):
    assert size(change(*ends)) == found


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0.01, 1)), min_size=1, max_size=9), st.floats(0.1, 10))
def test_shares_sum_to_one_and_have_no_unit(pairs, unit):
    planned = {f"d{i}": risk(share) for i, (_, share) in enumerate(pairs)}
    found, scaled = (
        shares(planned, {f"d{i}": domain(middle=middle * factor) for i, (middle, _) in enumerate(pairs)})
        for factor in (1.0, unit)
    )
    if found and scaled:
        assert sum(entry["measured"] for entry in found.values()) == pytest.approx(1)
        for name, entry in found.items():
            assert entry["measured"] == pytest.approx(scaled[name]["measured"], abs=1e-9)
