"""Chooses the device and the compute type by what the recipe names and the machine has."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch
from transformers import PreTrainedModel

from mixplan.errors import ModelError
from mixplan.recipe import ModelSpec
from mixplan.runs import cache_folder, content_hash

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's `malloc.h`."""
BF16_MUST_WIN_BY = 1.2
"""bfloat16 is chosen on a CPU only when it is this much faster: a close race must not flip between two runs."""


def has_accelerator() -> bool:
    """Whether PyTorch sees a device beside the CPU."""
    return bool(torch.accelerator.is_available())


def resolve_device(name: str) -> torch.device:
    """Turn `auto` into the best device present and refuse one that is not here.

    Raises:
        ModelError: the device is unknown or absent.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    return present(name, "model.device")


def present(name: str, key: str) -> torch.device:
    """A device by its name.

    Args:
        name: Such as `cuda:1`.
        key: Of the recipe, for the message.

    Raises:
        ModelError: it is unknown or absent.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # the device `meta` makes tensors, but holds no values
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"{key}: '{name}' cannot be used on this machine. Use `auto` or `cpu`.") from error
    # There is one CPU, and safetensors does not know it as `cpu:0`.
    return torch.device("cpu") if device.type == "cpu" else device


def resolve_dtype(name: str, device: torch.device, width: int) -> tuple[str, str]:
    """Choose the compute type and say why.

    Args:
        name: The recipe's choice; `auto` measures on a CPU.
        device: Where the model will run.
        width: Of the residual stream, the size the measurement uses.

    Returns:
        The type's name and the reason in one sentence.
    """
    if name != "auto":
        return name, f"{name} was asked for"
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported():
            return "bfloat16", "the GPU computes bfloat16"
        return "float16", "the GPU has no bfloat16"
    if device.type != "cpu":
        return "float32", f"the safe choice on {device.type}"
    seconds = {dtype: time_matmul(DTYPES[dtype], width) for dtype in ("float32", "bfloat16")}
    ratio = seconds["float32"] / seconds["bfloat16"]
    chosen = "bfloat16" if ratio > BF16_MUST_WIN_BY else "float32"
    # Without the ratio itself, which no two runs measure alike: plans of one machine are equal to the byte.
    than = f"at least {BF16_MUST_WIN_BY} times as fast as float32 on this CPU"
    return chosen, f"bfloat16 was measured {'' if chosen == 'bfloat16' else 'not '}to be {than}"


def time_matmul(dtype: torch.dtype, width: int) -> float:
    """Shortest of three timings, in seconds, of a block-sized matrix product in one type."""
    left, right = torch.ones(512, width, dtype=dtype), torch.ones(width, 4 * width, dtype=dtype)
    torch.mm(left, right)
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        torch.mm(left, right)
        best = min(best, time.perf_counter() - start)
    return best


Placement = dict[str, Any]
"""Arguments of `from_pretrained` that say where a model's parts go."""


def placement(spec: ModelSpec, device: torch.device) -> Placement:
    """Arguments that say where transformers puts a model's weights as it reads them.

    Args:
        spec: `device_map` spreads the model; else it lies on `device`.
        device: Where it runs where it is not spread.

    Raises:
        ModelError: a device that it names is not here.
    """
    if spec.device_map is not None:
        places = spec.device_map.values() if isinstance(spec.device_map, dict) else ()
        for place in places:
            if place != "disk":
                present(f"cuda:{place}" if isinstance(place, int) else place, "model.device_map")
        folder = cache_folder() / "offload" / content_hash(spec.name, spec.revision)[:12]
        return {"device_map": spec.device_map, "offload_folder": str(folder)}
    return {"device_map": {"": device}} if device.type == "cuda" else {}


def placement_around(lm: PreTrainedModel, spec: ModelSpec) -> Placement:
    """The same for peft, which puts a model of its own around a spread one and places its parts anew."""
    if not is_dispatched(lm):
        return {}
    places: Mapping[str, object] = getattr(lm, "hf_device_map", {})
    placed = {f"base_model.model.{name}": place for name, place in places.items()}
    return {"device_map": placed, "offload_folder": placement(spec, lm.device)["offload_folder"]}


def is_dispatched(lm: PreTrainedModel) -> bool:
    """Whether accelerate moves the model's inputs, so that it may not be moved itself."""
    return len(set(getattr(lm, "hf_device_map", {"": 0}).values())) > 1 or lm.device.type == "meta"


def main_device(lm: PreTrainedModel, device: torch.device) -> torch.device:
    """Where a model takes its inputs and gives its outputs: of a spread one, its first device that computes."""
    places = [place for place in getattr(lm, "hf_device_map", {}).values() if place not in ("cpu", "disk")]
    if not getattr(lm, "hf_device_map", {}):
        return device
    return torch.device(places[0] if places else "cpu")


def use_threads(count: int) -> int:
    """Compute on a CPU with so many threads from here on.

    Returns:
        How many it were before.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    return before


def give_back_memory() -> None:
    """Return the memory of what is no longer used, for the processes that train on the same device and machine."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    # glibc keeps what was freed; other C libraries have no such function, or need none.
    with suppress(OSError, TypeError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def keep_freed_memory() -> bool:
    """Let glibc keep up to a gigabyte that was freed, for what is allocated next.

    Each layer of a pass on a CPU allocates and frees tensors of some megabytes. By default glibc returns their memory
    to the system and takes it back, a page at a time, layer by layer (`man 3 mallopt`). What is larger than 32 MB is
    returned as before, and `give_back_memory` returns all.

    Returns:
        Whether it was said; other C libraries have no such function.
    """
    with suppress(OSError, TypeError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        # The first changes what the second is by default, so both are said.
        return bool(mallopt(M_MMAP_THRESHOLD, 32 << 20)) and bool(mallopt(M_TRIM_THRESHOLD, 1 << 30))
    return False


def threads() -> int:
    """How many threads torch computes with, which what is kept depends on: sums are taken in another order."""
    return torch.get_num_threads()
