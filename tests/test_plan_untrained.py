"""The untrained model is asked once, says how surprising answers are as plain passes do, and is loaded only then."""

import dataclasses
import json

import pytest
import torch
from evaluated import asked_rows, loaded
from small_plan import Silent, plan, recipe  # noqa: F401 - a fixture

from mixplan.model import answered_tokens, generate
from mixplan.plan.untrained import ReadBy, answered, fits, rendered, surprise, untrained_of
from mixplan.recipe import load_recipe


def test_surprise_is_that_of_a_plain_pass(tiny_model):
    model, rows = loaded(tiny_model), asked_rows(4)
    answers = ["the answer is 42", "red", "lazy dog jumps over the fox, surely", "x"]
    found = surprise(model, rows, answers)
    for row, answer, one in zip(rows, answers, found, strict=True):
        ids, count, _ = answered_tokens(model, row.prompt, answer)
        with torch.inference_mode():
            logs = model.lm(input_ids=torch.tensor([ids])).logits[0].log_softmax(dim=-1)
        plain = -sum(float(logs[place - 1, ids[place]]) for place in range(len(ids) - count, len(ids)))
        assert one is not None
        assert one[0] == pytest.approx(plain, rel=1e-4)
        assert one[1] == count


def test_what_does_not_fit_the_window_is_not_measured_and_not_asked(tiny_model):
    model, (row, other) = loaded(tiny_model), asked_rows(2)
    wide = dataclasses.replace(row, id="wide", prompt=(("user", "lazy dog " * 500),))
    found = surprise(model, [wide, other], ["no", "yes"])
    assert found[0] is None
    assert found[1] is not None
    prompts = [[{"role": "user", "content": text}] for text in (wide.prompt[0][1], "what?")]
    assert fits(model, prompts, 8) == [False, True]
    length = len(model.tokenizer(rendered(model, prompts[1]), add_special_tokens=False)["input_ids"])
    assert fits(model, prompts[1:], model.window - length) == [True]
    assert fits(model, prompts[1:], model.window - length + 1) == [False]


def test_an_answer_is_cut_at_the_tokens_that_are_asked_for(tiny_model):
    model = loaded(tiny_model)
    prompt = [{"role": "user", "content": "what is the sum of 12 and 30?"}]
    ((text, ended),) = answered(model, [prompt], 3)
    assert ended or len(model.tokenizer(text, add_special_tokens=False)["input_ids"]) <= 4


def test_a_prompt_that_leaves_no_room_for_an_answer_gets_none(tiny_model, monkeypatch):
    """What a model says beyond its window would be trained as if it were an answer."""
    model, given = loaded(tiny_model), []

    def generated(model, prompts, **settings):
        given.extend(prompts)
        return generate(model, prompts, **settings)

    monkeypatch.setattr("mixplan.model.generate", generated)
    short = [{"role": "user", "content": "what is the sum of 12 and 30?"}]
    wide = [{"role": "user", "content": "lazy dog " * 500}]
    assert answered(model, [wide, short, wide], 3) == [("", False), *answered(model, [short], 3), ("", False)]
    assert answered(model, [wide], 3) == [("", False)]
    assert given == [rendered(model, short)] * 2


def test_it_answers_in_the_type_that_its_answers_are_kept_under(recipe, monkeypatch):
    """`auto` goes by timings on a CPU, which may come out otherwise than when the plan's scores were read."""
    asked = []
    monkeypatch.setattr("mixplan.model.load_model", lambda spec, **_: asked.append(spec.dtype))
    loaded = load_recipe(recipe, ("model.dtype=auto",))
    made = untrained_of(loaded, ReadBy(("weights", "bfloat16", "settings", "template"), None), Silent())
    assert made.fits([]) == []
    assert asked == ["bfloat16"]


def test_answers_are_kept_apart_by_model_tokenizer_and_length(recipe):
    model = ("weights", "bfloat16", "settings", "template")
    asked = [(model, "one", 8), (model, "other", 8), (model, "one", 9), ((*model[:3], "another"), "one", 8)]
    found = set()
    for by, tokenizer, tokens in asked:
        loaded = load_recipe(recipe, (f"mixture.answer_tokens={tokens}",))
        found.add(untrained_of(loaded, ReadBy(by, tokenizer), Silent()).fingerprint)
    assert len(found) == len(asked)


def test_a_plan_has_the_target_say_its_answers_anew_and_says_what_became_of_them(recipe, tmp_path, monkeypatch):
    asked = "mixture.target_answers=own_voice", "mixture.answer_tokens=4"
    made, watcher = plan(recipe, tmp_path / "run", *asked)
    target = made["mixture"]["parts"][0]
    assert target["voice"]["rows"] == sum(target["answers"].values()) == 12
    assert sum(target["voice"]["stays"].values()) + target["voice"]["rewritten"] == 12
    assert any("its own answers" in text for text in watcher.said)
    monkeypatch.setattr("mixplan.plan.untrained.answered", None)  # a second plan asks nothing
    again, _ = plan(recipe, tmp_path / "other", *asked, "budget.rows=10")
    assert again["mixture"]["parts"][0] == target
    plain, _ = plan(recipe, tmp_path / "plain")
    assert "voice" not in json.dumps(plain["mixture"])
