"""Own answers and what demonstrations move in them, where the window has no room for all.

The values are held against plain passes in test_plan_without_sae.
"""

import dataclasses

import pytest
from evaluated import asked_rows, loaded

from mixplan.evaluate.preview_kl import own_answers, preview_kl


def silent(_):
    pass


def read(model, rows, fronts):
    answers = own_answers(model, rows, answer_tokens=4, advance=silent)
    return preview_kl(model, rows, fronts, answers, advance=silent)


def longer(row, words):
    return dataclasses.replace(row, prompt=(("user", "lazy dog " * words),))


def test_the_last_demonstrations_that_do_not_fit_are_dropped(tiny_model):
    model, rows = loaded(tiny_model), asked_rows(3)
    short, long = asked_rows(4)[3], longer(asked_rows(1)[0], 230)
    both, one = (read(model, rows, [front])[0] for front in ((short, *[long] * 4), (short,)))
    assert (both.dropped, one.dropped, both.too_long) == (4, 0, 0)
    assert both.kl == one.kl
    assert both.context_tokens == one.context_tokens > 0


def test_a_row_that_fits_behind_no_demonstration_is_left_out_and_counted(tiny_model):
    model, rows = loaded(tiny_model), asked_rows(3)
    wide = dataclasses.replace(longer(rows[1], 60), id="wide")
    (found,) = read(model, [rows[0], wide, rows[2]], [(longer(rows[0], 60),)])
    assert (found.rows, found.too_long) == ((rows[0].id, rows[2].id), 1)
    # One whose own question is too long is never answered.
    hopeless = dataclasses.replace(longer(rows[1], 1000), id="hopeless")
    assert own_answers(model, [hopeless], answer_tokens=4, advance=silent) == {}
    assert read(model, [hopeless], [(rows[0],)]) == []


def test_draws_without_a_question_are_passed_over(tiny_model):
    model, rows = loaded(tiny_model), asked_rows(2)
    told, fronts = [], [(rows[0],), (rows[1],), (rows[0], rows[1])]
    answers = own_answers(model, rows, answer_tokens=4, advance=silent)
    found = preview_kl(model, rows, fronts, answers, advance=told.append)
    assert [part.rows for part in found] == [(rows[0].id,), (rows[1].id,)]
    assert sum(told) == 2 * len(rows)


def test_an_equal_front_moves_as_much_in_any_order_of_draws(tiny_model):
    model, rows = loaded(tiny_model), asked_rows(4)
    front = (asked_rows(5)[4],)
    (one,) = read(model, rows, [front])
    first, second = read(model, rows, [front, front])
    assert one.kl == pytest.approx([first.kl[0], second.kl[0], first.kl[1], second.kl[1]], rel=1e-3)
    assert min(one.kl) > 0
