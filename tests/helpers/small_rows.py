"""Reads records that a test writes as a domain's rows."""

import json
from pathlib import Path

import pytest

from mixplan.domains import Row, read_rows
from mixplan.errors import DataError
from mixplan.recipe import ColumnsSpec, DataSpec, DomainSpec

CHOICE = ColumnsSpec(question="question", options="options", answer="answer")
QA = ColumnsSpec(question="question", answer="answer")


def spec(kind: str, columns: ColumnsSpec, **data) -> DomainSpec:
    return DomainSpec(data=DataSpec(**(data or {"file": "rows.jsonl"})), format=kind, columns=columns)


def save(folder: Path, records: list) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def read(folder: Path, kind: str, columns: ColumnsSpec, records: list) -> list[Row]:
    save(folder, records)
    return list(read_rows(spec(kind, columns), folder=folder, seed=0))


def refused(folder: Path, kind: str, columns: ColumnsSpec, records: list) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, kind, columns, records)
    return str(caught.value)


def m(*messages) -> dict:
    return {"m": list(messages)}


USER, ASSISTANT = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
M, PC = ColumnsSpec(messages="m"), ColumnsSpec(prompt="p", completion="c")
