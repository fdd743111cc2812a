"""Bits per byte against the definition, on letters of one byte and of several."""

import dataclasses
import math

import pytest
import torch
from evaluated import asked_rows, loaded

from mixplan.evaluate.likelihood import measure_likelihood
from mixplan.model import render


def test_bits_per_byte_are_the_answers_log_probability_over_its_utf8_length(any_model):
    model = loaded(any_model)
    rows = [
        dataclasses.replace(row, answer=answer)
        for row, answer in zip(asked_rows(2), ("the fox", "größer: 4 €"), strict=True)
    ]
    found = measure_likelihood(model, rows, advance=lambda _: None)
    for place, (row, length) in enumerate(zip(rows, (7, 15), strict=True)):
        assert len(row.answer.encode()) == length
        prompt = render(model, row.prompt, awaiting=True)
        start = len(model.tokenizer(prompt, add_special_tokens=False)["input_ids"])
        ids = torch.tensor([model.tokenizer(prompt + row.answer, add_special_tokens=False)["input_ids"]])
        with torch.inference_mode():
            logs = model.lm(input_ids=ids).logits[0].double().log_softmax(-1)
        bits = -sum(float(logs[n - 1, ids[0, n]]) for n in range(start, ids.shape[1])) / math.log(2)
        assert found.values["bits_per_byte"][place] == pytest.approx(bits / length, rel=1e-4)
    assert found.rows == ("test:0", "test:1")
    assert list(found.values) == ["bits_per_byte"]
