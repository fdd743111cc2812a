"""Measures what it saves that memory which one layer frees serves the next one (`keep_freed_memory`; glibc, CPU).

    bin/bench --freed [--rounds 5] [--dtype float32,bfloat16] [--passes 20] [--prefix 700] [--length 48]

Random tokens through the embedded model up to its SAE's block, in packed passes behind a shared prefix, each way in a
fresh process and in turn. Prints one JSON object: medians of processor seconds, of pages taken anew and of peak memory,
and of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
from typing import Any

import torch

import mixplan.model.load
from mixplan.features.forward import PACK_TOKENS, read_packed, read_prefix
from mixplan.model import load_model
from mixplan.model.families import text_config
from mixplan.recipe import ModelSpec

DEPTH = 20
WAYS = ("kept", "returned")


def work(way: str, dtype: str, passes: int, prefix: int, length: int) -> dict[str, float]:
    """Processor seconds, pages and peak memory of so many passes in this process, libraries and model apart."""
    if way == "returned":
        mixplan.model.load.keep_freed_memory = lambda: False  # type: ignore[attr-defined]
    model = load_model(
        ModelSpec.model_validate({"name": "embedded", "dtype": dtype, "device": "cpu", "sae": {"embedded": True}})
    )
    generator = torch.Generator().manual_seed(0)
    vocabulary = int(text_config(model.lm).vocab_size)

    def drawn(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(vocabulary, (count,), generator=generator).tolist())

    shared = drawn(prefix)
    texts = [(*shared, *drawn(length)) for _ in range(PACK_TOKENS["cpu"] // length)]
    with torch.inference_mode():
        cache = read_prefix(model, DEPTH, shared, "packed")
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(passes):
        read_packed(model, DEPTH, texts, [length] * len(texts), prefix, cache, parts=True)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "processor_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "pages_anew": after.ru_minflt - before.ru_minflt,
        "peak_mb": after.ru_maxrss / 1024,
    }


def compared(given: argparse.Namespace, dtype: str) -> dict[str, Any]:
    """One type's medians, of both ways and of their ratios."""
    taken: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(given.rounds):
        for way in WAYS:
            numbers = map(str, (given.passes, given.prefix, given.length))
            asked = [sys.executable, __file__, "--worker", way, dtype, *numbers]
            done = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True)
            taken[way].append(json.loads(done.stdout))
    parts = taken["kept"][0]
    return {
        **{way: {part: round(statistics.median(one[part] for one in taken[way]), 1) for part in parts} for way in WAYS},
        "kept_over_returned": {
            part: round(statistics.median(a[part] / max(b[part], 1) for a, b in zip(*taken.values(), strict=True)), 3)
            for part in parts
        },
    }


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--worker"]:
        way, dtype, *numbers = sys.argv[2:]
        print(json.dumps(work(way, dtype, *map(int, numbers))))  # noqa: T201 - read by the other process
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="each way in turn, so many times")
    parser.add_argument("--dtype", default="float32,bfloat16", help="types of the model, one after the other")
    parser.add_argument("--passes", type=int, default=20, help="passes in each process")
    parser.add_argument("--prefix", type=int, default=700, help="tokens of the shared beginning")
    parser.add_argument("--length", type=int, default=48, help="tokens of each text behind it")
    given = parser.parse_args()
    found = {dtype: compared(given, dtype) for dtype in given.dtype.split(",")}
    result = {"threads": torch.get_num_threads(), "rounds": given.rounds, **found}
    print(json.dumps(result, indent=2))  # noqa: T201 - a script's output


if __name__ == "__main__":
    main()
