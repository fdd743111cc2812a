"""Defines what another harness measured, whichever it was: tasks, their items, and how scores are to be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Values = Mapping[str, Mapping[str, float]]
"""An item's numbers, by measure and quantity."""


@dataclass(frozen=True)
class Item:
    """One item of a task as a model answered it.

    Attributes:
        content: Hash of the question with its reference.
        prompt: Hash of what the model was given.
        values: Numbers by measure and quantity.
        question: What was asked, for a person.
        reference: The right answer, as the data has it.
        answers: What was answered, as each measure's filter or scorer took it; none where options were scored.
        options: How many it was answered from; 0 where answers are free.
    """

    content: str
    prompt: str
    values: Values
    question: str
    reference: str
    answers: Mapping[str, str] = field(default_factory=dict)
    options: int = 0


@dataclass(frozen=True)
class Task:
    """One task of a harness.

    Attributes:
        name: The harness's.
        better: By measure and quantity, whether more is better (1), worse (-1), or the harness does not say (0). The
            first of each is what stands for the task.
        items: By id.
        leading: The filter or scorer whose numbers stand under the harness's plain measure; those of another one stand
            under `MEASURE (NAME)`.
        meaning: Settings that say what a score means, by name, as text; empty where one is not set.
        conditions: Further settings that may change scores, likewise.
        notes: What a reader should know, such as metrics that cannot be paired.
    """

    name: str
    better: Mapping[str, Mapping[str, int]]
    items: Mapping[str, Item]
    leading: str
    meaning: Mapping[str, str]
    conditions: Mapping[str, str]
    notes: list[str] = field(default_factory=list)


class Tasks(Mapping[str, Task]):
    """Tasks by name, each read when it is first asked for: of many only some may stand for a domain."""

    def __init__(self, reads: Mapping[str, Callable[[], Task]]) -> None:
        self.reads = dict(reads)
        self.known: dict[str, Task] = {}

    def __getitem__(self, name: str) -> Task:
        """Read a task.

        Raises:
            EvaluateError: its samples are not there, damaged, or not those of its results.
        """
        if name not in self.known:
            self.known[name] = self.reads[name]()
        return self.known[name]

    def __iter__(self) -> Iterator[str]:
        """Their names, in the order of the results."""
        return iter(self.reads)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.reads)


@dataclass(frozen=True)
class Results:
    """What one harness measured of one model.

    Attributes:
        place: The file or folder that a person named.
        harness: Its name, with its version.
        measure: What its headline measure is called.
        model: The model as the harness names it.
        dtype: Its compute type, where that is recorded.
        tasks: By name.
        groups: Names of groups, each with its tasks.
        notes: What a reader should know of the whole.
    """

    place: Path
    harness: str
    measure: str
    model: str
    dtype: str | None
    tasks: Tasks
    groups: Mapping[str, list[str]]
    notes: list[str] = field(default_factory=list)
