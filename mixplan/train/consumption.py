"""Counts what a trainer has prepared of each domain, and refuses rows that are not the planned ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mixplan.chat.tool_calls import TOOLS
from mixplan.errors import TrainError
from mixplan.saved.outcome import Consumption as Consumed
from mixplan.train.rows_read import trainable

Length = Callable[[list[dict[str, str]], bool], int]
"""Tokens of a conversation, with or without the opening of an answer at its end; a first turn may hold its tools."""


@dataclass(frozen=True)
class Consumption:
    """What a trainer has prepared.

    Attributes:
        domains: By domain, once through the mixture; no trainable tokens for GRPO, which trains on what the model says.
        warnings: Whole sentences on rows that were cut or dropped.
    """

    domains: dict[str, Consumed]
    warnings: tuple[str, ...]


def read_back(
    rows: Any, prepared: Any, *, planned: Mapping[str, int], limit: int | None, length: Length
) -> Consumption:
    """Count an SFT trainer's prepared rows by domain.

    Args:
        rows: The mixture as it was given to the trainer: `prompt`, `completion`, `domain`, `row_id`, `repeat`.
        prepared: What the trainer made of it: the same columns with `input_ids` and `labels`.
        planned: Rows by domain.
        limit: Where the trainer cuts a row, in tokens; None when it does not.
        length: Counts tokens as the trainer does, asked only of rows that may have been cut or dropped.

    Raises:
        TrainError: rows differ from the plan in another way than by length.
    """
    counts, tokens = Counter(prepared["domain"]), Counter[str]()
    truncated, longest = Counter[str](), Counter[str]()
    for row in batches(prepared, "prompt", "completion", "domain", "labels", *tools_column(prepared)):
        name = row["domain"]
        tokens[name] += trainable(row["labels"])
        if limit is not None and len(row["labels"]) == limit:
            whole = length(asked(row) + row["completion"], False)
            truncated[name] += whole > limit
            longest[name] = max(longest[name], whole)
    dropped = dropped_by_length(rows, prepared, limit=limit, length=length)
    refuse_difference(planned, counts + dropped)
    domains = {
        name: Consumed(
            planned_rows=count,
            rows=counts[name],
            trainable_tokens=tokens[name],
            truncated_rows=truncated[name],
            dropped_rows=dropped[name],
        )
        for name, count in planned.items()
    }
    return Consumption(domains, tuple(told(domains, limit, longest)))


PreparedRow = dict[str, Any]
"""A row of a data set as a trainer holds it."""


def batches(rows: Any, *columns: str) -> Iterator[PreparedRow]:
    """Rows one by one, a thousand in memory at a time, of the columns that are wanted."""
    for batch in rows.select_columns(list(columns)).iter(batch_size=1000):
        yield from (dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True))


def tools_column(rows: Any) -> tuple[str, ...]:
    """The name of the column that holds conversations' tools, where there is one."""
    return (TOOLS,) if TOOLS in rows.column_names else ()


def asked(row: Mapping[str, Any]) -> list[dict[str, str]]:
    """A row's prompt, its tools in a first turn of their own."""
    tools = row.get(TOOLS)
    return [*([{"role": TOOLS, "content": tools}] if tools else []), *row["prompt"]]


def dropped_by_length(rows: Any, prepared: Any, *, limit: int | None, length: Length) -> Counter[str]:
    """Count the rows that the trainer left out because their question alone reaches the limit."""
    dropped = Counter[str]()
    if limit is None or len(prepared) == len(rows):
        return dropped
    names = ("domain", "row_id", "repeat")
    kept = Counter(tuple(row[name] for name in names) for row in batches(prepared, *names))
    for row in batches(rows, "prompt", *names, *tools_column(rows)):
        identity = tuple(row[name] for name in names)
        if kept[identity]:
            kept[identity] -= 1
        elif length(asked(row), True) >= limit:
            dropped[row["domain"]] += 1
    return dropped


def refuse_difference(planned: Mapping[str, int], found: Mapping[str, int]) -> None:
    """Refuse rows that are not the planned ones.

    Raises:
        TrainError: names each domain that differs.
    """
    names = [*planned, *(name for name in found if name not in planned)]
    wrong = [
        f"'{name}' {found.get(name, 0)} instead of {planned.get(name, 0)}"
        for name in names
        if found.get(name, 0) != planned.get(name, 0)
    ]
    if wrong:
        raise TrainError(
            f"training: the trainer's own data holds other rows than planned: {', '.join(wrong)}. "
            "Leave out keys of train.args that select or drop rows, or plan again."
        )


def told(domains: Mapping[str, Consumed], limit: int | None, longest: Mapping[str, int]) -> Iterator[str]:
    """Say which rows were cut or dropped, and what would keep them."""
    for name, entry in domains.items():
        if entry.truncated_rows:
            yield (
                f"{entry.truncated_rows} of {entry.planned_rows} rows of '{name}' were cut at {limit} tokens; "
                f"their longest has {longest[name]}. Set train.args.max_length to keep it whole."
            )
        if entry.dropped_rows:
            yield (
                f"{entry.dropped_rows} of {entry.planned_rows} rows of '{name}' were dropped: their questions "
                f"alone fill {limit} tokens. Set train.args.max_length higher to train on them."
            )


def trainable_tokens(prepared: Any) -> int:
    """Tokens on which loss falls, over all rows."""
    return sum(trainable(row["labels"]) for row in batches(prepared, "labels"))


def count_prompts(prepared: Any, *, planned: Mapping[str, int], batch: int) -> Consumption:
    """Count a GRPO trainer's prompts by domain.

    Args:
        prepared: The rows that it draws prompts from.
        planned: Rows by domain.
        batch: Different prompts a batch; TRL leaves out what does not fill one, others in each epoch.

    Raises:
        TrainError: rows differ from the plan.
    """
    counts = Counter(prepared["domain"])
    refuse_difference(planned, counts)
    domains = {
        name: Consumed(planned_rows=count, rows=counts[name], trainable_tokens=None, truncated_rows=0, dropped_rows=0)
        for name, count in planned.items()
    }
    left = len(prepared) % batch
    warning = f"{left} of {len(prepared)} rows, others in each epoch, do not fill a batch of {batch} prompts and wait."
    return Consumption(domains, (warning,) if left else ())
