"""Option likelihoods against a plain transcription, one forward pass an option, with and without a chat template."""

import dataclasses
import math

import pytest
import torch
from evaluated import choice_rows, loaded

from mixplan.evaluate.choice import measure_choice, option_answers
from mixplan.evaluate.prompts import tree_of
from mixplan.model import render


def plain(model, row):
    """Log-probability of each option's answer, by whole conversations through the model one at a time."""
    prompt = render(model, row.prompt, awaiting=True)
    start = len(model.tokenizer(prompt, add_special_tokens=False)["input_ids"])
    found = []
    for letter, option in zip("ABCD", row.options, strict=False):
        said = (*row.prompt, ("assistant", f"{letter}. {option}"))
        text = render(model, said, awaiting=False).removesuffix("\n").removesuffix("</s>")
        ids = torch.tensor([model.tokenizer(text, add_special_tokens=False)["input_ids"]])
        with torch.inference_mode():
            logs = model.lm(input_ids=ids).logits[0].double().log_softmax(-1)
        found.append(sum(float(logs[place - 1, ids[0, place]]) for place in range(start, ids.shape[1])))
    return found


def holds(model, rows):
    told = []
    measured = measure_choice(model, rows, advance=told.append)
    assert measured.rows == tuple(row.id for row in rows)
    assert sum(told) == len(rows)
    for place, row in enumerate(rows):
        logs = plain(model, row)
        shares = [math.exp(value) / sum(map(math.exp, logs)) for value in logs]
        assert measured.values["gold_probability"][place] == pytest.approx(shares[row.gold], abs=1e-4)
        assert measured.values["correct"][place] == float(logs.index(max(logs)) == row.gold)
        assert measured.texts["chosen"][place] == "ABCD"[logs.index(max(logs))]


def test_probabilities_equal_a_plain_transcription(any_model):
    holds(loaded(any_model), choice_rows())


def test_without_a_chat_template_the_answer_stands_behind_a_space(build_model, tmp_path):
    model = loaded(build_model("gpt2", tmp_path / "plain", chat=False))
    holds(model, choice_rows())
    row = choice_rows()[0]
    tree = tree_of(model, row, ["A. red fox"])
    assert model.tokenizer.decode([*tree.trunk, *tree.branches[0]]) == (
        "<s>Question: What jumps? 0\n\nA. red fox\nB. lazy dog\nC. brown\n\nAnswer: A. red fox"
    )


def test_one_row_gives_what_many_give(tiny_model):
    model, rows = loaded(tiny_model), choice_rows(9)
    together = measure_choice(model, rows, advance=lambda _: None)
    for place, row in enumerate(rows):
        alone = measure_choice(model, [row], advance=lambda _: None)
        assert alone.values["gold_probability"][0] == pytest.approx(
            together.values["gold_probability"][place], abs=1e-5
        )


def test_probabilities_of_all_options_make_one(tiny_model):
    model, row = loaded(tiny_model), choice_rows()[0]
    golds = [dataclasses.replace(row, id=str(gold), gold=gold) for gold in range(3)]
    found = measure_choice(model, golds, advance=lambda _: None)
    assert sum(found.values["gold_probability"]) == pytest.approx(1)
    assert sum(found.values["correct"]) == 1


def test_rows_longer_than_the_window_are_left_out(tiny_model):
    model, rows = loaded(tiny_model), choice_rows(3)
    longest = [tree_of(model, row, option_answers(row)).longest for row in rows]
    narrow = dataclasses.replace(model, window=sorted(longest)[1])
    kept = tuple(row.id for row, length in zip(rows, longest, strict=True) if length <= narrow.window)
    assert len(kept) == 2
    assert measure_choice(narrow, rows, advance=lambda _: None).rows == kept
