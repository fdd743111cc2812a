"""A model's answers to a few rows are those that it gives, asked for once."""

from evaluated import asked_rows, loaded

from mixplan.evaluate import sample_answers
from mixplan.evaluate.answering import Answering
from mixplan.evaluate.behaviour import make_answers
from mixplan.evaluate.measure import answers_key, identity, kept_place
from mixplan.evaluate.prompts import prompt_text
from mixplan.evaluate.sample_answers import own_texts, written_answers
from mixplan.model import generate, spoken


def test_answers_are_the_models_and_are_kept(tiny_model, monkeypatch):
    model, rows, begun = loaded(tiny_model), asked_rows(3), []
    plain = spoken(model, generate(model, [prompt_text(model, row) for row in rows], max_new_tokens=5))
    found = written_answers(model, rows, answer_tokens=5, begin=lambda: begun.append(1))
    assert found == dict(zip([row.id for row in rows], plain, strict=True))
    monkeypatch.setattr(sample_answers, "generate", None)
    assert written_answers(model, rows, answer_tokens=5, begin=lambda: begun.append(2)) == found
    assert begun == [1]


def test_a_special_token_that_a_template_writes_by_name_tells_models_apart(tiny_model):
    model = loaded(tiny_model)
    found = {identity(model)}
    for token in ("lazy", "dog"):
        model.tokenizer.bos_token = token
        assert identity(model) == identity(model)
        found.add(identity(model))
    assert len(found) == 3


def test_a_row_longer_than_the_window_has_none(tiny_model):
    model, rows = loaded(tiny_model), asked_rows(2)
    assert written_answers(model, rows, answer_tokens=model.window, begin=lambda: None) == {}


def test_own_answers_of_behaviour_are_read_as_texts(tiny_model):
    model, rows = loaded(tiny_model), asked_rows(4)
    assert own_texts(model, rows, answer_tokens=6) is None
    kept_at = kept_place(answers_key(identity(model), rows, 6))
    make_answers(Answering(model), rows, answer_tokens=6, kept_at=kept_at, advance=lambda _: None)
    assert own_texts(model, rows, answer_tokens=6) == written_answers(model, rows, answer_tokens=6, begin=lambda: None)
