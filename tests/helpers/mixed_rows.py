"""Lays a planned mixture that has every kind of row a trainer might read wrongly, over a tiny random model."""

import json
from pathlib import Path
from typing import Any

import yaml
from conftest import save_model
from small_jobs import mixture_of
from transformers import AutoTokenizer

from mixplan.domains.cached_domains import opened
from mixplan.export.handover import Handover
from mixplan.export.make import handed
from mixplan.mixture import Mixture, Untrained, token_counter
from mixplan.model import hold_template
from mixplan.reading.tokenizer import description
from mixplan.recipe import LoadedRecipe, load_recipe

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
    },
}
LAST = {"evaluation": 1, "query": 1, "demonstration": 1}
HM = "<think>\nHm.\n</think>\n\n"
ROWS = {"law": 4, "fox": 3}
"""Rows of the domains, whose answers the untrained model has given."""


def chats() -> list[dict[str, Any]]:
    """Chats of several answers, each with a system turn of its own."""
    return [
        {
            "messages": [
                {"role": "system", "content": f"You are clerk {n}. Answer in one line."},
                {"role": "user", "content": f"Where is parcel {n}?"},
                {"role": "assistant", "content": f"On its way to house {n}."},
                {"role": "user", "content": "When does it come?\n\nPlease say the day.  "},
                {"role": "assistant", "content": f"On day {n}: “früh”, at {n % 12} o'clock.\nThank you."},
            ]
        }
        for n in range(6)
    ]


def tools() -> list[dict[str, Any]]:
    """Chats with tools: two calls at once, two results one after the other, an answer behind them."""
    found = []
    for n in range(6):
        calls = [
            {"id": f"c{i}", "type": "function",
             "function": {"name": "weather", "arguments": json.dumps({"city": city, "days": n})}}
            for i, city in enumerate(("Oslo", "Rome"))
        ]  # fmt: skip
        found.append(
            {
                "messages": [
                    {"role": "user", "content": f"Is it raining in Oslo or Rome in {n} days?"},
                    {"role": "assistant", "content": "", "tool_calls": calls},
                    {"role": "tool", "content": "rain", "tool_call_id": "c0"},
                    {"role": "tool", "content": json.dumps({"sky": "clear", "degrees": n}), "tool_call_id": "c1"},
                    {"role": "assistant", "content": f"In Oslo, yes; Rome is clear at {n} degrees."},
                ],
                "tools": [WEATHER],
            }
        )
    return found


def thoughts() -> list[dict[str, Any]]:
    """Chats whose answers were reasoned, the last one behind a question that needs no reasoning."""
    return [
        {
            "messages": [
                {"role": "user", "content": f"What is {n} and {n + 3}?"},
                {
                    "role": "assistant",
                    "reasoning_content": f"{n} plus {n + 3} is {2 * n + 3}.",
                    "content": f"{2 * n + 3}",
                },
                {"role": "user", "content": "And one more?"},
                {"role": "assistant", "reasoning_content": f"Then {2 * n + 4}.", "content": f"It is {2 * n + 4}."},
            ]
        }
        for n in range(6)
    ]


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def lay_mixed(folder: Path, template: str | None = None, **train: Any) -> tuple[LoadedRecipe, Mixture]:
    """A recipe and its mixture: system turns, all turns of chats, tools, reasoning, and generated answers.

    Args:
        folder: Where to lay them; the mixture goes to `run/mixture`.
        template: The model's chat template; TRL's for Qwen 3 where None.
        train: The recipe's section.
    """
    import trl

    shipped = Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja"
    model = save_model("llama", folder / "model", max_position_embeddings=4096)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = template or shipped.read_text()
    tokenizer.model_max_length = 4096
    tokenizer.save_pretrained(model)
    for name, rows in {"chats": chats(), "tools": tools(), "thoughts": thoughts()}.items():
        (folder / f"{name}.jsonl").write_text(lines(rows), encoding="utf-8")
    for name in ROWS:
        (folder / f"{name}.jsonl").write_text(lines([{"q": f"What is {name} {n}?", "a": "gold"} for n in range(9)]))
    talk = {"format": "messages", "columns": {"messages": "messages"}, "grader": "none", "split": LAST}
    called = {"columns": {"messages": "messages", "tools": "tools"}, "turns": "all"}
    asked = {"format": "question_answer", "columns": {"question": "q", "answer": "a"}, "split": LAST}
    value = {
        "model": {"name": str(model), "dtype": "float32", "device": "cpu", "sae": {"path": "sae"}},
        "target": {
            "sources": {
                "chats": {"data": {"file": "chats.jsonl"}, **talk, "turns": "all"},
                "tools": {"data": {"file": "tools.jsonl"}, **talk, **called},
                "thoughts": {"data": {"file": "thoughts.jsonl"}, **talk, "turns": "all"},
            }
        },
        "domains": {name: {"data": {"file": f"{name}.jsonl"}, **asked} for name in ROWS},
        "drift": {"demonstrations": 1},
        "sts": {"demonstrations": 1},
        "budget": {"rows": sum(ROWS.values())},
        "mixture": {"answers": "self"},
        "train": {"method": "sft", "args": {"max_length": 2048, "per_device_train_batch_size": 2}, **train},
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
    loaded = load_recipe(folder / "job.yaml")
    target, domains = opened(loaded)
    hold_template(tokenizer, "tiny", settings={}, date=None)
    untrained = Untrained(
        generate=lambda prompts: [
            (f"<think>\nHm.\n</think>\n\nown: {prompt[-1]['content']}", True) for prompt in prompts
        ],
        fingerprint="stand-in",
        cache=folder / "cache",
    )
    counter = token_counter(description(tokenizer), "tiny")
    place = folder / "run" / "mixture"
    mixture = mixture_of(loaded, target, domains, ROWS, place, untrained=untrained, count_tokens=counter)
    return loaded, mixture


def hand(loaded: LoadedRecipe, mixture: Mixture, folder: Path) -> Handover:
    """What a trainer is given of a mixture."""
    return handed(loaded, mixture, folder, mixture.folder.parent, model_hash="of no matter")
