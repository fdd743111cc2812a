"""All measures by one reading against each one by itself; what one reading takes; and the errors."""

import dataclasses

import pytest
from evaluated import asked_rows, choice_rows, loaded

from mixplan.errors import ModelError
from mixplan.evaluate.behaviour import own_answers
from mixplan.evaluate.choice import measure_choice
from mixplan.evaluate.joint_measures import measure_together
from mixplan.evaluate.likelihood import measure_likelihood
from mixplan.evaluate.packing import scoring_way
from mixplan.evaluate.prompts import prompt_text, token_ids
from mixplan.evaluate.reading import read_together
from mixplan.evaluate.scoring import check_head

ALL = ("choice", "likelihood", "behaviour")


def silent(_):
    pass


def own(model, rows, place):
    """Answers of one to three tokens; where they come from does not matter here."""
    return own_answers(model, rows, {row.id: tuple(range(70, 71 + n % 3)) for n, row in enumerate(rows)}, place)


def test_together_is_as_each_by_itself(any_model, build_model, tmp_path):
    untrained, rows = loaded(any_model), choice_rows(5)
    trained = loaded(build_model(any_model.name, tmp_path / "trained", seed=5))
    told = []
    found = measure_together(trained, rows, ALL, own=own(untrained, rows, tmp_path / "a.json"), advance=told.append)
    assert tuple(found) == ALL
    assert sum(told) == 5
    alone = [
        measure_choice(trained, rows, advance=silent),
        measure_likelihood(trained, rows, advance=silent),
        measure_together(trained, rows, ["behaviour"], own=own(untrained, rows, tmp_path / "b.json"), advance=silent)[
            "behaviour"
        ],
    ]
    for one in alone:
        mine = found[one.measure]
        assert (mine.rows, mine.texts) == (one.rows, one.texts)
        for quantity, values in one.values.items():
            assert mine.values[quantity] == pytest.approx(values, rel=1e-4, abs=1e-5)


def tokens_read(model, work):
    scoring_way(model)  # its check is made once and kept, and so is the output head's
    check_head(model)
    seen = []
    handle = model.lm.get_decoder().register_forward_pre_hook(
        lambda _module, _args, given: seen.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    work()
    handle.remove()
    return sum(seen)


def test_a_prompt_is_read_once_and_the_right_option_is_the_reference_answer(tiny_model, tmp_path):
    model, rows = loaded(tiny_model), choice_rows(1)
    ids = token_ids(model, prompt_text(model, rows[0]))
    options = tokens_read(model, lambda: measure_choice(model, rows, advance=silent))
    answers = own(model, rows, tmp_path / "a.json")
    together = tokens_read(model, lambda: measure_together(model, rows, ALL, own=answers, advance=silent))
    assert options > len(ids)
    # The untrained model reads its answers once more to see its own noise.
    again = tokens_read(model, lambda: read_together(model, [], answers.asked, advance=silent, pack_tokens=1))
    assert together == options + again  # an own answer of one token is predicted, never read


def test_a_prompt_that_an_answer_merges_with_is_read_for_that_answer_alone(tiny_model, tmp_path):
    model = loaded(tiny_model)
    model.tokenizer.chat_template = "{{ messages[-1]['content'] }}"  # the prompt ends as the question does
    (row,) = (dataclasses.replace(row, prompt=(("user", "over the la"),), answer="zy dog") for row in asked_rows(1))
    prompt, whole = token_ids(model, "over the la"), token_ids(model, "over the lazy dog")
    assert whole[: len(prompt)] != prompt
    given = own_answers(model, [row], {row.id: (70, 71)}, tmp_path / "a.json")
    told = []
    found = measure_together(model, [row], ("likelihood", "behaviour"), own=given, advance=told.append)
    alone = measure_likelihood(model, [row], advance=silent)
    assert found["likelihood"].values["bits_per_byte"] == pytest.approx(alone.values["bits_per_byte"], rel=1e-5)
    assert sum(told) == 1
    assert [tuple(each.shape) for each in given.kept()] == [(2, 32)]


def test_models_of_different_vocabularies_are_not_compared(tiny_model, tmp_path):
    untrained, other, rows = loaded(tiny_model), loaded(tiny_model), choice_rows(1)
    other.lm.config.vocab_size = 303
    with pytest.raises(ModelError) as caught:
        measure_together(other, rows, ALL, own=own(untrained, rows, tmp_path / "a.json"), advance=silent)
    assert str(caught.value) == (
        f"'{tiny_model}' has 303 output tokens, but the untrained '{tiny_model}' has 320, so they cannot be compared "
        "token by token. Leave `behaviour` out of `evaluate`."
    )
