"""Writes rows in their final order as Parquet shards, in memory that does not grow with the rows."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mixplan.grading.rewards import ACCEPTED
from mixplan.mixture.result import read_mixture
from mixplan.runs import canonical_json, set_aside, translated
from mixplan.temporary_files import remove

GROUP_ROWS = 1_000
GROUP_CHARACTERS = 8_000_000
"""A row group ends at either bound, so that rows of 100 MB are held one at a time and short ones by the thousand."""

SHARD_ROWS = 100_000
SHARD_CHARACTERS = 400_000_000

Record = dict[str, Any]

TURNS = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
PROVENANCE = [("domain", pa.string()), ("data", pa.string()), ("row_id", pa.string()), ("repeat", pa.int32())]
SCHEMAS = {
    "sft": pa.schema([("prompt", TURNS), ("completion", TURNS), *PROVENANCE]),
    "grpo": pa.schema(
        [("prompt", TURNS), ("reference", pa.string()), ("grader", pa.string()), ("entry", pa.string()), *PROVENANCE]
    ),
}


def schema_of(method: str, settings: Mapping[str, Any], *, tools: bool = False, accepted: bool = False) -> pa.Schema:
    """A mixture's columns.

    Args:
        method: `sft` or `grpo`.
        settings: What the rows give a chat template, in the column that TRL's SFT reads; without any there is none.
        tools: Whether rows have tools, as JSON in the column that TRL's SFT reads.
        accepted: Whether rows of a mixture for GRPO have other right answers than their references.
    """
    schema = SCHEMAS[method]
    if tools and method == "sft":
        schema = schema.append(pa.field("tools", pa.string()))
    if accepted and method == "grpo":
        schema = schema.append(pa.field(ACCEPTED, pa.list_(pa.string())))
    if not settings:
        return schema
    return schema.append(pa.field("chat_template_kwargs", pa.infer_type([dict(settings)])))


def write_shards(records: Iterable[Record], *, schema: pa.Schema, folder: Path) -> str:
    """Write rows to `train-00000.parquet` and on.

    Args:
        records: Rows by column, in order.
        schema: Their columns.
        folder: Where to write; it is there.

    Returns:
        SHA-256 over the rows' content, in order.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    digest = hashlib.sha256()
    for shard, groups in itertools.groupby(row_groups(records), key=lambda group: group[0]):
        path = folder / f"train-{shard:05d}.parquet"
        with translated(path), open(path, "wb") as file:
            with pq.ParquetWriter(file, schema, compression="zstd") as writer:
                for _, rows in groups:
                    for row in rows:
                        digest.update(canonical_json(row).encode() + b"\n")
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            file.flush()
            os.fsync(file.fileno())
    return digest.hexdigest()


def row_groups(records: Iterable[Record]) -> Iterator[tuple[int, list[Record]]]:
    """Collect rows into row groups, each with the number of the shard it belongs to."""
    group: list[Record] = []
    shard = shard_rows = shard_characters = characters = 0
    for record in records:
        group.append(record)
        characters += record_characters(record)
        if len(group) == GROUP_ROWS or characters >= GROUP_CHARACTERS:
            yield shard, group
            shard_rows, shard_characters = shard_rows + len(group), shard_characters + characters
            group, characters = [], 0
            if shard_rows >= SHARD_ROWS or shard_characters >= SHARD_CHARACTERS:
                shard, shard_rows, shard_characters = shard + 1, 0, 0
    if group:
        yield shard, group


def record_characters(record: Record) -> int:
    """Characters of a row's texts."""
    turns = (*record["prompt"], *record.get("completion", ()))
    return (
        sum(len(turn["content"]) for turn in turns)
        + len(record.get("entry") or "")
        + len(record.get("reference") or "")
        + sum(map(len, record.get("accepted", ())))
    )


@contextlib.contextmanager
def beside(folder: Path) -> Iterator[Path]:
    """An empty folder beside the mixture's, to be put in its place when it is whole; gone when that fails."""
    partial = folder.with_name(f".{folder.name}.partial")
    with translated(partial):
        for leftover in (partial, folder.with_name(f".{folder.name}.old")):
            remove(leftover)
        partial.mkdir(parents=True)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def put_in_place(partial: Path, folder: Path) -> Path | None:
    """Put a whole mixture where it belongs, replacing an older one.

    Returns:
        Where the former folder was set aside, when it held a damaged or foreign file; None otherwise.
    """
    kept = None
    old = folder.with_name(f".{folder.name}.old")
    with translated(folder):
        if os.path.lexists(folder):
            if read_mixture(folder) is None:
                kept = set_aside(folder)
            else:
                os.replace(folder, old)
        os.replace(partial, folder)
        if old.exists():
            shutil.rmtree(old)
    return kept
