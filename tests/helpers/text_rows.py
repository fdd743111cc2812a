"""Files of rows for tests: written, packed, read, and the messages about damaged ones."""

import bz2
import gzip
import lzma
from pathlib import Path

import pyarrow as pa
import pytest

from mixplan.domains.limits import MAX_ROW_BYTES
from mixplan.domains.textfiles import open_text
from mixplan.errors import DataError


def rows(path: Path) -> list[dict]:
    file = open_text(path)
    return [file.decode(number, content) for number, content in file.raw_rows()]


def refusal(folder: Path, name: str, data: bytes) -> str:
    """What is said of a file's rows, with `{path}` in its place."""
    path = write(folder, name, data)
    with pytest.raises(DataError) as caught:
        rows(path)
    return str(caught.value).replace(str(path), "{path}")


def around_a_broken_row(folder: Path, name: str, data: bytes) -> list[str]:
    """Column `a` of each row, and where the broken one is."""
    file = open_text(write(folder, name, data))
    found = []
    for number, content in file.raw_rows():
        try:
            found.append(file.decode(number, content)["a"])
        except DataError as fault:
            found.append(str(fault).partition(":")[0])
    return found


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


LONG = b"x" * (MAX_ROW_BYTES + 10)


TOO_LONG = (
    "longer than 4 MiB, which no model reads as one prompt. Shorten or remove it, or put each row on a line of its own."
)


CONVERT = "Convert the file, for example with: iconv -f LATIN1 -t UTF-8"


def pack(suffix: str, data: bytes) -> bytes:
    if suffix == ".zst":
        return pa.compress(data, codec="zstd", asbytes=True)
    return {".gz": gzip, ".bz2": bz2, ".xz": lzma}[suffix].compress(data)
