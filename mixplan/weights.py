"""Hashes a model's weights as they are stored, without loading them and apart from what computes with them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mixplan.errors import ModelError
from mixplan.runs import translated

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
ADAPTER = "adapter_model.safetensors"

SAMPLED_VALUES = 1024
"""Evenly spaced values of a tensor that are hashed, at least: a full hash of a large model takes minutes, and an edit
that misses every one of them in every tensor is not a trained or converted model but a crafted one."""

LONGEST_HEADER_BYTES = 100_000_000
"""A safetensors header is refused beyond it, as the format's own library does."""

BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F4", "F6_E2M3", "F6_E3M2"), 0),  # packed in ways of their own: sampled byte by byte
}
"""Bits of a value by safetensors's type name; one byte for any type that is not named here."""


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a safetensors file, by its header.

    Attributes:
        name: As in the file.
        dtype: safetensors's name of its type, such as `BF16`.
        shape: Sizes of its dimensions.
        file: Where it lies.
        start: First byte in the file.
        stop: The byte behind its last one.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    start: int
    stop: int


def weights_hash(files: list[Path]) -> str:
    """Hash the tensors of safetensors files: name, type, shape and at least 1,024 evenly spaced values of each.

    The hash depends neither on how tensors are dealt to files nor on what will compute with them.

    Args:
        files: Of one model or adapter.

    Returns:
        64 hexadecimal digits.

    Raises:
        ModelError: a file is not a whole safetensors file.
        RunError: a file cannot be read.
    """
    tensors = sorted((tensor for file in files for tensor in stored_tensors(file)), key=lambda tensor: tensor.name)
    digest = hashlib.sha256()
    with contextlib.ExitStack() as held:
        handles = {}
        for file in files:
            with translated(file, reading=True):
                handles[file] = held.enter_context(open(file, "rb")).fileno()
        for tensor in tensors:
            digest.update(f"{tensor.name} {tensor.shape} {tensor.dtype}".encode())
            digest.update(sampled(handles[tensor.file], tensor))
    return digest.hexdigest()


def sampled(handle: int, tensor: StoredTensor) -> bytes:
    """Bytes of a tensor's evenly spaced values, its first one among them."""
    width = max(1, BITS.get(tensor.dtype, 8) // 8)
    step = max(1, (tensor.stop - tensor.start) // width // SAMPLED_VALUES) * width
    if step == width:
        return os.pread(handle, tensor.stop - tensor.start, tensor.start)
    # Read, not mapped: pages of a mapping would count as this process's memory.
    return b"".join(os.pread(handle, width, place) for place in range(tensor.start, tensor.stop, step))


def stored_tensors(file: Path) -> Iterator[StoredTensor]:
    """What a safetensors file holds, by its header.

    Source: the format's own description, 8 bytes of length (little endian), a JSON header, the tensors' bytes.

    Raises:
        ModelError: the file is cut, or its header does not describe what is there.
        RunError: the file cannot be read.
    """
    with translated(file, reading=True):
        size = os.stat(file).st_size
        with open(file, "rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            head = opened.read(length) if 8 + length <= size and length <= LONGEST_HEADER_BYTES else b""
    try:
        entries = json.loads(head)
        entries.pop("__metadata__", None)
        tensors = [
            StoredTensor(
                str(name), str(entry["dtype"]), tuple(map(int, entry["shape"])), file,
                *(8 + length + int(place) for place in entry["data_offsets"]),
            )
            for name, entry in entries.items()
        ]  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # JSON of any shape
        raise damaged(file, "its header cannot be read") from error
    for tensor in tensors:
        bits = BITS.get(tensor.dtype)
        wanted = math.prod(tensor.shape) * bits // 8 if bits else None
        if not 8 + length <= tensor.start <= tensor.stop or wanted not in (None, tensor.stop - tensor.start):
            raise damaged(file, f"the bytes of its tensor '{tensor.name}' are not as its header says")
        if tensor.stop > size:
            raise damaged(file, f"it has {size:,} bytes, but its header describes at least {tensor.stop:,}")
    yield from tensors


def damaged(file: Path, what: str) -> ModelError:
    """The error for a file that is not whole."""
    return ModelError(
        f"{file}: this is not a whole safetensors file: {what}. It was damaged or its download was cut; delete it and "
        "fetch it again."
    )


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model's folder, as its index names them, or of an adapter's.

    Returns:
        Sorted; empty where the folder holds none.

    Raises:
        ModelError: the index is missing or damaged, or names a file that is not there.
    """
    for name in (WEIGHTS, ADAPTER):
        if (folder / name).is_file():
            return [folder / name]
    index = folder / INDEX
    if not index.is_file():
        if shards := sorted(folder.glob("model-*-of-*.safetensors")):
            raise ModelError(
                f"{folder}: {len(shards)} weight files, {shards[0].name} first, but no {INDEX} that says which tensors "
                "they hold. Fetch the model again, or put that file beside them."
            )
        return []
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:  # JSON of any shape
        raise ModelError(f"{index}: this is not an index of weight files. Fetch it again.") from error
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ModelError(
            f"{folder}: {len(missing)} of {len(names)} weight files are missing, {missing[0]} among them: the download "
            "was cut. Fetch the model again."
        )
    return [folder / name for name in names]
