"""The mean token divergence on the untrained model's own answers against the formula, and what is kept of it."""

import pytest
import torch
from evaluated import asked_rows, loaded

from mixplan.evaluate.answering import Answering
from mixplan.evaluate.behaviour import measure_behaviour
from mixplan.evaluate.prompts import prompt_text
from mixplan.model import generate


class Counting(Answering):
    """Counts how often it is asked."""

    asked = 0

    def answers(self, rows, **given):
        type(self).asked += 1
        return super().answers(rows, **given)


def kl(model, untrained, rows, place, tokens=5):
    return measure_behaviour(
        model, Counting(untrained), rows, answer_tokens=tokens, kept_at=place, advance=lambda _: None
    )


def test_kl_equals_the_formula_on_whole_distributions(any_model, build_model, tmp_path):
    untrained = loaded(any_model)
    trained = loaded(build_model(any_model.name, tmp_path / "trained", seed=5))
    rows = asked_rows()
    found = kl(trained, untrained, rows, tmp_path / "answers.json")
    for row, value in zip(rows, found.values["kl"], strict=True):
        prompt = prompt_text(untrained, row)
        (answer,) = generate(untrained, [prompt], max_new_tokens=5)
        ids = untrained.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        text = torch.tensor([[*ids, *answer.ids]])
        with torch.inference_mode():
            p, q = (
                m.lm(input_ids=text).logits[0, len(ids) - 1 : -1].double().log_softmax(-1) for m in (untrained, trained)
            )
        assert value == pytest.approx(float((p.exp() * (p - q)).sum(-1).mean()), rel=1e-3)


def test_the_untrained_model_has_moved_by_nothing(tiny_model, tmp_path):
    model, rows = loaded(tiny_model), asked_rows()
    assert kl(model, model, rows, tmp_path / "answers.json").values == {"kl": (0.0,) * 4}
    again = kl(loaded(tiny_model), model, rows, tmp_path / "answers.json")
    assert max(map(abs, again.values["kl"])) <= 1e-6


def test_answers_are_made_once_and_reused(tiny_model, build_model, tmp_path):
    model, rows, place = loaded(tiny_model), asked_rows(), tmp_path / "answers.json"
    Counting.asked = 0
    kl(model, model, rows, place)
    trained = loaded(build_model("llama", tmp_path / "trained", seed=5))
    first = kl(trained, model, rows, place)
    assert Counting.asked == 1
    place.write_bytes(place.read_bytes()[:-5] + b"xxxxx")
    assert kl(trained, model, rows, place) == first
    assert Counting.asked == 2
