"""Rows of conversations in a mixture, held against what TRL trains on of them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sample_mixtures import build, make_domain, read_rows
from trl_templates import TEMPLATES, as_trl_trains, tokenizer_with

from mixplan import domains
from mixplan.chat.template import ChatTemplate
from mixplan.errors import RecipeError
from mixplan.mixture import TokenCounter
from mixplan.model.tokenizer_template import special_tokens
from mixplan.recipe import ColumnsSpec, DataSpec, DomainSpec, MixtureSpec, TrainSpec

TOOLS = [{"type": "function", "function": {"name": "warmth", "description": "d", "parameters": {"type": "object"}}}]
CALL = [{"id": "c", "type": "function", "function": {"name": "warmth", "arguments": '{"at": "sea"}'}}]


def chat(number: int) -> list[dict]:
    """A conversation with three answers, one of them a call."""
    return [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": f"question {number}"},
        {"role": "assistant", "content": f"first answer {number}"},
        {"role": "user", "content": "How warm is the sea?"},
        {"role": "assistant", "content": None, "tool_calls": CALL},
        {"role": "tool", "tool_call_id": "c", "content": f"{number} degrees"},
        {"role": "assistant", "content": f"last answer {number}"},
        {"role": "user", "content": "Thanks."},
    ]


def mixture_rows(folder: Path, turns: str, template: str, **changes) -> tuple[list[dict], ChatTemplate, tuple, object]:
    """What a mixture of such conversations holds, with its template, its target's rows and its tokenizer."""
    (folder / "chats.jsonl").write_text(
        "".join(json.dumps({"m": chat(number), "tools": TOOLS}) + "\n" for number in range(3))
    )
    spec = DomainSpec(
        data=DataSpec(file="chats.jsonl"),
        format="messages",
        turns=turns,
        columns=ColumnsSpec(messages="m", tools="tools"),
    )
    pool = tuple(domains.read_rows(spec, folder=folder, seed=0))
    tokenizer = tokenizer_with(TEMPLATES[template], folder / "tokenizer")
    held = ChatTemplate(TEMPLATES[template], special_tokens(tokenizer), "m")
    counter = TokenCounter(lambda prompt, answer: 1, "x", held)
    target = replace(make_domain("target", 0), pool=pool, fingerprint=turns)
    mixture = build(folder / "mixture", {"law": 2}, target=target, spec=MixtureSpec(), count_tokens=counter, **changes)
    return read_rows(mixture.folder), held, pool, tokenizer


@pytest.mark.parametrize("template", ["qwen2_5", "qwen3_6"])
def test_every_answer_is_trained_once_and_as_it_is_read(tmp_path, template):
    rows, held, pool, tokenizer = mixture_rows(tmp_path, "all", template)
    trained = as_trl_trains(tokenizer, rows)
    by_id = {row.id: row for row in pool}
    told = {}
    for row in trained:
        if row["domain"] == "target":
            read = by_id[row["row_id"]]
            ours = held.render((*read.prompt, ("assistant", read.answer)), awaiting=False)
            assert row["input_ids"] == tokenizer(ours, add_special_tokens=False)["input_ids"]
            told[row["row_id"]] = tokenizer.decode([label for label in row["labels"] if label >= 0])
    assert len(told) == 9
    for number in range(3):
        first, call, last = (told[f"chats.jsonl:{number}.{answer}"] for answer in (1, 2, 3))
        assert f"first answer {number}" in first
        assert "warmth" in call
        assert f"last answer {number}" in last
        assert "first" not in call + last


def test_the_last_answer_alone(tmp_path):
    rows, _, _, tokenizer = mixture_rows(tmp_path, "last", "qwen2_5")
    trained = [row for row in as_trl_trains(tokenizer, rows) if row["domain"] == "target"]
    assert len(trained) == 3
    for row in trained:
        text = tokenizer.decode([label for label in row["labels"] if label >= 0])
        assert "last answer" in text
        assert "first" not in text


def test_the_tools_stand_in_a_column_of_their_own(tmp_path):
    rows, _, _, _ = mixture_rows(tmp_path, "last", "qwen2_5")
    assert {row["tools"] and row["tools"] == json.dumps(TOOLS) for row in rows} == {True, None}
    assert {turn["role"] for row in rows for turn in row["prompt"]} == {"system", "user", "assistant", "tool"}
    assert "`tools`: what the model may call" in (tmp_path / "mixture" / "README.md").read_text()


def test_grpo_reads_no_tools_from_rows(tmp_path):
    with pytest.raises(RecipeError, match=r"^'target': its rows have tools, .* Remove `columns\.tools`\.$"):
        mixture_rows(tmp_path, "last", "qwen2_5", train=TrainSpec(method="grpo"))
