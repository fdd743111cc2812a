"""Answers are those that the model gives; one that is known is not asked for again."""

from evaluated import asked_rows, loaded

from mixplan.evaluate import answering
from mixplan.evaluate.answering import Answering
from mixplan.evaluate.prompts import prompt_text
from mixplan.model import generate


def test_a_shorter_answer_is_the_beginning_of_a_longer_one_and_not_asked_for_again(tiny_model, monkeypatch):
    model, rows = loaded(tiny_model), asked_rows(4)
    plain = generate(model, [prompt_text(model, row) for row in rows], max_new_tokens=3)
    calls = []

    def counted(*args, **kinds):
        calls.append(kinds["max_new_tokens"])
        return generate(*args, **kinds)

    monkeypatch.setattr(answering, "generate", counted)
    one, told = Answering(model), []
    one.answers(rows, answer_tokens=8, advance=lambda _: None)
    kept, short = one.answers(rows, answer_tokens=3, advance=told.append)
    assert (kept, short) == (list(rows), plain)
    assert (calls, told) == ([8], [4])
    one.answers(rows, answer_tokens=9, advance=lambda _: None)
    assert calls == [8, 9]


def test_a_new_question_is_asked(tiny_model):
    model, rows = loaded(tiny_model), asked_rows(5)
    one = Answering(model)
    one.answers(rows[:3], answer_tokens=4, advance=lambda _: None)
    _, answers = one.answers(rows, answer_tokens=4, advance=lambda _: None)
    assert [len(answer.ids) > 0 for answer in answers] == [True] * 5
