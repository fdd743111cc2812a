"""Answers are graded as right, wrong, unparsable or truncated, and scorers that fail are told."""

import dataclasses

import pytest
from evaluated import asked_rows, domain_of, loaded

from mixplan.evaluate.answering import Answering
from mixplan.evaluate.exact import measure_exact
from mixplan.evaluate.prompts import prompt_text
from mixplan.grading.probes import BOUNDED
from mixplan.model import Answer, generate


class Said(Answering):
    """Answers with given texts; those that end in `...` were cut."""

    def answers(self, rows, *, answer_tokens, advance):
        advance(len(rows))
        texts = ["42", "41", "no number", "42 and so on ...", "41 ..."]
        return list(rows), [Answer(text, (7,), not text.endswith("...")) for text in texts]


def graded(folder, grader, rows, advance=lambda _: None):
    domain = domain_of("sums", rows, grader=grader)
    return measure_exact(Said(loaded(folder)), domain, rows, answer_tokens=8, advance=advance)


def test_outcomes_are_counted_apart(tiny_model):
    rows = [dataclasses.replace(row, answer="42") for row in asked_rows(5)]
    told = []
    found = measure_exact(
        Said(loaded(tiny_model)), domain_of("sums", rows, grader="number"), rows, answer_tokens=8, advance=told.append
    )
    assert found.values == {"score": (1.0, 0.0, 0.0, 1.0, 0.0)}
    assert found.texts["outcome"] == ("right", "wrong", "unparsable", "right", "truncated")
    assert found.texts["answer"][0] == "42"
    assert (found.rows, told) == (tuple(row.id for row in rows), [5])


def test_the_models_own_answer_is_right(tiny_model):
    model = loaded(tiny_model)
    rows = asked_rows()
    said = [answer.text for answer in generate(model, [prompt_text(model, row) for row in rows], max_new_tokens=6)]
    rows = [dataclasses.replace(row, answer=text) for row, text in zip(rows, said, strict=True)]
    rows[0] = dataclasses.replace(rows[0], answer="something else", accepted=(said[0],))
    found = measure_exact(Answering(model), domain_of("own", rows), rows, answer_tokens=6, advance=lambda _: None)
    assert found.values["score"] == (1.0,) * len(rows)
    assert found.texts["answer"] == tuple(said)


def test_a_scorer_that_fails_gives_no_score(tiny_model):
    rows = [
        dataclasses.replace(row, entry='{"metadata": {"source_dataset": "no_such_data_set"}}') for row in asked_rows(5)
    ]
    found = measure_exact(
        Said(loaded(tiny_model)),
        domain_of("odd", rows, grader="generator"),
        rows,
        answer_tokens=8,
        advance=lambda _: None,
    )
    assert found.values["score"] == (0.0,) * 5
    assert found.texts["outcome"] == ("unparsable",) * 3 + ("truncated",) * 2


def test_a_generator_row_is_scored_by_its_own_scorer(tiny_model):
    import json

    import reasoning_gym

    entry = reasoning_gym.create_dataset("chain_sum", size=1, seed=0)[0]
    rows = [dataclasses.replace(row, answer=entry["answer"], entry=json.dumps(entry)) for row in asked_rows(5)]
    found = measure_exact(
        Said(loaded(tiny_model)),
        domain_of("sums", rows, grader="generator"),
        rows,
        answer_tokens=8,
        advance=lambda _: None,
    )
    score = reasoning_gym.get_score_answer_fn("chain_sum")
    assert found.values["score"] == pytest.approx([score(text, entry) for text in found.texts["answer"]])
    assert BOUNDED == ("math", "generator")


def test_prompts_that_leave_no_room_are_left_out(tiny_model):
    model, rows = loaded(tiny_model), asked_rows(3)
    lengths = [len(model.tokenizer(prompt_text(model, row), add_special_tokens=False)["input_ids"]) for row in rows]
    narrow = dataclasses.replace(model, window=sorted(lengths)[1] + 4)
    kept, answers = Answering(narrow).answers(rows, answer_tokens=4, advance=lambda _: None)
    assert kept == [row for row, length in zip(rows, lengths, strict=True) if length + 4 <= narrow.window]
    assert len(kept) == len(answers) == 2


def test_what_follows_the_reasoning_is_graded_also_where_the_prompt_opens_it(tiny_model):
    """The prompt of some templates opens the block, so an answer that never closes it has not answered."""
    model = loaded(tiny_model)
    texts = ["41?</think>42", "42", "<think>41</think>42"]

    class Thinks(Answering):
        def answers(self, rows, *, answer_tokens, advance):
            ids = [model.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
            return list(rows), [Answer(text, tuple(one), True) for text, one in zip(texts, ids, strict=True)]

    rows = [dataclasses.replace(row, answer="42") for row in asked_rows(3)]
    domain, asked = domain_of("sums", rows, grader="number"), {"answer_tokens": 8, "advance": lambda _: None}
    assert measure_exact(Thinks(model), domain, rows, **asked).values["score"] == (1.0, 1.0, 1.0)
    model.tokenizer.chat_template = model.tokenizer.chat_template.replace("<|assistant|>\n", "<|assistant|>\n<think>\n")
    found = measure_exact(Thinks(model), domain, rows, **asked)
    assert found.texts["outcome"] == ("right", "unparsable", "right")
    assert found.texts["answer"][0] == "<think>\n41?\n</think>\n\n42"
