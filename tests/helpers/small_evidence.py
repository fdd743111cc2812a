"""Writes what studies leave behind for forecasts: evidence on three targets and three domains."""

import json
from pathlib import Path

from mixplan.forecast.earlier_runs import Kind
from mixplan.saved.outcome import Settings

SETTINGS = {"method": "sft", "features": 100, "drift_demonstrations": 2, "drift_from": "icl", "sts_demonstrations": 2}
KIND = Kind("m" * 64, "s" * 64, Settings(**SETTINGS))
SCORES = {"law": 1.0, "code": 2.0, "verse": 4.0}


def evidence_values(title="Eight targets", **changes):
    """What a study leaves: in `big` behaviour moves twice as far as in `small`, always by the score."""
    targets = {
        target: {
            name: {
                "scores": {"sts_icl": score, "sts_act": 1.0},
                "headline": ["choice", "correct", -0.01 * factor * score],
                "behaviour": 0.1 * factor * score,
            }
            for name, score in SCORES.items()
        }
        for target, factor in (("small", 1), ("middle", 1.5), ("big", 2))
    }
    told = {"sts_icl": {"value": 0.456, "low": 0.1, "high": 0.7}, "sts_act": {"value": 0.2, "low": None, "high": None}}
    return {"version": 1, "title": title, "study": "a" * 64, "hashes": {"model": "m" * 64, "sae": "s" * 64},
            "settings": SETTINGS, "seeds": [0, 1], "told": told, "targets": targets} | changes  # fmt: skip


def lay_evidence(place: Path, value) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    (place / "evidence.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return place
