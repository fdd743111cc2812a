"""Writes the trained folder's model card: what the model learned, how it did, how to load it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from mixplan.embedded import GGUF_NAME
from mixplan.recipe.paths import is_hub_id
from mixplan.report import sentences, text_tables
from mixplan.report.spreads import leaves_sentence
from mixplan.report.text import number, percent, visible, whole
from mixplan.saved.outcome import Outcome
from mixplan.saved.plan import Plan

EMBEDDED_BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The hub's name of the model whose 4-bit copy mixplan brings along."""

MEANING = (
    "Measured on held-out rows before and after training, on the same items. `95 %` is the interval of their mean "
    "difference; a change counts only where it leaves zero, lies beyond the noise floor and is of six items or more."
)


@dataclass(frozen=True)
class Published:
    """Where a model is published, with what no plan knows of it.

    Attributes:
        repo: The hub's name of the repository.
        languages: ISO 639 codes.
        licence: The hub's identifier of the licence; `unknown` when None.
        base: The hub's name of the untrained model, where the recipe has it from a folder.
    """

    repo: str
    languages: tuple[str, ...] = ()
    licence: str | None = None
    base: str | None = None


def model_card(plan: Plan, outcome: Outcome, published: Published | None = None) -> str:
    """Write the README.md of a run's trained adapter or model.

    Args:
        plan: The saved plan.
        outcome: The saved outcome.
        published: Where the model is loaded from; the run folder when None.

    Returns:
        Markdown, opened by the front matter that the hub reads. The licence is `unknown`: a plan knows its data's
        licences, which the card lists, but not what they and the model's together allow.
    """
    parts = [
        "---\n" + yaml.safe_dump(_front(plan, published), sort_keys=False, allow_unicode=True).rstrip() + "\n---",
        f"# {_plain(plan.name)}",
        _opening(plan, outcome, published),
        *(f"> {_plain(notice)}" for notice in sentences.said_first(plan, outcome)),
        "## Target and mixture",
        _mixture(plan),
        "## Evaluation",
        MEANING,
        _table(text_tables.changes(plan, outcome)),
        *(_plain(sentence) for sentence in sentences.summary(outcome)),
        *([_table(text_tables.arms(outcome.arms))] if outcome.arms else []),
        "## How to load it",
        _loading(plan, published),
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
    is_folder = Path(plan.model.name).is_absolute() or not is_hub_id(plan.model.name)
    return None if is_folder else plan.model.name


def _base(plan: Plan, published: Published | None) -> str | None:
    """The hub's name of the untrained model, as far as anyone says it."""
    return (published.base if published else None) or base_of(plan)


def _front(plan: Plan, published: Published | None) -> dict[str, object]:
    method = plan.recipe.train.method if plan.recipe else "sft"
    base = _base(plan, published)
    data_sets = list(dict.fromkeys(_data_sets(plan))) if published else []
    return {
        **({"language": list(published.languages)} if published and published.languages else {}),
        **({"base_model": base} if base else {}),
        **({"datasets": data_sets} if data_sets else {}),
        "library_name": "peft" if is_adapter(plan) else "transformers",
        "pipeline_tag": "text-generation",
        "license": (published.licence if published else None) or "unknown",
        "tags": ["mixplan", "trl", method, *(["lora"] if is_adapter(plan) else [])],
    }


def _data_sets(plan: Plan) -> Iterator[str]:
    """The hub's names of the data sets that rows of the mixture are from."""
    given = plan.recipe.given if plan.recipe else {}
    domains, target = given.get("domains"), given.get("target")
    taken = domains.items() if isinstance(domains, dict) else ()
    sections = [target, *(section for name, section in taken if plan.allocation.rows.get(name))]
    sources = target.get("sources") if isinstance(target, dict) else None
    sections += sources.values() if isinstance(sources, dict) else ()
    for section in sections:
        data = section.get("data") if isinstance(section, dict) else None
        if isinstance(data, dict) and isinstance(hub := data.get("hub"), str):
            yield hub


def _opening(plan: Plan, outcome: Outcome, published: Published | None) -> str:
    kind = "A LoRA adapter" if is_adapter(plan) else "A model"
    base, data = _base(plan, published), plan.recipe.target.where if plan.recipe else None
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
    said = [plan.allocation.placement.text] if plan.allocation.placement else []
    said += filter(None, [leaves_sentence(plan)])
    return "\n\n".join([_rows(heads, lines), *([" ".join(said)] if said else [])])


def _ratio(plan: Plan, name: str) -> str:
    share = plan.allocation.ratios.get(name)
    return "" if share is None else percent(share)


def _loading(plan: Plan, published: Published | None) -> str:
    """Say how to load the folder or repository, with the base beside it where it is an adapter."""
    place, first = (f'"{published.repo}"', "") if published else ('"./model"', "In the run folder:\n\n")
    if not is_adapter(plan):
        lines = [f"model = AutoModelForCausalLM.from_pretrained({place})", *_tokenizer(place)]
        return first + _code(["from transformers import AutoModelForCausalLM, AutoTokenizer", "", *lines])
    named = _base(plan, published)
    base = f'"{named}"' if named else '"the folder of the untrained model"'
    before = ["from peft import PeftModel", "from transformers import AutoModelForCausalLM, AutoTokenizer", ""]
    if plan.model.name == "embedded":
        before[2:] = ["", "from mixplan.embedded import converted_folder  # there once mixplan has run", ""]
        base = "converted_folder()"
    lines = [
        f"base = AutoModelForCausalLM.from_pretrained({base})",
        f"model = PeftModel.from_pretrained(base, {place})",
        *_tokenizer(base),
    ]
    return first + _code([*before, *lines])


def _tokenizer(folder: str) -> list[str]:
    return [f"tokenizer = AutoTokenizer.from_pretrained({folder})"]


def _code(lines: Sequence[str]) -> str:
    return "```python\n" + "\n".join(lines) + "\n```"


def _versions(plan: Plan, outcome: Outcome) -> str:
    facts = [("mixplan", plan.mixplan), *sorted(plan.libraries.items())]
    facts += [("SAE", f"{plan.sae.name}, {plan.sae.hook_name}" if plan.sae else "none: rows were planned without one")]
    facts += [(f"hash: {name}", f"`{value}`") for name, value in outcome.hashes.items()]
    return _rows(("what", "which"), facts, "---")


def _table(sheet: text_tables.Sheet) -> str:
    return _rows(sheet.heads, sheet.rows)


def _rows(heads: Sequence[str], rows: Sequence[Sequence[str]], side: str = "---:") -> str:
    """Lay rows out as a Markdown table, numbers to the right."""
    rule = ["---", *[side] * (len(heads) - 1)]
    lines = [heads, rule, *rows]
    return "\n".join("| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines)


def _plain(text: str) -> str:
    """Make text that holds its line and its cell, and opens no HTML element."""
    return visible(text).replace("\n", " ").replace("|", "\\|").replace("<", "&lt;")
