"""Measures planning against the straightforward procedure and the bare model, and evaluation against lm-eval's backend.

    bin/bench                 planning, then evaluation
    bin/bench --items 0       planning alone, about six minutes on two CPU cores
    bin/bench --tokens 20000  the paper's token budget in full; the straightforward procedure is still sampled

Prints one JSON object; the ratios are what counts, seconds depend on the machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from bench_evaluation import measure_evaluation

from mixplan.domains import Row
from mixplan.domains.generator import open_generator
from mixplan.features.forward import PACK_TOKENS, packs_of, read_prefix
from mixplan.features.measure import measure_unit
from mixplan.features.queries import Reading, Unit, plan_reading
from mixplan.model import Model, load_model, read_stream
from mixplan.recipe import DataSpec, ModelSpec, SaeSpec
from mixplan.sae import Sae, load_sae

DEMONSTRATION_TOKENS = 1000
"""Of one demonstration; two of them make the paper's shape of about 2,000 tokens in front of a query."""


def worked_rows(count: int, seed: int, model: Model, *, tokens: int = 0) -> list[Row]:
    """School-maths questions with worked solutions, the solutions joined until a row has so many tokens."""
    generator = open_generator(DataSpec(generator="gsm_symbolic", limit=20 * count if tokens else count), seed)
    entries = [values for _, values in generator.rows()]
    rows = []
    while len(rows) < count:
        first = entries.pop()
        answer = str(first["metadata"]["answer_cot"])
        while tokens and len(model.tokenizer(answer)["input_ids"]) < tokens and entries:
            more = entries.pop()
            answer += f"\n\n{more['question']}\n{more['metadata']['answer_cot']}"
        rows.append(Row(f"row:{len(rows)}", str(len(rows)), (("user", str(first["question"])),), answer))
    return rows


def straightforward(model: Model, sae: Sae, unit: Unit, queries: int) -> tuple[int, float]:
    """All layers, demonstrations read again for every query, dense features kept, then reduced.

    Returns:
        Query tokens read and seconds taken.
    """
    kept = []
    start = time.perf_counter()
    tokens = 0
    for query in unit.queries[:queries]:
        pair = []
        for ids in (query.alone, query.context):
            with torch.inference_mode():
                output = model.lm(
                    input_ids=torch.tensor([ids], device=model.device), output_hidden_states=True, use_cache=False
                )
            pair.append(sae.encode(output.hidden_states[sae.depth][0, -query.count :]))
        kept.append(pair)
        tokens += query.count
    shift = torch.cat([(context - alone) ** 2 for alone, context in kept]).mean(0)
    shift.topk(min(100, len(shift)))
    return tokens, time.perf_counter() - start


def floor(model: Model, depth: int, unit: Unit) -> float:
    """Seconds of the bare model up to the SAE's layer over the strictly needed tokens.

    Each shared prefix once, the unshared tokens of every query twice, the same cache, no padding, no mask, no SAE.
    """
    start = time.perf_counter()
    for kind, prefix in (("alone", unit.alone_prefix), ("context", unit.context_prefix)):
        sequences = [getattr(query, kind) for query in unit.queries]
        cache = read_prefix(model, depth, sequences[0][:prefix], "packed")
        for part in packs_of(unit, PACK_TOKENS.get(model.device.type, 2048)):
            tokens = [token for index in part for token in sequences[index][prefix:]]
            read_stream(model, depth, torch.tensor([tokens]), cache=cache)
            cache.crop(-len(tokens))
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def memory_peak() -> float:
    """Highest resident memory of this process since `forget_peak`, in MB (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def forget_peak() -> float:
    """Start a new measurement of the peak and return the memory now, in MB (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def reading_of(model: Model, tokens: int) -> Reading:
    """The paper's shape: two demonstrations of about 1,000 tokens each in front of every query."""
    demonstrations = worked_rows(4, 1, model, tokens=DEMONSTRATION_TOKENS)
    queries = worked_rows(max(40, tokens // 20), 2, model)
    return plan_reading(model, queries, demonstrations, tokens=tokens, shots=2, draws=2, seed=0)


def help_seconds() -> float:
    """Shortest of five runs of `mixplan --help`, as a whole process."""
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "mixplan", "--help"], check=True, capture_output=True)
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=6000, help="query tokens that mixplan and the floor read")
    parser.add_argument("--queries", type=int, default=8, help="queries that the straightforward procedure reads")
    parser.add_argument("--rounds", type=int, default=3, help="mixplan and floor in turn, so many times")
    parser.add_argument("--items", type=int, default=40, help="rows of each measure that evaluation is timed on")
    parser.add_argument("--device", default="auto", help="as a recipe's model.device")
    given = parser.parse_args()
    result = planning(given.tokens, given.queries, given.rounds, given.device)
    if given.items:
        result["evaluation"] = measure_evaluation(given.items, given.rounds)
    print(json.dumps(result, indent=2))  # noqa: T201 - a script's output


def planning(tokens: int, queries: int, rounds: int, device: str) -> dict[str, Any]:
    """Planning against the straightforward procedure and the floor."""
    spec = ModelSpec(name="embedded", device=device, sae=SaeSpec(embedded=True))
    model = load_model(spec)
    sae = load_sae(spec.sae, model)
    reading = reading_of(model, tokens)
    measure_unit(model, sae, reading.units[0], replicas=50)
    ours, bare = [], []
    before = forget_peak()
    for _ in range(rounds):
        start = time.perf_counter()
        for unit in reading.units:
            measure_unit(model, sae, unit, replicas=50)
        ours.append(time.perf_counter() - start)
        bare.append(sum(floor(model, sae.depth, unit) for unit in reading.units))
    peak = memory_peak() - before
    slow_tokens, slow_seconds = straightforward(model, sae, reading.units[0], queries)
    seconds = min(ours)
    prefix = sum(unit.context_prefix for unit in reading.units) / len(reading.units)
    return {
        "query_tokens": reading.tokens,
        "shared_prefix_tokens": round(prefix),
        "dtype": model.dtype,
        "threads": torch.get_num_threads(),
        "tokens_per_second": round(reading.tokens / seconds, 1),
        "straightforward_tokens_per_second": round(slow_tokens / slow_seconds, 2),
        "times_faster_than_straightforward": round(reading.tokens / seconds / (slow_tokens / slow_seconds), 1),
        "times_the_floor": round(sorted(a / b for a, b in zip(ours, bare, strict=True))[len(ours) // 2], 3),
        "peak_memory_over_model_mb": round(peak, 1),
        "help_seconds": round(help_seconds(), 3),
    }


if __name__ == "__main__":
    main()
