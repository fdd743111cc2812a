"""Reads a mixture's rows from its shards one by one, in the order in which they are trained."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mixplan.grading.rewards import ACCEPTED
from mixplan.mixture.result import Messages
from mixplan.runs import translated

Values = Mapping[str, Any]
"""A row's columns, or a config's keys, as JSON values."""

BATCH_ROWS = 500
GRADED = ("reference", "grader", "entry", ACCEPTED)
"""Columns that GRPO's rewards read; the last is there where any row has further answers that count as right."""


@dataclass(frozen=True)
class MixtureRow:
    """One row of a mixture.

    Attributes:
        prompt: The conversation up to the answer.
        answer: The last turn, on which loss falls; None in a mixture for GRPO.
        tools: What the model may call; None without tools.
        settings: What the row gives the model's chat template.
        provenance: `domain`, `data`, `row_id` and `repeat`.
        graded: For GRPO, `reference`, `grader`, `entry` and, where the mixture has it, `accepted`.
    """

    prompt: Messages
    answer: str | None
    tools: Sequence[Any] | None
    settings: Values
    provenance: Values
    graded: Values

    @property
    def domain(self) -> str:
        """The recipe's name of the domain that the row is of."""
        return str(self.provenance["domain"])

    @property
    def turns(self) -> Messages:
        """The whole conversation."""
        return [*self.prompt, *([] if self.answer is None else [{"role": "assistant", "content": self.answer}])]


def mixture_rows(folder: Path) -> Iterator[MixtureRow]:
    """Yield a mixture's rows in order, some hundred in memory at a time.

    Args:
        folder: The mixture's, whose files were checked.
    """
    for path in sorted(folder.glob("train-*.parquet")):
        with translated(path, reading=True), pq.ParquetFile(path) as shard:
            for batch in shard.iter_batches(batch_size=BATCH_ROWS):
                yield from map(mixture_row, batch.to_pylist())


def mixture_row(columns: Values) -> MixtureRow:
    """A row from its columns."""
    tools = columns.get("tools")
    completion = columns.get("completion")
    return MixtureRow(
        prompt=[dict(turn) for turn in columns["prompt"]],
        answer=completion[-1]["content"] if completion else None,
        tools=json.loads(tools) if tools else None,
        settings=columns.get("chat_template_kwargs") or {},
        provenance={name: columns[name] for name in ("domain", "data", "row_id", "repeat")},
        graded={name: columns[name] for name in GRADED if name in columns},
    )
