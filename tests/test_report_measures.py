"""Values and changes are written in their units, signs and words."""

import pytest

from mixplan.report.measures import QUANTITIES, forecast_line, quantity
from mixplan.saved.base_types import Expected


@pytest.mark.parametrize("name", ["correct", "score", "acc", "accuracy", "gold_probability"])
def test_shares_are_per_cent_and_change_in_points(name: str) -> None:
    unit = quantity(name)
    assert unit.value(0.4567) == "45.7 %"
    assert unit.change(-0.0321) == "-3.2 pp"
    assert unit.change(0.0321) == "+3.2 pp"
    assert unit.bounds(-0.05, 0.011) == "[-5.0, +1.1]"
    assert unit.noise(0.0213) == "2.1"
    assert unit.tick(0.25) == "25 %"


def test_no_change_has_no_sign() -> None:
    assert [quantity("correct").signed(value) for value in (0.0, 0.0004, -0.0004)] == ["0.0"] * 3
    assert quantity("kl").signed(0.0) == "0"
    # A model's divergence from itself is what arithmetic leaves.
    assert (quantity("kl").value(1.3e-8), quantity("kl").value(2e-6)) == ("0 nats", "2.0e-06 nats")


def test_bits_and_nats_keep_their_unit() -> None:
    bits, nats = quantity("bits_per_byte"), quantity("kl")
    assert bits.value(0.8312) == "0.831 bits/B"
    assert bits.change(-0.01234) == "-0.012 bits/B"
    assert nats.change(0.000456) == "+0.00046 nats"
    assert nats.tick(0.05) == "0.05"


def test_a_foreign_quantity_keeps_its_name_and_has_no_unit() -> None:
    unit = quantity("perplexity")
    assert (unit.title, unit.change(2.5), unit.value(12.34)) == ("perplexity", "+2.5", "12.3")


def test_inside_a_sentence_only_the_first_letter_is_small() -> None:
    assert quantity("kl").subject == "token KL from the untrained model"


def test_a_forecast_in_one_line() -> None:
    expected = Expected(measure="choice", quantity="correct", change=-0.02, low=-0.06, high=0.02, sign=None)
    assert forecast_line("correct", expected) == "-2.0 [-6.0, +2.0]"
    assert forecast_line("correct", None) == ""


def test_every_quantity_has_a_title_of_its_own() -> None:
    titles = [unit.title for unit in QUANTITIES.values()]
    assert len(set(titles)) == len(titles)
