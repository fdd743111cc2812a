"""Reads the documented functions of a package's or folder's Python files as rows; nothing is imported or run."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mixplan.domains.textfiles import TextFile
from mixplan.errors import DataError

SHORTEST, LONGEST = 2, 12
"""Statement lines of a function that is taken: fewer only hand on, more are no exercise."""


@dataclass(frozen=True)
class Functions(TextFile):
    """Functions of Python files, in the order of their files.

    Attributes:
        pattern: Which files below `path`, such as `**/*.py`.
    """

    pattern: str = "**/*.py"

    @property
    def place(self) -> str:
        """The files as messages name them."""
        return f"{self.path}/{self.pattern}"

    def raw_rows(self) -> Iterator[tuple[int, bytes]]:
        """Functions from 1: `name`, `signature`, `summary` (the docstring's first paragraph) and `body` without it.

        Left out are those without docstring, nested, decorated and asynchronous ones, methods, those whose docstring
        shares its line with a statement, and those much shorter or longer than an exercise.
        """
        number = 0
        for file in sorted(self.path.glob(self.pattern)):
            for row in functions_of(file):
                number += 1
                yield number, json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")


def open_functions(path: Path, pattern: str) -> Functions:
    """Take a folder's Python files.

    Raises:
        DataError: the pattern finds none.
    """
    if next(path.glob(pattern), None) is None:
        raise DataError(f"{path}/{pattern}: no Python file is there. Correct `file`.")
    return Functions(path, "function", text_cells=False, pattern=pattern)


def functions_of(file: Path) -> Iterator[dict[str, str]]:
    """The documented functions at the top of one file; none where it is not readable Python."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        with warnings.catch_warnings():
            # Files of others may hold escapes that Python warns of.
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):  # as `ast.parse` raises of foreign text
        return
    # Not by splitlines, which also breaks at form feeds, where Python counts no line.
    lines = text.split("\n")
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.decorator_list and (row := row_of(node, lines)):
            yield row


def row_of(node: ast.FunctionDef, lines: list[str]) -> dict[str, str] | None:
    """One function as a row, or None when it is not taken."""
    summary = " ".join((ast.get_docstring(node) or "").strip().split("\n\n")[0].split())
    if not summary or len(node.body) < SHORTEST:
        return None
    docstring, statement = node.body[:2]
    if statement.lineno == docstring.end_lineno:
        return None
    # A decorated function inside begins at its first decorator.
    first = min([statement.lineno, *(one.lineno for one in getattr(statement, "decorator_list", []))])
    body = "\n".join(lines[first - 1 : node.end_lineno])
    if not SHORTEST <= len([line for line in body.splitlines() if line.strip()]) <= LONGEST:
        return None
    signature = f"def {node.name}({ast.unparse(node.args)}):"
    return {"name": node.name, "signature": signature, "summary": summary, "body": body}
