"""Rendered rows are as TRL prepares them: tokens, loss, cuts, and where a tokenizer joins question and answer."""

import pytest
from trl_templates import TEMPLATES, as_trl_trains, row_of, tokenizer_with

from mixplan.export.rendered import Renderer, common_length
from mixplan.export.rows import mixture_row

WHERE = {"domain": "law", "data": "law.jsonl", "row_id": "train:0", "repeat": 0}
ROWS = [
    row_of([("system", "Be brief."), ("user", "What is law?")], "Rules.  "),
    row_of([("user", "One?"), ("assistant", "<think>\nHm.\n</think>\n\nYes."), ("user", "Two?")], "No: “früh” 🦊."),
    row_of([("user", "Three?")], "<think>\nI think.\n</think>\n\nThree."),
]
NAMES = [name for name in ("qwen3", "llama3", "gemma2", "qwen2_5", "gptoss", "phi3", "deepseekv3") if name in TEMPLATES]


def rendered(tokenizer, limit=None, **options):
    renderer = Renderer(tokenizer, limit, **options)
    return list(renderer.all(mixture_row(row | WHERE) for row in ROWS)), renderer


@pytest.mark.parametrize("name", NAMES)
def test_tokens_and_loss_are_those_of_trls_own_preparation(name, tmp_path):
    tokenizer = tokenizer_with(TEMPLATES[name], tmp_path)
    rows = [row for row in ROWS if name != "gemma2" or row["prompt"][0]["role"] != "system"]
    trained = as_trl_trains(tokenizer, rows)
    found = [Renderer(tokenizer, None).render(mixture_row(row | WHERE)) for row in rows]
    for row, made in zip(trained, found, strict=True):
        assert list(made.ids) == row["input_ids"]
        assert list(made.ids[made.trained_from :]) == [label for label in row["labels"] if label != -100]
        assert tokenizer.decode(made.ids) == made.question + made.answer


@pytest.mark.parametrize("keeps_end", [False, True])
def test_a_row_is_cut_where_trl_cuts_it_and_its_text_with_it(tmp_path, keeps_end):
    tokenizer = tokenizer_with(TEMPLATES["qwen3"], tmp_path)
    whole, _ = rendered(tokenizer)
    limit = len(whole[1].ids) - 5
    cut, renderer = rendered(tokenizer, limit, keeps_end=keeps_end)
    expected = whole[1].ids[5:] if keeps_end else whole[1].ids[:limit]
    assert cut[1].ids == expected
    assert cut[1].exact
    assert renderer.ids(cut[1].question + cut[1].answer) == list(expected)
    assert renderer.cut["law"] == sum(len(row.ids) > limit for row in whole)


def test_rows_whose_question_fills_the_limit_are_left_out_and_counted(tmp_path):
    tokenizer = tokenizer_with(TEMPLATES["qwen3"], tmp_path)
    whole, _ = rendered(tokenizer)
    limit = sorted(row.trained_from for row in whole)[1]
    found, renderer = rendered(tokenizer, limit)
    assert len(found) == sum(row.trained_from < limit for row in whole)
    assert renderer.left_out["law"] == len(whole) - len(found)
    assert renderer.rows["law"] == len(found)


def test_a_border_that_a_tokenizer_joins_is_seen(tmp_path):
    """A template that ends a question in a space and opens no turn: the answer's first word takes the space."""
    bare = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    tokenizer = tokenizer_with(bare, tmp_path)
    joined = Renderer(tokenizer, None).render(mixture_row(row_of([("user", "the quick")], " brown fox") | WHERE))
    apart = Renderer(tokenizer, None).render(mixture_row(row_of([("user", "the quick ")], "brown fox") | WHERE))
    assert joined.exact
    ids = tokenizer("the quick brown fox", add_special_tokens=False)["input_ids"]
    assert list(apart.ids) == ids
    assert apart.question + apart.answer == "the quick brown fox"
    assert apart.exact is (
        tokenizer(apart.question, add_special_tokens=False)["input_ids"]
        + tokenizer(apart.answer, add_special_tokens=False)["input_ids"]
        == ids
    )


def test_common_beginnings():
    assert common_length([1, 2, 3], [1, 2, 4]) == 2
    assert common_length([1, 2], [1, 2, 4]) == 2
    assert common_length([], [1]) == 0
