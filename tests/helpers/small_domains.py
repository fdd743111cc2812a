"""Writes domains of a few questions and recipes over them, for tests of how rows are split."""

import json
from pathlib import Path

import pytest

from mixplan.domains import Domain, open_domains
from mixplan.domains.split import PARTS
from mixplan.errors import DataError
from mixplan.recipe import (
    BudgetSpec,
    ColumnsSpec,
    DataSpec,
    DomainSpec,
    DriftSpec,
    ModelSpec,
    Recipe,
    SaeSpec,
    SplitSpec,
    StsSpec,
)

COLUMNS = ColumnsSpec(question="q", answer="a")
WITH_PASSAGE = ColumnsSpec(question="{passage}\n{q}", answer="a")


def save(folder: Path, name: str, questions) -> None:
    rows = [question if isinstance(question, dict) else {"q": question, "a": "yes"} for question in questions]
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def domain(name: str, evaluation=2, query=3, demonstration=2, **changes) -> DomainSpec:
    split = SplitSpec(evaluation=evaluation, query=query, demonstration=demonstration)
    fields = {"data": DataSpec(file=f"{name}.jsonl"), "format": "question_answer", "columns": COLUMNS, "split": split}
    return DomainSpec(**{**fields, **changes})


def recipe(target: DomainSpec, domains: dict[str, DomainSpec], **changes) -> Recipe:
    fields = {"drift": DriftSpec(demonstrations=1), "sts": StsSpec(demonstrations=1), **changes}
    model = ModelSpec(name="embedded", sae=SaeSpec(embedded=True))
    return Recipe(model=model, target=target, domains=domains, budget=BudgetSpec(rows=10), **fields)


def questions(name: str, count: int) -> list[str]:
    return [f"{name} question {index}" for index in range(count)]


def refused(plan: Recipe, folder: Path, **place) -> str:
    with pytest.raises(DataError) as caught:
        open_domains(plan, folder=folder, **place)
    return str(caught.value)


def keys(one: Domain, *parts: str) -> list[str]:
    return [row.key for part in parts or PARTS for row in getattr(one, part)]


def passage(number: int) -> str:
    return f"Passage {number} says in many words what several questions are asked about, one after another."


def passage_rows(rows: int, each: int) -> list[dict[str, str]]:
    """Rows of which `each` share a passage."""
    return [{"passage": passage(n // each), "q": f"question {n}?", "a": "yes", "id": n // each} for n in range(rows)]
