"""Writes the trained folder's model card: what the model learned, how it did, how to load it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from mixplan.embedded import GGUF_NAME
from mixplan.report import sentences, sheets
from mixplan.report.text import number, percent, visible, whole
from mixplan.saved.outcome import Outcome
from mixplan.saved.plan import Plan

EMBEDDED_BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The hub's name of the model whose 4-bit copy mixplan brings along."""

MEANING = (
    "Measured on held-out rows before and after training, on the same items. `95 %` is a paired bootstrap interval; a "
    "change counts only where it leaves zero."
)

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def model_card(plan: Plan, outcome: Outcome) -> str:
    """Write the README.md of a run's trained adapter or model.

    Args:
        plan: The saved plan.
        outcome: The saved outcome.

    Returns:
        Markdown, opened by the front matter that the hub reads. The licence is `unknown`: a plan knows its data's
        licences, which the card lists, but not what they and the model's together allow.
    """
    parts = [
        "---\n" + yaml.safe_dump(_front(plan), sort_keys=False, allow_unicode=True).rstrip() + "\n---",
        f"# {_plain(plan.name)}",
        _opening(plan, outcome),
        *(f"> {_plain(notice)}" for notice in sentences.said_first(plan, outcome)),
        "## Target and mixture",
        _mixture(plan),
        "## Evaluation",
        MEANING,
        _table(sheets.changes(plan, outcome)),
        *(_plain(sentence) for sentence in sentences.summary(outcome)),
        *([_table(sheets.arms(outcome.arms))] if outcome.arms else []),
        "## How to load it",
        _loading(plan),
        "## Versions",
        _versions(plan, outcome),
    ]
    return "\n\n".join(parts) + "\n"


def is_adapter(plan: Plan) -> bool:
    """Whether the recipe trains an adapter, not the whole model."""
    return plan.recipe is not None and plan.recipe.train.lora is not None


def base_of(plan: Plan) -> str | None:
    """The hub's name of the untrained model; None where it came from a folder."""
    if plan.model.name == "embedded":
        return EMBEDDED_BASE
    is_folder = Path(plan.model.name).is_absolute() or not HUB_ID.fullmatch(plan.model.name)
    return None if is_folder else plan.model.name


def _front(plan: Plan) -> dict[str, object]:
    method = plan.recipe.train.method if plan.recipe else "sft"
    base = base_of(plan)
    return {
        **({"base_model": base} if base else {}),
        "library_name": "peft" if is_adapter(plan) else "transformers",
        "pipeline_tag": "text-generation",
        "license": "unknown",
        "tags": ["mixplan", "trl", method, *(["lora"] if is_adapter(plan) else [])],
    }


def _opening(plan: Plan, outcome: Outcome) -> str:
    kind = "A LoRA adapter" if is_adapter(plan) else "A model"
    base, data = base_of(plan), plan.recipe.target.where if plan.recipe else None
    start = f"`{base}`" if base else "a model from a local folder"
    target = f" (`{data}`)" if data else ""
    copy = f" (its 4-bit copy `{GGUF_NAME}`, read as {plan.model.dtype})" if plan.model.name == "embedded" else ""
    return (
        f"{kind} trained from {start}{copy} on a target{target} and the extra rows that mixplan planned beside it. "
        f"{sentences.training_line(outcome)}"
    )


def _mixture(plan: Plan) -> str:
    heads = ("data", "rows", "ratio", plan.score_name, "licence")
    score = {name: plan.score_of(name) for name in plan.domains}
    licences = {f"target.{name}": source.licence for name, source in plan.target.sources.items()}
    lines = [
        (name, whole(rows), percent(ratio), "", licences.get(name, plan.target.licence) or "not stated")
        for name, (rows, ratio) in plan.taught().items()
    ] or [("target", "", _ratio(plan, "target"), "", plan.target.licence or "not stated")]
    for name in plan.order():
        figures = (whole(plan.allocation.rows[name]), _ratio(plan, name), number(score[name].value))
        lines.append((name, *figures, plan.domains[name].licence or "not stated"))
    return _rows(heads, lines)


def _ratio(plan: Plan, name: str) -> str:
    share = plan.allocation.ratios.get(name)
    return "" if share is None else percent(share)


def _loading(plan: Plan) -> str:
    """Say how to load the folder, with the base beside it where it is an adapter."""
    if not is_adapter(plan):
        lines = ['model = AutoModelForCausalLM.from_pretrained("./model")', *_tokenizer('"./model"')]
        return _code(["from transformers import AutoModelForCausalLM, AutoTokenizer", "", *lines])
    base = f'"{base_of(plan)}"' if base_of(plan) else '"the folder of the untrained model"'
    before = ["from peft import PeftModel", "from transformers import AutoModelForCausalLM, AutoTokenizer", ""]
    if plan.model.name == "embedded":
        before[2:] = ["", "from mixplan.embedded import converted_folder  # there once mixplan has run", ""]
        base = "converted_folder()"
    lines = [
        f"base = AutoModelForCausalLM.from_pretrained({base})",
        'model = PeftModel.from_pretrained(base, "./model")',
        *_tokenizer(base),
    ]
    return _code([*before, *lines])


def _tokenizer(folder: str) -> list[str]:
    return [f"tokenizer = AutoTokenizer.from_pretrained({folder})"]


def _code(lines: Sequence[str]) -> str:
    return "In the run folder:\n\n```python\n" + "\n".join(lines) + "\n```"


def _versions(plan: Plan, outcome: Outcome) -> str:
    facts = [("mixplan", plan.mixplan), *sorted(plan.libraries.items())]
    facts += [("SAE", f"{plan.sae.name}, {plan.sae.hook_name}")]
    facts += [(f"hash: {name}", f"`{value}`") for name, value in outcome.hashes.items()]
    return _rows(("what", "which"), facts, "---")


def _table(sheet: sheets.Sheet) -> str:
    return _rows(sheet.heads, sheet.rows)


def _rows(heads: Sequence[str], rows: Sequence[Sequence[str]], side: str = "---:") -> str:
    """Lay rows out as a Markdown table, numbers to the right."""
    rule = ["---", *[side] * (len(heads) - 1)]
    lines = [heads, rule, *rows]
    return "\n".join("| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines)


def _plain(text: str) -> str:
    """Make text that holds its line and its cell, and opens no HTML element."""
    return visible(text).replace("\n", " ").replace("|", "\\|").replace("<", "&lt;")
