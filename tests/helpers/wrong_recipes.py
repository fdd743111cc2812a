"""Lays out a sound recipe with a config of each kind, and checks what the command line says of a changed one."""

import sys
from pathlib import Path
from typing import Any

import pytest

from mixplan.cli import main

BASE = """\
model:
  name: embedded
  sae: {embedded: true}
target:
  data: {file: rows.jsonl}
  format: question_answer
  columns: {question: q, answer: a}
domains:
  law:
    data: {file: law.jsonl}
    format: choice
    columns: {question: q, options: o, answer: a}
  sums:
    data: {generator: chain_sum}
    format: question_answer
    columns: {question: question, answer: answer}
budget: {rows: 100}
"""
MODEL = "name: local\nsae:\n  path: sae\n"
SUITE = "law:\n  data: {file: law.jsonl}\n  format: choice\n  columns: {question: q, options: o, answer: a}\n"
COUNT = "a whole number of at least 0"

Change = tuple[tuple[str, str], str]
"""The text to replace and what with, and every line of the message."""


def lay_out(folder: Path, monkeypatch: Any) -> Path:
    """Write the recipe and a config of each kind, and make their folder the current one."""
    monkeypatch.chdir(folder)
    for name, text in (("models/tiny", MODEL), ("domains/small", SUITE)):
        file = folder / "configs" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "recipe.yaml").write_text(BASE)
    return folder


def assert_refused(folder: Path, change: Change, monkeypatch: Any, capsys: Any) -> None:
    """A command on the changed recipe prints the message and nothing else, ends with code 1, and writes nothing."""
    (old, new), message = change
    assert BASE.count(old) == 1 or old.endswith("\n") or old in ("rows: 100", "budget:")
    lay_out(folder, monkeypatch)
    (folder / "recipe.yaml").write_text(BASE.replace(old, new, 1))
    monkeypatch.setattr(sys, "argv", ["mixplan", "new", "copy", "--from", "recipe.yaml"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr() == ("", message + "\n")
    assert not (folder / "copy.yaml").exists()
