"""Measures how far bfloat16 and float32 agree on the embedded model: drift dimensions, shift, and two domains' scores.

    bin/bench --agreement               400 query tokens of the target and of each domain; minutes on two CPU cores
    bin/bench --agreement --tokens 4000

The recipe's own rows and demonstrations are read with each type; the SAE encodes in float32 both times. Prints one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import numpy as np

from mixplan.domains import Domain
from mixplan.domains.cached_domains import opened
from mixplan.drift import Drift, drift_dimensions, overlap, predict_drift
from mixplan.features.measure import measure_unit
from mixplan.features.queries import Reading
from mixplan.features.statistics import Columns, Statistics
from mixplan.model import Model, load_model
from mixplan.plan.scores import plan_readings
from mixplan.recipe import Recipe, load_recipe
from mixplan.sae import Sae, load_sae
from mixplan.sts import score_domain

SMALLER_PACK_TOKENS = 64
"""Tokens of a pass when the same type is read in other batches: what differs then is rounding alone."""


def read(model: Model, sae: Sae, reading: Reading, **how: Any) -> list[Statistics]:
    """Statistics of a reading's units."""
    return [measure_unit(model, sae, unit, replicas=1, **how) for unit in reading.units]


def shift_of(parts: list[Statistics]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """`[d_sae]` mean squared change a query token."""
    return np.sum([part.shift for part in parts], axis=0) / sum(int(part.tokens.sum()) for part in parts)


def by_type(dtype: str, recipe: Recipe, target: Domain, domains: dict[str, Domain], *, again: bool) -> dict[str, Any]:
    """Everything compared, with one type of the model."""
    model = load_model(recipe.model.model_copy(update={"dtype": dtype}))
    sae = load_sae(recipe.model.sae, model)
    readings = plan_readings(recipe, model, target, domains)
    start = time.perf_counter()
    parts = read(model, sae, readings["target"])
    drift: Drift = predict_drift(parts, count=recipe.drift.features, seed=recipe.seed)
    columns = Columns(drift.features, drift.low, drift.raw)
    scores = {
        name: score_domain(read(model, sae, readings[name], columns=columns), resamples=100, seed=0).scores
        for name in domains
    }
    seconds = time.perf_counter() - start
    other = read(model, sae, readings["target"], pack_tokens=SMALLER_PACK_TOKENS) if again else parts
    tokens = {name: reading.tokens for name, reading in readings.items()}
    return {"shift": shift_of(parts), "again": shift_of(other), "drift": drift, "scores": scores, "seconds": seconds,
            "tokens": tokens}  # fmt: skip


def compared(left: Any, right: Any, count: int) -> dict[str, Any]:
    """Two shifts: the drift dimensions they share, and how far apart they are, in sum and feature by feature."""
    chosen = [drift_dimensions(shift, count=count) for shift in (left, right)]
    return {
        "shared_drift_dimensions": f"{overlap(*chosen)} of {count}",
        "whole_shift_percent": round(100 * float(right.sum() / left.sum() - 1), 3),
        "summed_differences_percent": round(100 * float(np.abs(left - right).sum() / left.sum()), 3),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=400, help="query tokens of the target and of each domain")
    parser.add_argument("--recipe", default="recipes/quickstart.yaml", help="whose rows are read")
    parser.add_argument("--domains", default="arithmetic,medicine", help="which of its domains")
    given = parser.parse_args()
    sizes = [f"{section}.{key}" for section in ("drift", "sts") for key in (f"query_tokens={given.tokens}", "draws=1")]
    loaded = load_recipe(given.recipe, sizes)
    target, every = opened(loaded)
    domains = {name: every[name] for name in given.domains.split(",")}
    found = {}
    for dtype in ("float32", "bfloat16"):
        print(f"reading in {dtype}", file=sys.stderr)  # noqa: T201 - a script's progress
        found[dtype] = by_type(dtype, loaded.recipe, target, domains, again=dtype == "bfloat16")
    full, half = found["float32"], found["bfloat16"]
    count = loaded.recipe.drift.features
    scores = {
        name: {
            score: round(100 * (half["scores"][name][score].value / full["scores"][name][score].value - 1), 3)
            for score in ("sts_icl", "sts_act")
        }
        for name in domains
    }
    result = {
        "query_tokens": full["tokens"],
        "bfloat16_against_float32": compared(full["shift"], half["shift"], count),
        "bfloat16_against_itself_in_other_batches": compared(half["shift"], half["again"], count),
        "scores_of_bfloat16_above_float32_percent": scores,
        "seconds": {dtype: round(one["seconds"], 1) for dtype, one in found.items()},
    }
    print(json.dumps(result, indent=2))  # noqa: T201 - a script's output


if __name__ == "__main__":
    main()
