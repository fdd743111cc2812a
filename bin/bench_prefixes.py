"""Measures reading behind a shared prefix: attention in parts, under a mask, and the matrix products alone.

    bin/bench --prefixes [--rounds 5] [--dtype float32,bfloat16] [--prefix 2396] [--queries 32] [--length 64]

Random tokens through the embedded model up to its SAE's block, in packed passes of the size that a plan takes. Ways
take turns within a round; the medians of their rounds' ratios are printed as one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import torch
from torch import Tensor, nn

from mixplan.features.forward import PACK_TOKENS, read_packed, read_prefix
from mixplan.model import Model, load_model
from mixplan.model.families import text_config
from mixplan.recipe import ModelSpec, SaeSpec

DEPTH = 20


def products(model: Model, depth: int, tokens: int) -> float:
    """Seconds of every linear layer of the first blocks over so many tokens, and of nothing else."""
    layers = [part for block in model.blocks[:depth] for part in block.modules() if isinstance(part, nn.Linear)]
    given = {
        width: torch.randn(1, tokens, width, dtype=layers[0].weight.dtype, device=model.device)
        for width in {layer.in_features for layer in layers}
    }
    start = time.perf_counter()
    with torch.inference_mode():
        for layer in layers:
            layer(given[layer.in_features])
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def compared(dtype: str, device: str, rounds: int, prefix: int, queries: int, length: int) -> dict[str, Any]:
    """One type's ratios, and the largest difference between the two ways."""
    model = load_model(ModelSpec(name="embedded", dtype=dtype, device=device, sae=SaeSpec(embedded=True)))
    generator = torch.Generator().manual_seed(0)
    vocabulary = int(text_config(model.lm).vocab_size)

    def drawn(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(vocabulary, (count,), generator=generator).tolist())

    shared = drawn(prefix)
    texts = [(*shared, *drawn(length)) for _ in range(queries)]
    at_once = max(1, PACK_TOKENS.get(model.device.type, 2048) // length)
    with torch.inference_mode():
        cache = read_prefix(model, DEPTH, shared, "packed")

    def read(parts: bool) -> tuple[float, Tensor]:
        start, found = time.perf_counter(), []
        for first in range(0, queries, at_once):
            part = texts[first : first + at_once]
            found.append(read_packed(model, DEPTH, part, [length] * len(part), prefix, cache, parts=parts))
        streams = torch.cat(found).float().cpu()
        return time.perf_counter() - start, streams

    seconds: dict[str, list[float]] = {"mask": [], "parts": [], "products": []}
    difference = 0.0
    for _ in range(rounds):
        under_mask, masked = read(False)
        in_parts, parted = read(True)
        seconds["mask"].append(under_mask)
        seconds["parts"].append(in_parts)
        passes = range(0, queries, at_once)
        seconds["products"].append(sum(products(model, DEPTH, min(at_once, queries - one) * length) for one in passes))
        difference = max(difference, float(((parted - masked).norm(dim=1) / masked.norm(dim=1)).max()))

    def ratio(above: str, below: str) -> float:
        return round(statistics.median(a / b for a, b in zip(seconds[above], seconds[below], strict=True)), 2)

    return {
        "tokens_per_second": {
            way: round(queries * length / statistics.median(taken), 1) for way, taken in seconds.items()
        },
        "parts_faster_than_mask": ratio("mask", "parts"),
        "parts_times_the_products": ratio("parts", "products"),
        "mask_times_the_products": ratio("mask", "products"),
        "largest_difference_of_a_token": f"{difference:.1e}",
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="each way in turn, so many times")
    parser.add_argument("--dtype", default="float32,bfloat16", help="types of the model, one after the other")
    parser.add_argument("--device", default="auto", help="as a recipe's model.device")
    parser.add_argument("--prefix", type=int, default=2396, help="tokens of the shared beginning")
    parser.add_argument("--queries", type=int, default=32, help="texts behind it")
    parser.add_argument("--length", type=int, default=64, help="tokens of each")
    given = parser.parse_args()
    result: dict[str, Any] = {"threads": torch.get_num_threads(), **{
        dtype: compared(dtype, given.device, given.rounds, given.prefix, given.queries, given.length)
        for dtype in given.dtype.split(",")
    }}  # fmt: skip
    print(json.dumps(result, indent=2))  # noqa: T201 - a script's output


if __name__ == "__main__":
    main()
