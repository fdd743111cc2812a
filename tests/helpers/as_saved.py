"""Turns JSON values into the typed parts of saved files and back, what a test does not care about filled in."""

import json
from typing import Any

from pydantic import BaseModel

from mixplan.saved.arms import Arm, Arms, ArmsOver
from mixplan.saved.base_types import Saved
from mixplan.saved.outcome import Change, Correlations, Domain, Drift, Judgement, Measured, Relative

CHANGE = {"items": 100, "before": 0.5, "after": 0.5, "change": 0.0, "low": 0.0, "high": 0.0, "noise": 0.0,
          "changed": True, "direction": "moved"}  # fmt: skip
MEASURED = {"headline": None, "measures": {}}
ARM = dict.fromkeys(("target", "target_quantity", "mean", "worst", "worst_domain", "against", "verdict")) | {"seeds": 1}
FILLED: dict[type[BaseModel], dict[str, Any]] = {
    Change: CHANGE,
    Measured: MEASURED,
    Domain: MEASURED | {"expected": None, "outside_forecast": None, "predictors": {}},
    Relative: {"measure": "behaviour", "quantity": "kl", "measured_low": 0.0, "measured_high": 1.0},
    Judgement: dict.fromkeys(Correlations.model_fields),
    Drift: {"live": 90, "share_of_shift": 0.4, "concentration": [], "unexpected": [], "query_tokens": 120},
    Arm: ARM,
    Arms: {"seeds": [0], "steps": 2, "domains": 0, "arms": {}, "quantity": None},
    ArmsOver: {"domains": 0, "arms": {}, "quantity": None},
}


def typed(kind: type[Any], values: Any) -> Any:
    """JSON values as a saved type."""
    return kind.model_validate_json(json.dumps(values))


def filled(kind: type[Any], values: dict[str, Any]) -> Any:
    """The same, of which only some fields are given; changes in `measures` may be given in part too."""
    values = FILLED[kind] | values
    if "measures" in values:
        values["measures"] = {
            measure: {quantity: CHANGE | change for quantity, change in quantities.items()}
            for measure, quantities in values["measures"].items()
        }
    if kind in (Arms, ArmsOver):
        values["arms"] = {name: ARM | arm for name, arm in values["arms"].items()}
    if values.get("behaviour") and kind is Arms:
        moved = FILLED[ArmsOver] | values["behaviour"]
        values["behaviour"] = moved | {"arms": {name: ARM | arm for name, arm in moved["arms"].items()}}
    if values.get("relative"):
        values["relative"] = FILLED[Relative] | values["relative"]
    return typed(kind, values)


def plain(found: Any) -> Any:
    """Saved parts, also in lists and dictionaries, as JSON values."""
    if isinstance(found, Saved):
        return json.loads(json.dumps(found.values()))
    if isinstance(found, dict):
        return {name: plain(value) for name, value in found.items()}
    return [plain(value) for value in found] if isinstance(found, list | tuple) else found
