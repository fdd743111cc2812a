"""The shift between two sets of demonstrations, against dense features of every sequence read whole."""

from dataclasses import replace

import numpy as np
from dense_features import D_SAE, dense_behind, make_rows, open_pair
from evaluated import loaded

from mixplan.features.contrast import plan_contrast
from mixplan.features.measure import measure_unit
from mixplan.features.queries import plan_reading


def fronts_of(rows, draws):
    """Two rows a draw, with a wrong answer first and another as right one."""
    chosen = [(rows[number], rows[number + 1]) for number in range(draws)]
    texts = ("the lazy dog", "a fever is")
    return [
        tuple(tuple(replace(row, answer=text, rationale=None) for row in pair) for text in texts) for pair in chosen
    ]


def test_the_shift_is_the_squared_difference_between_both_sets(any_model, tmp_path, tiny_sae):
    model, sae = open_pair(any_model, tmp_path / "sae", tiny_sae, "jumprelu")
    rows, fronts = make_rows(17, 1), fronts_of(make_rows(6, 2), 3)
    reading = plan_contrast(model, rows, fronts, tokens=150)
    assert reading.tokens == 150
    first, second = dense_behind(model, tmp_path / "sae", reading, rows, fronts)
    parts = [measure_unit(model, sae, unit) for unit in reading.units]
    shift = np.sum([part.shift for part in parts], axis=0)
    expected = np.square(second - first).sum(0)
    assert shift.shape == (D_SAE,)
    assert expected.any()
    np.testing.assert_allclose(shift, expected, rtol=2e-3, atol=1e-3 * expected.max())
    np.testing.assert_allclose(np.sum([part.act for part in parts], axis=0), first.sum(0), rtol=2e-3, atol=1e-3)


def test_against_nothing_it_is_the_reading_behind_those_demonstrations(tiny_model):
    model, rows, demos = loaded(tiny_model), make_rows(9, 1), make_rows(6, 2)
    plain = plan_reading(model, rows, demos, tokens=90, shots=2, draws=2, seed=5)
    by_id = {row.id: row for row in demos}
    fronts = [((), tuple(by_id[name] for name in unit.demonstrations)) for unit in plain.units]
    assert plan_contrast(model, rows, fronts, tokens=90) == plain


def test_equal_sets_move_nothing(tiny_model, tmp_path, tiny_sae):
    model, sae = open_pair(tiny_model, tmp_path / "sae", tiny_sae, "standard")
    ((first, _),) = fronts_of(make_rows(3, 2), 1)
    (unit,) = plan_contrast(model, make_rows(5, 1), [(first, first)], tokens=60).units
    assert unit.alone_prefix == unit.context_prefix > 0
    assert not measure_unit(model, sae, unit).shift.any()


def test_what_does_not_fit_the_window_is_dropped_from_both(tiny_model):
    model = loaded(tiny_model)
    short, long = (replace(row, rationale=None) for row in make_rows(2, 2))
    first = (replace(short, answer="a"), replace(long, answer="lazy dog " * 300))
    second = (replace(short, answer="the"), replace(long, answer="fox"))
    (unit,) = plan_contrast(model, make_rows(5, 1), [(first, second)], tokens=60).units
    assert (unit.demonstrations, unit.dropped_demonstrations) == ((short.id,), 1)
    (kept,) = plan_contrast(model, make_rows(5, 1), [(first[:1], second[:1])], tokens=60).units
    assert unit.queries == kept.queries
