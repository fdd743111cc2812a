"""Writes a recipe whose target has two sources of different kinds, over a tiny random model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from small_loop import lay

AMOUNTS = {"count": 6, "chat": 3}


def lay_sources(folder: Path, model: Path, tiny_sae: Callable[..., Path], **changes: Any) -> Path:
    """The recipe of the small loop with a target of two sources: sums that are graded, and chats that are not.

    Args:
        folder: Where to lay recipe and data.
        model: The tiny model.
        tiny_sae: Saves an SAE.
        changes: Sections of the recipe to replace.
    """
    path = lay(folder, model, tiny_sae)
    value = yaml.safe_load(path.read_text())
    split = value["target"]["split"]
    lines = [
        {"m": [{"role": "user", "content": f"the doctor is {n} ?"}, {"role": "assistant", "content": f"yes {n}"}]}
        for n in range(40)
    ]
    (folder / "chat.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    chat = {"data": {"file": "chat.jsonl"}, "format": "messages", "columns": {"messages": "m"}, "grader": "none"}
    value["target"] = {
        "sources": {
            "count": {**value["target"], "rows": AMOUNTS["count"], "licence": "MIT"},
            "chat": {**chat, "split": split, "rows": AMOUNTS["chat"]},
        }
    }
    del value["mixture"]
    path.write_text(yaml.safe_dump({**value, **changes}, sort_keys=False))
    return path
