"""Answer tokens found, aligned and dealt as question tokens are, against whole renderings of each conversation."""

import pytest
from dense_features import make_rows
from evaluated import choice_rows, loaded

from mixplan.errors import ModelError
from mixplan.features.queries import in_front, plan_reading, shown_answer
from mixplan.model import render


def whole(model, messages):
    return tuple(model.tokenizer(render(model, messages, awaiting=False), add_special_tokens=False)["input_ids"])


def decoded(model, ids):
    return model.tokenizer.decode(list(ids))


def test_answer_tokens_are_the_answer_with_and_without_demonstrations(any_model):
    model = loaded(any_model)
    rows, demos = (*make_rows(12, 1), *choice_rows(3)), make_rows(6, 2)
    reading = plan_reading(model, rows, demos, tokens=10_000, shots=2, draws=3, seed=5, answers=True)
    by_id = {row.id: row for row in demos}
    assert [query.row for unit in reading.units for query in unit.queries] == list(range(len(rows)))
    assert len(reading.units) == 3
    for unit in reading.units:
        fronts = [by_id[name] for name in unit.demonstrations]
        assert len(fronts) == 2
        for query in unit.queries:
            row = rows[query.row]
            turn = ("assistant", shown_answer(row))
            assert decoded(model, query.alone[-query.count :]) == shown_answer(row)
            assert query.alone[-query.count :] == query.context[-query.count :]
            text, context = (*row.prompt, turn), (*in_front(fronts, row.prompt), turn)
            assert whole(model, text)[: len(query.alone)] == query.alone
            assert whole(model, context)[: len(query.context)] == query.context
            assert len(query.context) > len(query.alone)


@pytest.mark.real
def test_answers_are_found_in_the_embedded_models_template(real_model):
    model = loaded(real_model)
    rows = (*make_rows(6, 1), *choice_rows(3))
    for neutral in (False, True):
        reading = plan_reading(
            model, rows, make_rows(6, 2), tokens=9_999, shots=2, draws=2, seed=5, answers=True, neutral=neutral
        )
        queries = [query for unit in reading.units for query in unit.queries]
        assert [decoded(model, query.alone[-query.count :]) for query in queries] == [shown_answer(row) for row in rows]
        assert [decoded(model, query.context[-query.count :]) for query in queries] == [shown_answer(r) for r in rows]


def test_a_short_answer_that_stands_elsewhere_too_is_found_in_its_place(tiny_model):
    model = loaded(tiny_model)
    (row,) = make_rows(1, 1)
    for answer in ("a", "s", ">", "assistant", "user", row.prompt[0][1]):
        asked = type(row)("r", "k", row.prompt, answer)
        (unit,) = plan_reading(model, [asked], make_rows(3, 2), tokens=99, shots=1, draws=1, seed=0, answers=True).units
        (query,) = unit.queries
        assert decoded(model, query.alone[-query.count :]) == answer
        opening = render(model, row.prompt, awaiting=True)
        assert decoded(model, query.alone[: -query.count]) == opening


def test_without_a_chat_template_the_answer_stands_behind_its_word(build_model, tmp_path):
    model = loaded(build_model("gpt2", tmp_path / "model", chat=False))
    rows = make_rows(5, 1)
    reading = plan_reading(model, rows, make_rows(4, 2), tokens=500, shots=1, draws=1, seed=0, answers=True)
    for query in reading.units[0].queries:
        assert decoded(model, query.alone[: -query.count]).rstrip().endswith("Answer:")
        assert decoded(model, query.alone[-query.count :]).strip() == shown_answer(rows[query.row])


def test_the_budget_is_met_to_the_token_and_dealt_in_equal_parts(tiny_model):
    model, rows = loaded(tiny_model), make_rows(30, 1)
    given = {"tokens": 120, "shots": 2, "draws": 4, "seed": 5}
    full = plan_reading(model, rows, make_rows(6, 2), **given | {"tokens": 10_000}, answers=True)
    reading = plan_reading(model, rows, make_rows(6, 2), **given, answers=True)
    assert reading.tokens == 120 < full.tokens
    longest = max(query.count for unit in full.units for query in unit.queries)
    assert [abs(unit.tokens - 30) <= longest for unit in reading.units] == [True] * 4
    lasts = {query.row: query for unit in full.units for query in unit.queries}
    *before, last = [query for unit in reading.units for query in unit.queries]
    assert [query.alone for query in before] == [lasts[query.row].alone for query in before]
    assert last.alone == lasts[last.row].alone[: len(last.alone)]


def test_rows_whose_answer_does_not_fit_are_left_out(tiny_model):
    model = loaded(tiny_model)
    long = type(make_rows(1, 1)[0])("d", "d", (("user", "Why?"),), "lazy dog " * 400)
    rows = (long, *make_rows(3, 1))
    reading = plan_reading(model, rows, make_rows(3, 2), tokens=99_999, shots=1, draws=1, seed=0, answers=True)
    assert reading.too_long == 1
    assert [query.row for query in reading.units[0].queries] == [1, 2, 3]
    assert plan_reading(model, rows, make_rows(3, 2), tokens=99, shots=1, draws=1, seed=0).too_long == 0


@pytest.mark.parametrize("altered", ["message['content'] | upper", "message['content'].split('quick')[-1]"])
def test_a_template_that_alters_the_answer_is_refused(tiny_model, altered):
    model = loaded(tiny_model)
    (row,) = make_rows(1, 1)
    row = type(row)("r", "k", row.prompt, "the quick brown fox")
    model.tokenizer.chat_template = model.tokenizer.chat_template.replace(
        "message['content']", f"({altered} if message['role'] == 'assistant' else message['content'])"
    )
    with pytest.raises(ModelError) as caught:
        plan_reading(model, [row], make_rows(2, 2), tokens=9, shots=1, draws=1, seed=0, answers=True)
    assert str(caught.value) == (
        f"the chat template of '{tiny_model}' alters the answer 'the quick brown fox', so its tokens cannot be "
        "followed. Use a model whose template keeps assistant turns as they are."
    )


def test_a_template_that_alters_the_question_is_refused(tiny_model):
    model = loaded(tiny_model)
    model.tokenizer.chat_template = model.tokenizer.chat_template.replace(
        "message['content']", "message['content'] | upper"
    )
    (row,) = make_rows(1, 1)
    row = type(row)("r", "k", (("user", "the quick brown fox"),), "so")
    with pytest.raises(ModelError) as caught:
        plan_reading(model, [row], make_rows(2, 2), tokens=9, shots=1, draws=1, seed=0)
    assert str(caught.value) == (
        f"the chat template of '{tiny_model}' alters the question 'the quick brown fox', so its tokens cannot be "
        "followed. Use a model whose template keeps user turns as they are."
    )
