"""The mean token divergence on the untrained model's own answers against the formula, and what is kept of it."""

import numpy as np
import pytest
import torch
from evaluated import asked_rows, loaded

from mixplan.evaluate import behaviour, change
from mixplan.evaluate.answering import Answering
from mixplan.evaluate.behaviour import READ_AGAIN, kept_answers, make_answers, own_answers
from mixplan.evaluate.joint_measures import measure_together
from mixplan.evaluate.prompts import prompt_text
from mixplan.model import generate


def silent(_):
    pass


def own(untrained, rows, place, tokens=5):
    answers = kept_answers(place) or make_answers(
        Answering(untrained), rows, answer_tokens=tokens, kept_at=place, advance=silent
    )
    return own_answers(untrained, rows, answers, place)


def kl(model, untrained, rows, place):
    own_ones = own(untrained, rows, place)
    return measure_together(model, rows, ["behaviour"], own=own_ones, advance=silent)["behaviour"]


def test_kl_equals_the_formula_on_whole_distributions(any_model, build_model, tmp_path):
    untrained = loaded(any_model)
    trained = loaded(build_model(any_model.name, tmp_path / "trained", seed=5))
    rows = asked_rows()
    found = kl(trained, untrained, rows, tmp_path / "answers.json")
    assert found.rows == tuple(row.id for row in rows)
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
    found = kl(model, model, rows, tmp_path / "answers.json").values["kl"]
    assert len(found) == 4
    assert all(0 <= value < 1e-6 for value in found)
    again = kl(loaded(tiny_model), model, rows, tmp_path / "answers.json")
    assert max(map(abs, again.values["kl"])) <= 1e-6


def test_movement_is_held_against_that_of_equal_readings(tiny_model, tmp_path, monkeypatch):
    """Two readings of one model may differ, as in bfloat16; a model that is as far off has not changed."""
    model, rows = loaded(tiny_model), asked_rows(12)
    random = torch.Generator().manual_seed(0)

    def rounded(*given, **named):
        # Machines round differently, some not at all: what stands for it is put in by hand.
        others, again = behaviour_reading(*given, **named)
        return others, [[each + 0.01 * torch.randn(each.shape, generator=random) for each in one] for one in again]

    behaviour_reading = behaviour.read_together
    monkeypatch.setattr(behaviour, "read_together", rounded)
    equal = kl(model, model, rows, tmp_path / "answers.json").values["kl"]
    assert max(equal) > 1e-7
    assert equal[READ_AGAIN:] == pytest.approx([np.mean(equal[:READ_AGAIN])] * 4)
    # The values that two readings of a real model differ by, 0.0015 to 0.002 nats.
    equal, again = np.random.default_rng(0).uniform(0.0015, 0.002, (2, 12))
    assert not change(equal, again, quality=0, resamples=500, seed=0).changed
    assert change(np.zeros(12), again, quality=0, resamples=500, seed=0).changed
    assert change(equal, 20 * again, quality=0, resamples=500, seed=0).direction == "moved"


class Reads:
    """Counts a model's passes of more than the few tokens that its output head is checked on."""

    def __init__(self, model):
        self.count = 0
        model.lm.get_decoder().register_forward_pre_hook(self.see, with_kwargs=True)

    def see(self, _module, _args, given):
        self.count += given["input_ids"].shape[1] > 8


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_further_trained_model_is_compared_without_reading_the_untrained_one(
    tiny_model, build_model, tmp_path, dtype
):
    model, rows, place = loaded(tiny_model, dtype=dtype), asked_rows(), tmp_path / "answers.json"
    kl(model, model, rows, place)
    states = own(model, rows, place).kept()
    assert {each.dtype for each in states} == {next(model.lm.parameters()).dtype}
    fresh = loaded(tiny_model, dtype=dtype)
    reads = Reads(fresh)
    for seed in (5, 6):
        trained = loaded(build_model("llama", tmp_path / str(seed), seed=seed), dtype=dtype)
        assert min(kl(trained, fresh, rows, place).values["kl"]) > 0
    assert reads.count == 0


def test_states_that_are_lost_or_damaged_are_read_again(tiny_model, build_model, tmp_path):
    model, rows, place = loaded(tiny_model), asked_rows(), tmp_path / "answers.json"
    trained = loaded(build_model("llama", tmp_path / "trained", seed=5))
    first = kl(trained, model, rows, place)
    (kept,) = tmp_path.glob("*.safetensors")
    kept.write_bytes(kept.read_bytes()[:-3] + b"xxx")
    reads = Reads(model)
    assert kl(trained, model, rows, place).values["kl"] == pytest.approx(first.values["kl"], rel=1e-6)
    assert reads.count > 0
    kept.unlink()
    assert kl(trained, model, rows, place).values["kl"] == pytest.approx(first.values["kl"], rel=1e-6)
    assert kept.exists()


def test_damaged_answers_are_made_again_and_other_answers_have_states_of_their_own(tiny_model, tmp_path):
    model, rows, place = loaded(tiny_model), asked_rows(), tmp_path / "answers.json"
    first = own(model, rows, place)
    place.write_bytes(place.read_bytes()[:-5] + b"xxxxx")
    assert kept_answers(place) is None
    again = own(model, rows, place)
    assert (again.asked, again.states_at) == (first.asked, first.states_at)
    place.unlink()
    assert own(model, rows, place, tokens=4).states_at != first.states_at


def test_rows_without_an_answer_are_left_out(tiny_model, build_model, tmp_path):
    model, rows = loaded(tiny_model), asked_rows()
    some = own_answers(model, rows, {rows[2].id: (7, 2)}, tmp_path / "answers.json")
    trained = loaded(build_model("llama", tmp_path / "trained", seed=5))
    found = measure_together(trained, rows, ["behaviour"], own=some, advance=silent)["behaviour"]
    assert found.rows == (rows[2].id,)
    none = own_answers(model, rows, {}, tmp_path / "answers.json")
    for one in (model, trained):
        found = measure_together(one, rows, ["behaviour"], own=none, advance=silent)["behaviour"]
        assert (found.rows, found.values) == ((), {"kl": ()})
