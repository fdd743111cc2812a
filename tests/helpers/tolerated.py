"""Builds verdicts on tolerances, and saved runs that hold them."""

import json
from pathlib import Path
from typing import Any

import saved_outcome
import saved_plan
import saved_run
from wrong_recipes import BASE

from mixplan.recipe import Recipe, load_recipe
from mixplan.saved.tolerances import Gate

REASON = "The interval over 100 rows holds the tolerance; about 250 rows would."
LOSSES = {"pass": (0.5, -0.25, 1.25), "fail": (4.0, 2.5, 5.5), "undecided": (1.5, 0.5, 2.5)}


def entry(domain: str, verdict: str, *, unit: str = "pp", **changed: Any) -> dict[str, Any]:
    """One tolerance of 2 with its verdict."""
    value, low, high = LOSSES[verdict]
    measure = {"pp": "choice", "bits": "likelihood", "nats": "behaviour"}[unit]
    found = {"domain": domain, "amount": 2.0, "unit": unit, "measure": measure, "verdict": verdict}
    found |= {"loss": {"value": value, "low": low, "high": high}, "items": 100}
    return found | ({"reason": REASON, "rows": 250} if verdict == "undecided" else {}) | changed


def gate(*verdicts: str, **changed: Any) -> Gate:
    """Verdicts on the tolerances of domains d0, d1 and so on."""
    return Gate.model_validate({"held": [entry(f"d{n}", one) for n, one in enumerate(verdicts)]} | changed)


def expected(domain: str, breaks: float | None = None, loss: tuple[float, float, float] = (1.0, 0.5, 3.0)) -> dict:
    """What a plan says of a tolerance of 2 pp; nothing of a probability where none is given."""
    known = breaks is not None
    return {"domain": domain, "amount": 2.0, "unit": "pp", "measure": "choice",
            "loss": dict(zip(("value", "low", "high"), loss, strict=True)) if known else None,
            "breaks": breaks, "breaks_without": breaks}  # fmt: skip


def planned(*held: dict, kept: tuple = ((0.5, 240, []), (0.9, None, ["law"]))) -> dict[str, Any]:
    """What a plan says of its tolerances."""
    keys = ("probability", "budget", "short")
    return {"expected": list(held), "kept": [dict(zip(keys, one, strict=True)) for one in kept], "most": 1200,
            "rows_save": {"pp": "100 rows are taken to halve a loss."} if kept else {},
            "assumed": ["pp"] if kept else []}  # fmt: skip


def save(folder: Path, *verdicts: str, arms: dict[str, tuple[str, ...]] | None = None, **changed: Any) -> Path:
    """Write a measured run with a verdict for each of its first domains, and verdicts on arms.

    Args:
        folder: The run's.
        verdicts: Of its domains, in their order.
        arms: Verdicts by arm, over three seeds.
        changed: Further fields of the verdicts.
    """
    plan, outcome = saved_run.values(0)
    names = list(outcome["domains"])

    def held(words: tuple[str, ...]) -> dict[str, Any]:
        return {"held": [entry(name, word) for name, word in zip(names, words, strict=False)]} | changed

    if verdicts:
        outcome["tolerances"] = held(verdicts)
        plan["tolerances"] = planned(*(expected(name) for name in names[: len(verdicts)]), kept=())
    for arm, words in (arms or {}).items():
        outcome["arms"]["arms"][arm]["tolerances"] = held(words)
    saved_plan.save(folder, plan)
    outcome["hashes"]["plan"] = json.loads((folder / "plan.json").read_bytes())["hashes"]["plan"]
    return saved_outcome.save(folder, outcome)


def load_with(tmp_path, monkeypatch, tolerances: str, more: str = "") -> Recipe:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(f"{BASE}{more}tolerances: {tolerances}\n")
    return load_recipe(tmp_path / "recipe.yaml").recipe
