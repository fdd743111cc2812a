"""Counts by cause the rows that are left out, and those that are used with a change, with an example of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

FAULTY = "faulty"
"""The cause under which rows are counted that cannot be read as the recipe says."""


class Lacking(Exception):
    """A row lacks what it needs, which is no error: it is left out and counted under this text."""


@dataclass
class Causes:
    """What became of a source's rows that are not used as they stand.

    Attributes:
        left_out: Rows that are not used, by cause: `no answer`, `faulty`, `duplicate`.
        changed: Rows that are used with a change, by what was changed: `cut behind the last answer`.
        labels: Of choices, how their answers name the right option, as a key of `labels` in the recipe or `label`.
        examples: For each cause where a row can be named, the first one: `data.jsonl, line 17: not JSON (...)`.
    """

    left_out: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    labels: str | None = None

    def leave_out(self, cause: str, example: str = "") -> None:
        """Count one row that is not used."""
        self.left_out[cause] += 1
        self._example(cause, example)

    def change(self, what: str, example: str = "") -> None:
        """Count one row that is used with a change."""
        self.changed[what] += 1
        self._example(what, example)

    def add(self, other: Causes) -> None:
        """Take in what another source's rows gave."""
        self.left_out.update(other.left_out)
        self.changed.update(other.changed)
        self.examples = {**other.examples, **self.examples}

    def _example(self, cause: str, example: str) -> None:
        if example:
            self.examples.setdefault(cause, example)
