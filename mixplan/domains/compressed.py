"""Opens a file of rows for reading, compressed or not."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mixplan.errors import DataError

COMPRESSED = (".bz2", ".gz", ".xz", ".zst")


def kind_of(path: Path) -> str:
    """A file's suffix in lower case, without that of its compression: `.jsonl` of `rows.jsonl.gz`."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in COMPRESSED else suffix


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A file's bytes, decompressed as they are read.

    Raises:
        DataError: it cannot be read, or what is compressed is damaged.
    """
    try:
        with _stream(path) as file:
            yield file
    except PermissionError as error:
        raise DataError(f"{path}: no permission to read it. Allow it with `chmod u+r {path}`.") from error
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:  # each library's own
        raise damaged(path, error) from error
    except OSError as error:
        if path.suffix.lower() in COMPRESSED and error.errno is None:
            raise damaged(path, error) from error
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error


def damaged(path: Path, error: Exception) -> DataError:
    """The error for a compressed file that does not unpack."""
    return DataError(
        f"{path}: damaged, or not compressed as its name says ({str(error).rstrip('.')}). Write or download it again."
    )


def _stream(path: Path) -> Any:
    suffix = path.suffix.lower()
    if suffix == ".zst":
        import pyarrow as pa

        # Buffered, since Arrow's own streams know no lines.
        return io.BufferedReader(pa.input_stream(str(path), compression="zstd"))
    opener: Any = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.get(suffix, open)
    return opener(path, "rb")
