"""Reads the rows of a Parquet file or a saved data set by batches, so that only those wanted are ever decoded."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixplan.domains.limits import not_utf8
from mixplan.domains.record import Values
from mixplan.errors import DataError

BATCH_ROWS = 4096


@dataclass(frozen=True)
class Table:
    """Rows in columns.

    Attributes:
        name: What row ids begin with: the file or the split.
        place: The file or data set as messages name it.
        columns: Names of the columns.
        count: How many rows.
        batches: From column names to pyarrow tables or record batches, in row order.
        parts: For columns with a part that tells whether they hold anything, its name; such as `image.path`.
    """

    name: str
    place: str
    columns: tuple[str, ...]
    count: int
    batches: Callable[[list[str]], Iterator[Any]]
    parts: Mapping[str, str] = field(default_factory=dict)

    def rows(
        self, columns: list[str], wanted: Collection[int] | None = None, *, shown: Sequence[str] = ()
    ) -> Iterator[tuple[int, Values | DataError]]:
        """Rows by index from 0, in order, with the columns named; all of them when `wanted` is None.

        In place of a row that cannot be decoded stands why. Of the columns `shown`, which may hold pictures, a row has
        whether they hold anything.

        Raises:
            DataError: the file is damaged.
        """
        indices = range(self.count) if wanted is None else sorted(wanted)
        if not columns:
            yield from ((index, {}) for index in indices)
            return
        start, done = 0, 0
        with readable(self.place):
            for read in self.batches([*columns, *(self.parts.get(name, name) for name in shown)]):
                batch = _shown(read, shown)
                end = start + batch.num_rows
                first = done
                while done < len(indices) and indices[done] < end:
                    done += 1
                if chosen := list(indices[first:done]):
                    whole = len(chosen) == batch.num_rows
                    part = batch if whole else batch.take([index - start for index in chosen])
                    yield from zip(chosen, _decoded(part, self.place, chosen), strict=True)
                start = end
                if done == len(indices):
                    return


def open_parquet(path: Path) -> Table:
    """Open a Parquet file.

    Raises:
        DataError: it is not Parquet, or damaged.
    """
    import pyarrow.parquet

    with readable(str(path)):
        file = pyarrow.parquet.ParquetFile(path)

    def batches(columns: list[str]) -> Iterator[Any]:
        # Buffering ahead would hold whole row groups, which may be the whole file.
        opened = pyarrow.parquet.ParquetFile(path, pre_buffer=False)
        yield from opened.iter_batches(batch_size=BATCH_ROWS, columns=columns)

    return Table(path.name, str(path), tuple(file.schema_arrow.names), file.metadata.num_rows, batches)


def open_saved(folder: Path) -> Table:
    """Open a folder written by `datasets`' `save_to_disk`, without loading `datasets`.

    Raises:
        DataError: it is no such folder, or holds several splits, or a part of it is missing or damaged.
    """
    import pyarrow as pa

    if (folder / "dataset_dict.json").is_file():
        splits = _json(folder / "dataset_dict.json").get("splits", [])
        raise DataError(
            f"{folder}: holds the splits {', '.join(splits)}. Name one folder of them, as in {folder / splits[0]}."
        )
    if not (folder / "state.json").is_file():
        inside = sorted(item.name for item in folder.iterdir() if item.is_file())[:5]
        holds = f"It holds {', '.join(inside)}: name one of them." if inside else "It holds no file."
        raise DataError(f"{folder}: a folder, but not a saved data set (it has no state.json). {holds}")
    with readable(str(folder)):
        names = [part["filename"] for part in _json(folder / "state.json").get("_data_files", [])]
        parts = [pa.ipc.open_stream(pa.memory_map(str(folder / name))).read_all() for name in names]
    if not parts:
        raise DataError(f"{folder}: its state.json lists no data file. Save the data set again.")
    table = pa.concat_tables(parts)

    def batches(columns: list[str]) -> Iterator[Any]:
        yield from table.select(columns).to_batches(max_chunksize=BATCH_ROWS)

    return Table(folder.name, str(folder), tuple(table.column_names), table.num_rows, batches)


@contextmanager
def readable(place: str) -> Iterator[None]:
    """Turn pyarrow's and the operating system's refusals into one `DataError`."""
    import pyarrow as pa

    try:
        yield
    except PermissionError as error:
        raise DataError(f"{place}: no permission to read it. Allow it with `chmod -R u+r {place}`.") from error
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else "unknown reason"
        raise DataError(
            f"{place}: damaged or not what its name says ({reason}). Write or download it again."
        ) from error


def _shown(batch: Any, columns: Sequence[str]) -> Any:
    """A batch with, in place of the values of these columns, whether there are any."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in columns:
        values = batch.column(name)
        filled = values.is_valid()
        if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
            filled = pc.greater(pc.list_value_length(values), 0)
        elif pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            filled = pc.greater(pc.binary_length(values), 0)
        place = batch.schema.get_field_index(name)
        batch = batch.set_column(place, name, pc.fill_null(filled, False))
    return batch


def _decoded(part: Any, place: str, indices: list[int]) -> list[Values | DataError]:
    try:
        rows: list[Values | DataError] = part.to_pylist()
    except UnicodeDecodeError:
        rows = []
        for offset, index in enumerate(indices):
            try:
                rows += part.slice(offset, 1).to_pylist()
            except UnicodeDecodeError as error:
                rows.append(DataError(not_utf8(f"{place}, row {index + 1}", error)))
    return rows


def _json(path: Path) -> Values:
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: damaged, not JSON. Save the data set again.") from error
    return value if isinstance(value, dict) else {}
