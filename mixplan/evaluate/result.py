"""What an evaluation measured, as values, and the JSON file that holds it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixplan.errors import RunError
from mixplan.runs import translated, write_json

VERSION = 1

QUALITY = {
    "correct": 1,
    "gold_probability": 1,
    "score": 1,
    "bits_per_byte": -1,
    "kl": 0,
    "acc": 1,
    "brier_score": -1,
    "ter": -1,
}
"""Whether more of a quantity is better (1), worse (-1), or neither (0); a task's metric not named here is better."""


@dataclass(frozen=True)
class Measured:
    """One measure on one domain's items.

    Attributes:
        measure: `choice`, `exact`, `likelihood`, `behaviour` or `lm_eval`.
        rows: The items' row ids, in order.
        values: Numbers by quantity, one an item; the first quantity is the measure's headline.
        texts: Texts by name, one an item, such as `outcome` and `answer` of `exact`.
    """

    measure: str
    rows: tuple[str, ...]
    values: dict[str, tuple[float, ...]]
    texts: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Evaluation:
    """One model, measured on every domain's held-out rows.

    Attributes:
        model: `name`, `hash` (of its weights), `dtype`, `device`, and `reused`, how many measures were taken over
            from other types, by type, where any were.
        domains: By domain (`target` among them when it has evaluation rows, and `target.NAME` for each of several
            sources), by measure.
        headlines: The measure that stands for a domain, by domain.
        floors: By domain, where its accuracy cannot show a loss: the values of a `mixplan.evaluate.floors.Floor`.
    """

    model: dict[str, Any]
    domains: dict[str, dict[str, Measured]]
    headlines: dict[str, str]
    floors: dict[str, dict[str, Any]] = field(default_factory=dict)


def quality(quantity: str) -> int:
    """Whether more of a quantity is better (1), worse (-1), or neither (0)."""
    return QUALITY.get(quantity, 1)


def write_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Write an evaluation as JSON, atomically.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    domains = {
        name: {
            "headline": evaluation.headlines[name],
            "measures": {measure: as_json(measured) for measure, measured in measures.items()},
            **({"floor": evaluation.floors[name]} if name in evaluation.floors else {}),
        }
        for name, measures in evaluation.domains.items()
    }
    write_json(path, {"version": VERSION, "model": evaluation.model, "domains": domains})


def read_evaluation(path: Path) -> Evaluation:
    """Read an evaluation back.

    Raises:
        RunError: the file is not there, damaged, or of another version.
    """
    try:
        with translated(path):
            value = json.loads(path.read_bytes())
        if value["version"] != VERSION:
            raise RunError(
                f"{path}: an evaluation of version {value['version']}; this mixplan reads version {VERSION}. "
                "Evaluate again with `mixplan eval`."
            )
        return Evaluation(
            model=dict(value["model"]),
            domains={
                name: {measure: from_json(measure, entry) for measure, entry in domain["measures"].items()}
                for name, domain in value["domains"].items()
            },
            headlines={name: str(domain["headline"]) for name, domain in value["domains"].items()},
            floors={name: dict(domain["floor"]) for name, domain in value["domains"].items() if "floor" in domain},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path}: this is not a whole evaluation. Evaluate again with `mixplan eval`.") from error


def as_json(measured: Measured) -> dict[str, Any]:
    """A measure's items as JSON values."""
    return {"rows": list(measured.rows), "values": measured.values, "texts": measured.texts}


def from_json(measure: str, value: dict[str, Any]) -> Measured:
    """A measure's items from their JSON values.

    Raises:
        ValueError: a quantity or text does not have one entry for each row.
    """
    rows = tuple(map(str, value["rows"]))
    values = {name: tuple(map(float, entry)) for name, entry in value["values"].items()}
    texts = {name: tuple(map(str, entry)) for name, entry in value["texts"].items()}
    if not values or any(len(entry) != len(rows) for entry in (*values.values(), *texts.values())):
        raise ValueError(f"{measure}: one entry a row is expected")
    return Measured(measure, rows, values, texts)
