"""Writes a finished mixture's data card: what it holds, from where, and how to load and train on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mixplan.grading.rewards import ACCEPTED
from mixplan.mixture.trl_config import WITHOUT_GPU
from mixplan.recipe import DataSpec
from mixplan.saved.plan import MixturePart

COLUMNS = {
    "sft": {
        "prompt": "the conversation up to the question, as `role` and `content` of each turn",
        "completion": "the answer, one assistant turn; the loss falls here alone",
    },
    "grpo": {
        "prompt": "the conversation up to the question, as `role` and `content` of each turn",
        "reference": "the reference answer",
        "grader": "how an answer is graded",
        "entry": "the generator's entry as JSON, for its own scorer; empty for other data",
    },
}
CONTENT_DIGITS = 16
"""Hexadecimal digits of the rows' hash: enough that two mixtures of one machine never share a name."""

PROVENANCE = {
    "domain": "the recipe's name of the domain, or `target`",
    "data": "where the row comes from",
    "row_id": "split or file name, and the row's place in it",
    "repeat": "how often the row was used before: 0 is its first use",
}


SOURCES = {"domain": "the recipe's name of the domain, or `target.NAME` for a source of the target"}


def provenance(taught: int) -> dict[str, str]:
    """The columns that say where a row is from, for a target of so many parts."""
    return PROVENANCE | (SOURCES if taught > 1 else {})


def data_line(data: DataSpec) -> str:
    """Where rows come from, in one line; of a local file the name alone, so that it reads the same wherever it lies."""
    if data.hub is not None:
        line = data.hub + (f"/{data.config}" if data.config else "") + f":{data.split or 'train'}"
        return line + (f"@{data.revision}" if data.revision else "")
    if data.package is not None:
        return f"{data.package}:{data.file}"
    if data.generator is not None:
        return f"reasoning-gym:{data.generator}"
    return Path(str(data.file)).name


def card(
    parts: Sequence[MixturePart],
    *,
    taught: int = 1,
    method: str,
    content: str,
    seed: int,
    folder_name: str,
    warnings: Sequence[str],
    settings: Mapping[str, Any],
    tools: bool = False,
    accepted: bool = False,
) -> str:
    """Write the card, with the front matter that `datasets.load_dataset` reads.

    Args:
        parts: The target or its sources, then the domains.
        taught: How many of them are the target's.
        method: `sft` or `grpo`.
        content: Hash over the rows' content.
        seed: The recipe's seed.
        folder_name: The mixture's folder, relative to the run folder.
        warnings: Whole sentences a reader should see first.
        settings: What rows give the model's chat template.
        tools: Whether any row has tools.
        accepted: Whether any row has other right answers than its reference.
    """
    files = [{"split": "train", "path": "train-*.parquet"}]
    front = {"configs": [{"config_name": config_name(method, content), "data_files": files}]}
    rows = sum(part.rows for part in parts)
    target = sum(part.rows for part in parts[:taught])
    sources = f", from {taught} sources," if taught > 1 else ""
    lines = ["---", yaml.safe_dump(front, sort_keys=False).rstrip(), "---", "# Mixture", ""]
    lines += [
        f"{rows:,} rows for {method.upper()}: {target:,} of the target{sources} and {rows - target:,} of "
        f"{sum(part.rows > 0 for part in parts[taught:])} domains, shuffled with seed {seed}. Made by mixplan.",
        "",
    ]
    lines += [f"> {warning}\n" for warning in warnings]
    lines += ["## What it holds", "", *holdings(parts, rows), ""]
    lines += [f"{part.voice.text(part.name)}\n" for part in parts if part.voice is not None]
    lines += ["## Where it comes from", "", *origins(parts), ""]
    lines += ["## Columns", ""]
    lines += [
        f"- `{name}`: {meaning}"
        for name, meaning in (
            COLUMNS[method]
            | accepted_column(accepted and method == "grpo")
            | provenance(taught)
            | tools_column(tools)
            | settings_column(settings)
        ).items()
    ]
    lines += ["", "## Use", "", "In the run folder:", "", "```python", "import datasets", ""]
    lines += [f'rows = datasets.load_dataset("./{folder_name}", split="train")', "```", "", "```bash"]
    lines += [f"trl {method} --config {folder_name}/{method}.yaml", "```", ""]
    lines += [f"On a machine without a GPU add `{WITHOUT_GPU}`.", ""]
    lines += [f"Content hash (SHA-256 over the rows, in order): `{content}`", ""]
    return "\n".join(lines)


def config_name(method: str, content: str) -> str:
    """Name the card's only configuration by its rows.

    `datasets` 5.2 keeps what it has loaded under the folder's last name and the configuration's, whatever lies in the
    folder: with one name for all, the rows of any run would be answered with those of the first that was loaded.
    """
    return f"{method}-{content[:CONTENT_DIGITS]}"


def tools_column(tools: bool) -> dict[str, str]:
    """The column of a conversation's tools, where any has some."""
    return {"tools": "what the model may call, as a JSON list; empty for rows without tools"} if tools else {}


def accepted_column(accepted: bool) -> dict[str, str]:
    """The column of other right answers, where any row of a mixture for GRPO has some."""
    return {ACCEPTED: "other answers that count as right"} if accepted else {}


def settings_column(settings: Mapping[str, Any]) -> dict[str, str]:
    """The column of chat template settings, where there is one."""
    return {"chat_template_kwargs": "what the model's chat template is given, the same in each row"} if settings else {}


def holdings(parts: Sequence[MixturePart], rows: int) -> list[str]:
    """The table of counts: rows, share, distinct rows, most uses, answers, and tokens where they were counted."""
    counted = any(part.tokens is not None for part in parts)
    head = ["domain", "rows", "share of rows", "distinct rows", "most uses", "answers"]
    head += ["tokens", "longest row (tokens)"] if counted else []
    table = [head, ["---", *["---:"] * 4, "---", *["---:"] * (len(head) - 6)]]
    for part in parts:
        answers = ", ".join(f"{name} {count:,}" for name, count in part.answers.items())
        row = [part.name, f"{part.rows:,}", f"{100 * part.rows / rows:.1f} %", f"{part.distinct_rows:,}"]
        row += [str(part.most_uses), answers or "none"]
        row += [f"{part.tokens or 0:,}", f"{part.longest_tokens or 0:,}"] if counted else []
        table.append(row)
    return ["| " + " | ".join(row) + " |" for row in table]


def origins(parts: Sequence[MixturePart]) -> list[str]:
    """The table of origins and licences."""
    table = [["domain", "data", "licence"], ["---", "---", "---"]]
    table += [[part.name, f"`{part.data}`", part.licence or "not stated in the recipe"] for part in parts]
    return ["| " + " | ".join(row) + " |" for row in table]
