"""Builds a plan.json of realistic shape from a seed; its numbers are random and mean nothing."""

import contextlib
import hashlib
import json
import math
import random
from pathlib import Path
from typing import Any

from mixplan.saved import Plan, plan_hash

NAMES = (
    *("arithmetic", "algebra", "geometry", "law", "medicine", "spelling", "translation", "summaries"),
    *("coding", "puzzles", "games_of_strategy", "history", "logic", "sentiment", "dialogue", "reading_comprehension"),
)
TOKENS = (
    *(" plaintiff", " verdict", " therefore", " equals", " dose", "\n", " court", " ∑", "def", "return"),
    *(" heißt", " 東京", " مرحبا", " north", " however", " because", " 42", ").", "\t", " step"),
)
D_SAE = 4608


def sample(seed: int = 0, domains: int = 16) -> dict[str, Any]:
    """Build a plan that `mixplan report` accepts."""
    draw = random.Random(seed)
    names = [NAMES[i] if i < len(NAMES) else f"domain-{i:05d}" for i in range(domains)]
    chosen = {name: domain(draw) for name in names}
    target = data(splits(draw), {"duplicate": 3, "in evaluation of law": 1}, None)
    libraries = {"torch": "2.13.0", "transformers": "5.23.0", "sae-lens": "6.54.0", "cvxpy": "1.9.0"}
    parts = ("recipe", "data", "model", "sae", "mixture", "plan")
    plan = {
        "version": 1,
        "mixplan": "0.1.0",
        "name": "quickstart",
        "created": None,
        "hashes": {part: hashlib.sha256(part.encode()).hexdigest() for part in parts},
        "libraries": libraries,
        "model": {
            "name": "SmolLM2-135M-Instruct",
            "dtype": "float32",
            "device": "cpu",
            "why_dtype": "float32 measured 1.9 times faster than bfloat16",
            "parameters": 134515008,
            "hash": "m" * 64,
        },
        "sae": {
            "name": "embedded",
            "kind": "jumprelu",
            "hook_name": "blocks.19.hook_resid_post",
            "layer": 19,
            "d_in": 576,
            "d_sae": D_SAE,
            "hash": "s" * 64,
            "health": {"fvu": 0.214, "l0": 32.1, "dead_share": 0.051, "tokens": 20000, "fits": True},
        },
        "warnings": ["9 rows longer than the model's window lost their second demonstration."],
        "target": {**target, "query_tokens": 20000, "demonstration_tokens_mean": 310.2},
        "drift": drift(draw),
        "score": "icl",
        "domains": chosen,
        "ranking": {"stability": 0.91, "of": "mean Spearman correlation between bootstrap resamples' rankings"},
        "allocation": allocation(chosen, 220),
        "forecast": {"kind": "relative", "text": "No measured runs yet: the forecast ranks domains and has no unit."},
        "mixture": mixture(),
        "seconds": {"open": 1.2, "target": 61.3, "domains": 140.8, "allocate": 0.2, "mixture": 1.9},
        "tokens": {"query": 180000, "demonstration": 95000},
    }
    return with_hash(plan)


def with_hash(plan: dict[str, Any]) -> dict[str, Any]:
    """As the code writes a plan of these values, every one of which has to be one that it knows."""
    values = json.loads(json.dumps(Plan.model_validate_json(json.dumps(plan)).values()))
    assert values == plan
    values["hashes"]["plan"] = plan_hash(values)
    return values


def mixture() -> dict[str, Any]:
    return {
        "format": 4,
        "method": "sft",
        "hash": hashlib.sha256(b"mixture").hexdigest(),
        "inputs": hashlib.sha256(b"inputs").hexdigest(),
        "rows": 1040,
        "files": {},
        "parts": [],
        "warnings": [],
        "folder": "mixture",
        "config": "mixture/sft.yaml",
        "target_rows": 820,
    }


def data(rows: dict[str, int], dropped: dict[str, int], licence: str | None) -> dict[str, Any]:
    return {
        "rows": rows,
        "read_rows": 1040,
        "dropped": dropped,
        "fingerprint": "f" * 64,
        "grader": "exact",
        "licence": licence,
    }


def learned(value: dict[str, Any]) -> dict[str, Any]:
    """The same plan with rows planned by expected changes of behaviour, the domain of the lowest score highest."""
    names = sorted(value["domains"], key=lambda name: -value["domains"][name]["sts_icl"]["value"])
    for place, name in enumerate(names, 1):
        change = {
            "measure": "behaviour",
            "quantity": "kl",
            "change": 0.0212 * place,
            "low": 0.0,
            "high": 0.0505 * place,
        }
        risk = {"relative_risk": 0.1, "low": 0.0, "high": 0.2, "expected": {"headline": None, "behaviour": change}}
        value["domains"][name]["forecast"] = risk
    value["forecast"] |= {"kind": "learned", "planned_by": "behaviour"}
    return value


def interval(draw: random.Random, middle: float) -> dict[str, float]:
    value = middle * draw.uniform(0.6, 1.6)
    return {"value": value, "low": value * draw.uniform(0.75, 0.92), "high": value * draw.uniform(1.08, 1.3)}


def splits(draw: random.Random) -> dict[str, int]:
    return {"evaluation": 100, "query": 200, "demonstration": 40, "pool": draw.randint(150, 2000)}


def domain(draw: random.Random) -> dict[str, Any]:
    return {
        "sts_icl": interval(draw, 1.0),
        "sts_act": interval(draw, 14.0),
        "low_shift": interval(draw, 0.02),
        "raw_icl": interval(draw, 31.0),
        "outside_shift": interval(draw, 3.0) if draw.random() > 0.2 else None,
        "query_tokens": 10000,
        "row_tokens_mean": 80.5,
        **data(splits(draw), {"duplicate": draw.randint(0, 40)}, draw.choice(["MIT", "Apache-2.0", None])),
        "forecast": {"relative_risk": 0.14, "low": 0.1, "high": 0.19},
        "why": [reason(draw) for _ in range(5)],
    }


def reason(draw: random.Random) -> dict[str, Any]:
    contexts = [
        {
            "before": "".join(draw.choice(TOKENS) for _ in range(9)),
            "token": draw.choice(TOKENS),
            "after": "".join(draw.choice(TOKENS) for _ in range(5)),
            "activation": draw.uniform(1, 9),
        }
        for _ in range(3)
    ]
    return {"feature": draw.randrange(D_SAE), "share": draw.uniform(0.04, 0.2), "contexts": contexts}


def share_of(top: int) -> float:
    return (1 - math.exp(-6 * (top / D_SAE) ** 0.7)) / (1 - math.exp(-6))


def drift(draw: random.Random) -> dict[str, Any]:
    shifts = sorted((draw.paretovariate(1.5) / 10 for _ in range(100)), reverse=True)
    tops = sorted({round(D_SAE ** (i / 40)) for i in range(41)})
    return {
        "features": [[draw.randrange(D_SAE), shift, draw.uniform(0.4, 1)] for shift in shifts],
        "share_of_shift": share_of(100),
        "concentration": [[top, share_of(top)] for top in tops],
        "draws": 5,
        "stability": 0.87,
        "raw_share_of_shift": 0.4,
    }


def allocation(domains: dict[str, Any], budget: int) -> dict[str, Any]:
    total = sum(domain["sts_icl"]["value"] for domain in domains.values())
    shares = {name: domain["sts_icl"]["value"] / total for name, domain in domains.items()}
    rows = {name: round(share * budget) for name, share in shares.items()}
    ratios = {"target": 820 / (820 + sum(rows.values()))}
    ratios.update({name: count / (820 + sum(rows.values())) for name, count in rows.items()})
    curve = [
        {
            "budget": size,
            "rows": {name: round(share * size) for name, share in shares.items()},
            "remaining_loss": 1 / (1 + size / 240),
            "next_saves": 1 / (240 + size),
            "pays": size < 500,
        }
        for size in (0, 50, 100, 220, 500, 1000)
    ]
    return {
        "unit": "rows",
        "budget": budget,
        "max_repeats": 1,
        "objective": "alpha_fair",
        "rows": rows,
        "amounts": {name: float(count) for name, count in rows.items()},
        "ratios": ratios,
        "uniform": dict.fromkeys(domains, 1 / len(domains)),
        "shares": shares,
        "distance_from_uniform": 0.08,
        "distance_from_size": 0.21,
        "no_better_than_uniform": "The domains' intervals overlap: this plan is no better founded than uniform.",
        "value": 51.2,
        "value_name": "effective rows",
        "expected_loss": 9.1,
        "pays_until": 420.0,
        "solver": "water-filling",
        "status": "optimal",
        "duals": [
            {
                "limit": "budget",
                "step": 1.0,
                "brings": 0.0011,
                "text": "1 row more in budget.rows would lower the expected loss by 0.0011.",
            }
        ],
        "curve": curve,
    }


def save(folder: Path, plan: dict[str, Any]) -> Path:
    """Write a plan into a run folder, as any JSON writer would."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(KeyError, ValueError):  # some tests save what no hash can be taken of
        plan["hashes"]["plan"] = plan_hash(plan)
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    return folder
