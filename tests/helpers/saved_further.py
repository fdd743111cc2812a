"""Makes up what a study with ablations saves beyond its judgement: four targets, five numbers of features."""

from typing import Any

TARGETS = ("t0", "t1", "t2", "t3")


def about(value: float | None, room: float | None = 0.05) -> dict[str, Any]:
    """A figure with as much room to each side."""
    if value is None or room is None:
        return {"value": value, "low": None, "high": None, "targets": len(TARGETS)}
    return {"value": value, "low": value - room, "high": value + room, "targets": len(TARGETS)}


def correlations(icl: float, act: float) -> dict[str, Any]:
    """Pooled scores of both predictors."""
    scores = ("pearson", "spearman", "log_pearson", "centred", "r2", "top3")
    one = {score: {"sts_icl": about(icl, 0.2), "sts_act": about(act, 0.2)} for score in scores}
    return {"all": one, "development": one, "held_out": one}


def view(features: int, overlap: float, chance: float, **more: Any) -> dict[str, Any]:
    """One way to read."""
    found = {
        "features": features,
        "dropped": 0,
        "overlap": about(overlap) | {"by_target": dict.fromkeys(TARGETS, overlap), "live": 2000, "chance": chance,
                                     "chance_high": min(1.0, chance + 0.02)},
        "captured": about(overlap / 2),
        "concentration": about(overlap / 2 + 0.1),
        "correlations": correlations(0.6, 0.1),
    }  # fmt: skip
    return found | more


def with_overlap(entry: dict[str, Any], figure: dict[str, Any]) -> dict[str, Any]:
    """The same with another overlap."""
    return entry | {"overlap": entry["overlap"] | figure}


def ablations() -> dict[str, Any]:
    """ablations.json."""
    own = view(100, 0.55, 0.05)
    return {
        "study": "ab" * 32,
        "asked": {},
        "seeds": [0, 1],
        "quantity": "kl",
        "kept": {"features": 100, "demonstrations": 2, "target_tokens": 4000, "query_tokens": 1000},
        "features": [
            view(10, 0.31, 0.005),
            view(50, 0.5, 0.025),
            own,
            view(1000, 0.53, 0.5),
            view(3000, 1.0, 1.0, correlations=correlations(0.2, -0.3)),
        ],
        "demonstrations": [{"demonstrations": 1} | view(100, 0.4, 0.05), {"demonstrations": 8} | own | {"dropped": 12}],
        "tokens": [{"tokens": 0.25} | view(100, 0.06, 0.05), {"tokens": 1.0} | own],
        "saes": [
            {"sae": None, "hook_name": "blocks.20.hook_resid_post", "d_sae": 4608, "active": 63.9} | own,
            {"sae": "narrow|", "hook_name": "blocks.8.hook_resid_post", "d_sae": 80, "active": 8.0}
            | view(80, 0.2, 0.4),
        ],
        "concentration": {
            f"{target}-{seed}": [[1, 0.05], [10, 0.2 + 0.1 * seed], [100, 0.5], [1000, 0.9], [4608, 1.0]]
            for target in TARGETS
            for seed in (0, 1)
        },
    }  # fmt: skip


def concentration() -> dict[str, Any]:
    """concentration.json; one training is not there."""
    shares = {f"{target}-{seed}": 0.4 + 0.05 * i + 0.01 * seed for i, target in enumerate(TARGETS) for seed in (0, 1)}
    del shares["t3-1"]
    return {"features": 100, "share": shares}


def zeroing() -> dict[str, Any]:
    """zeroing.json: likelihood of two targets, answers graded for one of them."""
    bits = {"untrained": 2.0, "none": 1.0, "drift": 1.5, "predicted": 1.3, "random": 1.01, "matched": 1.2}
    cells: dict[str, Any] = {}
    for number, name in enumerate(("t0-0", "t1-0")):
        cells[name] = {
            condition: {"bits_per_byte": drawn(condition, value)}
            | ({"score": drawn(condition, 1 / value)} if number else {})
            for condition, value in bits.items()
        }
        for condition, value in (("none", 0.0), ("drift", 40.0), ("predicted", 41.0), ("random", 3.0)):
            cells[name][condition]["activation"] = value
        cells[name]["matched"]["activation"] = 41.0 if number else 30.0
    names = ("drift - none", "predicted - none", "random - none", "matched - none", "drift - random",
             "drift - matched", "predicted - random", "predicted - matched")  # fmt: skip
    return {
        "study": "ab" * 32,
        "features": 100,
        "sets": 5,
        "cells": cells,
        "differences": {
            "bits_per_byte": {name: about(0.3, 0.1) for name in names} | {"predicted - matched": about(0.1, 0.2)},
            "score": {name: about(-0.4, None) for name in names} | {"drift - random": about(-0.3, 0.1)},
        },
    }


def drawn(condition: str, value: float) -> dict[str, Any]:
    """A condition's figure; over sets where they were drawn."""
    many = condition in ("random", "matched")
    return {"values": [value] * (5 if many else 1)} | about(value, 0.01 if many else None)


def labelled() -> dict[str, Any]:
    """labelled.json; the last target has no features of its own."""

    def recall(value: float, matched: float) -> dict[str, Any]:
        return {"recall": value, "chance": 0.25, "chance_high": 0.33, "matched": matched, "live": 2000.0}

    sides = {"actual": (0.8, 0.6), "predicted": (0.7, 0.68)}
    targets: dict[str, Any] = {
        name: {"labelled": 100, "features": [7, 9], **{which: recall(*both) for which, both in sides.items()}}
        for name in TARGETS[:3]
    }
    nothing = dict.fromkeys(("recall", "chance", "chance_high", "matched")) | {"live": 50}
    targets["t3"] = {"labelled": 0, "features": [], "predicted": nothing, "actual": nothing}
    means = {
        which: {"recall": about(here), "matched": about(alike), "difference": about(here - alike, 0.1), "chance": 0.25}
        for which, (here, alike) in sides.items()
    }
    head = {"study": "ab" * 32, "seeds": [0, 1]}
    return head | {"labelled": 100, "movers": 500, "least_firing": 0.005, "targets": targets, **means}


def further() -> dict[str, Any]:
    """Everything, by name."""
    return {
        "concentration": concentration(), "ablations": ablations(), "zeroing": zeroing(), "labelled": labelled(),
    }  # fmt: skip
