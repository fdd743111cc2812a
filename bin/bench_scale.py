"""Measures what large sources, mixtures and allocations take, beside an earlier build where one is given.

    bin/bench --scale                              a source and a mixture of 1,000,000 rows, 10,000 domains
    bin/bench --scale --against OLD --rounds 5     the same by the checkout OLD, rounds in turn
    bin/bench --scale --only source,domains        some of them

Each round is a process of its own. Prints one JSON object of medians: seconds of processor time (the parent's and its
children's), rows a second, and peak megabytes over the imports (Linux).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROWS = 1_000_000
DOMAINS = 10_000

PREAMBLE = """
import gc, json, resource, sys, time
from pathlib import Path

ROWS, DOMAINS, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def spent():
    own, below = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + below.ru_utime + below.ru_stime

def report(began, base, **more):
    print(json.dumps({"seconds": spent() - began, "megabytes": peak() - base, **more}))
"""

SOURCE = """
from mixplan.domains import read_records
from mixplan.recipe import DataSpec

def read(name, **limits):
    return sum(1 for _ in read_records(DataSpec(file=name, **limits), folder=folder, seed=1, columns=["question"]))

read("small" + sys.argv[4], limit=5)
base, began = peak(), spent()
rows = read("large" + sys.argv[4], limit=25_000)
report(began, base, rows=rows)
"""

MIXTURE = """
from mixplan.domains import Domain, Row
from mixplan.mixture import build_mixture
from mixplan.recipe import DataSpec, DomainSpec, MixtureSpec, ModelSpec, SaeSpec, TrainSpec
from mixplan.runs import content_hash

def domain(name, pool):
    rows = tuple(
        Row(id=f"train:{n}", key=content_hash(name, n)[:32], prompt=(("user", f"{name}, question {n}? " * 10),),
            answer=f"answer {n} of {name}. " * 10)
        for n in range(pool)
    )
    spec = DomainSpec(data=DataSpec(hub=f"org/{name}", split="train"), format="prompt_completion", licence="MIT")
    return Domain(name=name, spec=spec, grader="exact", evaluation=(), query=(), demonstration=(), pool=rows,
                  read_rows=pool, fingerprint=name)

def build(target, domains, rows, place):
    return build_mixture(
        target=target, domains=domains, rows=rows, spec=MixtureSpec(), budget_max_repeats=100, train=TrainSpec(),
        model=ModelSpec(name="org/model", sae=SaeSpec(embedded=True)), model_path="org/model", seed=0, folder=place,
    )

few = {"few": domain("few", 10)}
build(domain("target", 10), few, {"few": 10}, folder / "small-mixture")
target, domains = domain("target", 10_000), {f"d{n}": domain(f"d{n}", 1000) for n in range(10)}
share = (ROWS - 10_000) // 10
gc.collect()
base, began = peak(), spent()
made = build(target, domains, dict.fromkeys(domains, share), folder / "mixture")
report(began, base, rows=sum(part.rows for part in made.parts))
"""

ALLOCATION = """
import numpy as np
from mixplan.allocate import DomainDemand, allocate
from mixplan.recipe import AllocateSpec, BudgetSpec

def demands(count):
    rng = np.random.default_rng(0)
    return [
        DomainDemand(f"d{n}", score=score, low=0.8 * score, high=1.2 * score, pool_rows=int(pool),
                     pool_amount=float(pool), mean_row_amount=1.0)
        for n, (score, pool) in enumerate(zip(rng.lognormal(0, 1, count), rng.integers(50, 5000, count), strict=True))
    ]

allocate(demands(10), spec=AllocateSpec(objective="alpha_fair"), budget=BudgetSpec(rows=100))
given = demands(DOMAINS)
base, began = peak(), spent()
made = allocate(given, spec=AllocateSpec(objective="alpha_fair"), budget=BudgetSpec(rows=ROWS))
report(began, base, rows=sum(made.rows.values()))
"""

PARTS = {
    "source": [("a source of JSON lines", SOURCE, ".jsonl"), ("a Parquet source", SOURCE, ".parquet")],
    "mixture": [("a mixture", MIXTURE, "")],
    "domains": [("an allocation with its duals", ALLOCATION, "")],
}


def write_sources(folder: Path, rows: int) -> None:
    """Write a source of so many rows, and one of a few, as JSON lines and as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    chunk = pa.table({"question": [f"What is {n} plus {n}?" for n in range(1000)], "n": list(range(1000))})
    lines = "".join(json.dumps(row) + "\n" for row in chunk.to_pylist())
    for name, chunks in (("small", 1), ("large", rows // 1000)):
        with pq.ParquetWriter(folder / f"{name}.parquet", chunk.schema) as writer:
            writer.write_table(pa.concat_tables([chunk] * chunks))
        with (folder / f"{name}.jsonl").open("w") as file:
            file.writelines([lines] * chunks)


def measured(code: str, ending: str, checkout: Path, folder: Path, sizes: tuple[int, int]) -> dict[str, float]:
    """What one process took."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        for path in folder.glob("*.*"):
            (Path(own) / path.name).symlink_to(path)
        command = [sys.executable, "-c", PREAMBLE + code, *map(str, sizes), own, ending]
        variables = {**os.environ, "PYTHONPATH": str(checkout), "HF_HUB_OFFLINE": "1"}
        ended = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=own)
    if ended.returncode:
        sys.exit(f"{checkout}: {ended.stderr[-2000:]}")
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure in turn, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="A checkout of an earlier build.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--domains", type=int, default=DOMAINS)
    parser.add_argument("--only", default=",".join(PARTS), help="source, mixture and domains, with commas.")
    asked = parser.parse_args()
    checkouts = {"now": Path(__file__).resolve().parent.parent}
    checkouts |= {"before": asked.against.resolve()} if asked.against else {}
    printed: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_sources(folder, asked.rows)
        for name, code, ending in (part for key in asked.only.split(",") for part in PARTS[key]):
            rounds: dict[str, list[dict[str, float]]] = {which: [] for which in checkouts}
            for _ in range(asked.rounds):
                for which, checkout in checkouts.items():
                    rounds[which].append(measured(code, ending, checkout, folder, (asked.rows, asked.domains)))
            printed[name] = {which: medians(found, asked.rows) for which, found in rounds.items()}
            if "before" in rounds:
                before, now = printed[name]["before"], printed[name]["now"]
                printed[name]["ratio"] = {
                    key: round(now[key] / before[key], 3) for key in ("seconds", "megabytes") if before[key]
                }
            sys.stderr.write(f"{name}: {json.dumps(printed[name])}\n")
    sys.stdout.write(json.dumps(printed, indent=2) + "\n")


def medians(rounds: list[dict[str, float]], rows: int) -> dict[str, float]:
    """The medians of the rounds' figures."""
    found = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
    return {key: round(value, 2) for key, value in found.items()} | {
        "thousand_rows_a_second": round(rows / found["seconds"] / 1000, 1)
    }


if __name__ == "__main__":
    main()
