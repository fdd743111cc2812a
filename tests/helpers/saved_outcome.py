"""Builds an outcome.json of realistic shape from a seed; its numbers are random and mean nothing."""

import contextlib
import json
import random
from pathlib import Path
from typing import Any

from saved_plan import D_SAE, NAMES, TOKENS, share_of

from mixplan.saved import Outcome, outcome_hash

PREDICTORS = ("sts_icl", "sts_act", "raw_icl", "raw_act", "low_shift", "total_shift", "outside_shift")
"""Scores of plan.json that are held against the measured changes."""
HEADLINES = {"choice": ("correct", "gold_probability"), "exact": ("score",), "likelihood": ("bits_per_byte",)}
"""Measures with their quantities, the headline quantity first."""
QUALITY = {"correct": 1, "gold_probability": 1, "score": 1, "bits_per_byte": -1, "kl": 0}
HASHES = ("plan", "model", "sae", "trained", "before", "after")
"""`model` is the untrained model's, as in plan.json."""
ARMS = ("none", "uniform", "proportional_to_size", "random", "plan")


def sample(seed: int = 0, domains: int = 12, *, forecast: str = "learned", arms: bool = True) -> dict[str, Any]:
    """Build an outcome that `mixplan report` accepts.

    Args:
        seed: Of the numbers.
        domains: How many.
        forecast: `learned` gives expected changes, `relative` shares of all domains' change, `none` neither.
        arms: Whether `mixplan compare` was run too.
    """
    draw = random.Random(seed)
    names = [NAMES[i] if i < len(NAMES) else f"domain-{i:05d}" for i in range(domains)]
    headlines = [list(HEADLINES)[i % 5 % 3] for i in range(domains)]
    made = {name: domain(draw, headline, forecast) for name, headline in zip(names, headlines, strict=True)}
    for number, (name, headline) in enumerate(zip(names[:4], headlines[:4], strict=True)):
        made[name]["examples"] = [example(name, headline, place) for place in range(3 - number % 2)]
    outcome = {
        "version": 1,
        "mixplan": "0.1.0",
        "name": "quickstart",
        "hashes": {part: f"{draw.getrandbits(256):064x}" for part in HASHES},
        "model": "SmolLM2-135M-Instruct",
        "sae": "embedded",
        "settings": {
            "method": "sft",
            "features": 100,
            "drift_demonstrations": 2,
            "drift_from": "icl",
            "sts_demonstrations": 5,
            "score": "icl",
        },
        "training": training(draw, names),
        "target": {
            "headline": "exact",
            "measures": measures(draw, "exact", 0.08),
            "examples": [example("target", "exact", place) for place in range(3)],
        },
        "domains": made,
        "forecast": {"kind": forecast, "text": "Learned from 3 earlier runs of this model and SAE."},
        "judgement": judgement(draw, domains),
        "drift": drift(draw),
        "arms": comparison(draw, names) if arms else None,
        "summary": [
            "The target's score rose from 31.0 % to 40.2 %: +9.2 points [+5.1, +13.3] over 100 items.",
            f"4 of {domains} domains moved outside their forecast.",
        ],
        "warnings": ["2 rows of law were cut to the longest length that the job reads."],
    }
    values = json.loads(json.dumps(Outcome.model_validate_json(json.dumps(outcome)).values()))
    assert values == outcome, "a key that mixplan does not write"
    return values


def change(draw: random.Random, quantity: str, effect: float) -> dict[str, Any]:
    """One paired change, with the fields of `mixplan.evaluate.compare.Change`."""
    quality = QUALITY[quantity]
    before = 0.0 if quality == 0 else draw.uniform(0.3, 0.7)
    moved = abs(draw.gauss(effect, 0.05)) if quality == 0 else draw.gauss(effect, 0.05)
    half = 0.01 if quality == 0 else draw.uniform(0.02, 0.06)
    changed = abs(moved) > half
    better = "gain" if moved * quality > 0 else "loss"
    return {
        "items": 100,
        "before": before,
        "after": before + moved,
        "change": moved,
        "low": moved - half,
        "high": moved + half,
        "noise": half / 1.96,
        "changed": changed,
        "direction": "none" if not changed else "moved" if quality == 0 else better,
    }


def measures(draw: random.Random, headline: str, effect: float) -> dict[str, Any]:
    """Changes of the headline measure and of behaviour."""
    first = {quantity: change(draw, quantity, effect) for quantity in HEADLINES[headline]}
    return {headline: first, "behaviour": {"kl": change(draw, "kl", 0.1)}}


def domain(draw: random.Random, headline: str, forecast: str) -> dict[str, Any]:
    """One domain's measured changes beside what was expected of them."""
    measured = measures(draw, headline, -0.03)
    quantity = HEADLINES[headline][0]
    found, behaviour = measured[headline][quantity], measured["behaviour"]["kl"]
    learned = forecast == "learned"
    return {
        "headline": headline,
        "measures": measured,
        "expected": expected(draw, headline, quantity, found) if learned else None,
        "expected_behaviour": expected(draw, "behaviour", "kl", behaviour) if learned else None,
        "relative": relative(draw) if forecast == "relative" else None,
        "outside_forecast": None if forecast == "none" else draw.random() < 0.3,
        "predictors": {name: draw.lognormvariate(0, 0.5) for name in PREDICTORS},
    }


def example(name: str, headline: str, place: int) -> dict[str, Any]:
    """One row with the answers that both models gave to it."""
    graded = {} if headline == "likelihood" else {"graded": ["wrong", "right"] if place else ["right", "wrong"]}
    return {
        "row": f"{name}.jsonl:{place}",
        "question": f"What does {name} say of case {place}?\nAnswer in one line.",
        "reference": f"That <b>{place}</b> holds.",
        "before": f"It holds {place} times.",
        "after": "" if place == 2 else f"That {place} holds, of course.",
        **graded,
        "quantity": {"exact": "score", "choice": "gold_probability", "likelihood": "bits_per_byte"}[headline],
        "measured": [0.25, 0.75] if place else [0.9, 0.1],
    }


def expected(draw: random.Random, measure: str, quantity: str, found: dict[str, Any]) -> dict[str, Any]:
    """What the plan expected of one quantity; `sign` is `up`, `down` or None."""
    middle = found["change"] + draw.gauss(0, 0.03)
    low, high = middle - 0.06, middle + 0.06
    if quantity == "kl":
        middle, low = max(0.0, middle), max(0.0, low)
    sign = "up" if low > 0 else "down" if high < 0 else None
    return {"measure": measure, "quantity": quantity, "change": middle, "low": low, "high": high, "sign": sign}


def relative(draw: random.Random) -> dict[str, Any]:
    """A domain's share of all domains' change: as the plan ranked it, and as measured."""
    share, found = draw.uniform(0.04, 0.2), draw.uniform(0.02, 0.25)
    return {
        "measure": "behaviour",
        "quantity": "kl",
        "share": share,
        "low": share * 0.8,
        "high": share * 1.2,
        "measured": found,
        "measured_low": found * 0.7,
        "measured_high": found * 1.3,
    }


def judgement(draw: random.Random, domains: int) -> list[dict[str, Any]]:
    """Each predictor against each measure; over headlines of the same unit (`accuracy`: correct, score and acc)."""
    found = []
    for measure, quantity in (("headline", "accuracy"), ("choice", "correct"), ("behaviour", "kl")):
        for predictor in PREDICTORS:
            r, rho = draw.uniform(-0.2, 0.9), draw.uniform(-0.2, 0.9)
            found.append(
                {
                    "predictor": predictor,
                    "measure": measure,
                    "quantity": quantity,
                    "domains": domains,
                    "pearson": r,
                    "pearson_low": max(-1.0, r - 0.4),
                    "pearson_high": min(1.0, r + 0.2),
                    "pearson_leave_one_out": [max(-1.0, r - 0.15), min(1.0, r + 0.1)],
                    "spearman": rho,
                    "spearman_low": max(-1.0, rho - 0.4),
                    "spearman_high": min(1.0, rho + 0.2),
                    "r2": r * r,
                    "r2_low": 0.0,
                    "r2_high": min(1.0, (abs(r) + 0.2) ** 2),
                }
            )
    return found


def drift(draw: random.Random) -> dict[str, Any]:
    """Predicted against actual drift dimensions; the intervals are those of overlap by chance."""
    tops = sorted({round(D_SAE ** (i / 20)) for i in range(21)})
    return {
        "overlap": 57,
        "of": 100,
        "chance": 2.6,
        "low": 0,
        "high": 6,
        "live": 3817,
        "active_overlap": 41,
        "raw_overlap": 38,
        "raw_of": 100,
        "raw_chance": 17.4,
        "raw_low": 11,
        "raw_high": 24,
        "share_of_shift": 0.31,
        "concentration": [[top, share_of(top)] for top in tops],
        "unexpected": [unexpected(draw, rank) for rank in (214, 388, 1570, None, 109)],
        "query_tokens": 20000,
    }


def unexpected(draw: random.Random, rank: int | None) -> dict[str, Any]:
    """An actual drift dimension that was not predicted; no rank where no demonstration moved it."""
    contexts = [
        {
            "before": "".join(draw.choice(TOKENS) for _ in range(9)),
            "token": draw.choice(TOKENS),
            "after": "".join(draw.choice(TOKENS) for _ in range(5)),
            "activation": draw.uniform(1, 9),
        }
        for _ in range(3)
    ]
    return {
        "feature": draw.randrange(D_SAE),
        "share": draw.uniform(0.002, 0.02),
        "predicted_rank": rank,
        "before": draw.uniform(0, 1),
        "after": draw.uniform(0, 1),
        "contexts": contexts,
    }


def training(draw: random.Random, names: list[str]) -> dict[str, Any]:
    """The job: its curve, and what was consumed beside what was planned."""
    log = [
        {"step": step, "loss": 2 * 0.97**step + draw.uniform(0, 0.1), "learning_rate": 1e-4 * (1 - step / 60)}
        for step in range(1, 61)
    ]
    rows = {name: draw.randint(5, 40) for name in ("target", *names)}
    consumption = {
        name: {
            "planned_rows": count,
            "rows": count,
            "trainable_tokens": count * 40,
            "truncated_rows": 0,
            "dropped_rows": 0,
        }
        for name, count in rows.items()
    }
    return {"method": "sft", "steps": 60, "seconds": 412.5, "log": log, "consumption": consumption}


def comparison(draw: random.Random, names: list[str]) -> dict[str, Any]:
    """The arms of `mixplan compare`, over headlines of one unit, and again over behaviour."""
    return {
        "baseline": "uniform",
        "seeds": [0, 1, 2],
        "steps": 60,
        "quantity": "accuracy",
        "domains": len(names) - 2,
        "arms": {name: arm(draw, name, names, 1) for name in ARMS},
        "behaviour": {
            "quantity": "kl",
            "domains": len(names),
            "arms": {name: arm(draw, name, names, 0) for name in ARMS},
        },
    }


def arm(draw: random.Random, name: str, names: list[str], quality: int) -> dict[str, Any]:
    """One arm: `mean` and `worst` over domains, `against` the difference of its mean from the baseline's."""
    middle = 0.1 if quality == 0 else -0.02
    difference = interval(draw, 0.0)
    better = -1 if quality == 0 else 1
    ends = sorted(better * difference[end] for end in ("low", "high"))
    won, lost = ends[0] > 0, ends[1] < 0
    same = name == "uniform"
    return {
        "seeds": 3,
        "rows": {domain: 0 if name == "none" else draw.randint(5, 40) for domain in names},
        "target": interval(draw, 0.08),
        "target_quantity": "score",
        "target_against": None if same else interval(draw, 0.0),
        "mean": interval(draw, middle),
        "worst": interval(draw, 4 * middle),
        "worst_domain": draw.choice(names),
        "against": None if same else difference,
        "verdict": None if same else "win" if won else "loss" if lost else "tie",
        "by_domain": None if same else {"win": 2, "tie": len(names) - 3, "loss": 1},
    }


def interval(draw: random.Random, middle: float) -> dict[str, float]:
    """A value with its 95 % interval."""
    value = draw.gauss(middle, 0.02)
    return {"value": value, "low": value - 0.02, "high": value + 0.02}


def save(folder: Path, outcome: dict[str, Any]) -> Path:
    """Write an outcome into a run folder, as any JSON writer would."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(KeyError, ValueError):  # some tests save what no hash can be taken of
        outcome["hashes"]["outcome"] = outcome_hash(outcome)
    (folder / "outcome.json").write_text(json.dumps(outcome), encoding="utf-8")
    return folder
