"""Holds what an evaluation measured, and writes and reads the JSON file of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from mixplan.runs import canonical_json, content_hash, write_json
from mixplan.saved.base_types import Saved
from mixplan.saved.outcome import Floor
from mixplan.saved.read import VERSION, File, parsed

AGAIN = "Evaluate again with `mixplan eval`."
"""An evaluation may lie in a run, an arm or a study, so that its run is not known from its place."""

QUALITY = {
    "correct": 1,
    "gold_probability": 1,
    "score": 1,
    "bits_per_byte": -1,
    "kl": 0,
    "acc": 1,
    "acc_norm": 1,
    "exact_match": 1,
    "accuracy": 1,
    "bits_per_word": -1,
    "bits_per_item": -1,
    "perplexity": -1,
    "word_perplexity": -1,
    "byte_perplexity": -1,
    "wer": -1,
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
        better: Whether more is better (1), worse (-1) or neither (0), by quantity, where its harness says so.
    """

    measure: str
    rows: tuple[str, ...]
    values: dict[str, tuple[float, ...]]
    texts: dict[str, tuple[str, ...]]
    better: dict[str, int] = field(default_factory=dict)

    def quality(self, quantity: str) -> int:
        """Whether more of a quantity is better (1), worse (-1), or neither (0).

        Where its harness says nothing, a quantity of a known name has the side that it has elsewhere.
        """
        stated = self.better.get(quantity)
        return stated if stated is not None and (stated or quantity not in QUALITY) else quality(quantity)


class EvaluatedModel(Saved):
    """The model that was measured.

    Attributes:
        name: As the recipe has it; None of a training that another machine measured.
        hash: Of its weights.
        dtype: Its compute type.
        device: Where it ran; None likewise.
        reused: How many measures were taken over from other types, by type; unset where none was.
    """

    name: str | None = None
    hash: str
    dtype: str
    device: str | None = None
    reused: dict[str, int] = Field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """One model, measured on every domain's held-out rows.

    Attributes:
        model: Which model.
        domains: By domain (`target` among them when it has evaluation rows, and `target.NAME` for each of several
            sources), by measure.
        headlines: The measure that stands for a domain, by domain.
        floors: By domain, where its accuracy cannot show a loss.
        asked: By domain and measure, a hash of all that its values depend on beside the model, as far as it is known.
    """

    model: EvaluatedModel
    domains: dict[str, dict[str, Measured]]
    headlines: dict[str, str]
    floors: dict[str, Floor] = field(default_factory=dict)
    asked: dict[str, dict[str, str]] = field(default_factory=dict)


def quality(quantity: str) -> int:
    """Whether more of a quantity is better (1), worse (-1), or neither (0)."""
    return QUALITY.get(quantity, 1)


class MeasuredItems(Saved):
    """One measure's items as they are written; see `Measured`."""

    rows: list[str]
    values_: dict[str, list[float]] = Field(alias="values", min_length=1)
    texts: dict[str, list[str]]
    better: dict[str, int] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_entry_a_row(self) -> Self:
        lengths = {len(entry) for entry in self.values_.values()} | {len(entry) for entry in self.texts.values()}
        if lengths != {len(self.rows)}:
            raise ValueError("one entry a row is expected")
        return self


class EvaluatedDomain(Saved):
    """One domain's headline measure and measures as they are written."""

    headline: str
    measures: dict[str, MeasuredItems]
    floor: Floor | None = None
    asked: dict[str, str] = Field(default_factory=dict)


class EvaluationFile(Saved):
    """An evaluation as it is written."""

    version: Literal[1]
    model: EvaluatedModel
    domains: dict[str, EvaluatedDomain]


def write_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Write an evaluation as JSON, atomically.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    domains = {
        name: {
            "headline": evaluation.headlines[name],
            "measures": {measure: _items(measured) for measure, measured in measures.items()},
            **({"floor": evaluation.floors[name].values()} if name in evaluation.floors else {}),
            **({"asked": evaluation.asked[name]} if evaluation.asked.get(name) else {}),
        }
        for name, measures in evaluation.domains.items()
    }
    write_json(path, {"version": VERSION, "model": evaluation.model.values(), "domains": domains})


def read_evaluation(path: Path) -> Evaluation:
    """Read an evaluation back.

    Raises:
        RunError: the file is not there, damaged, or of another version.
    """
    saved = File(path, "evaluation", AGAIN)
    found = parsed(EvaluationFile, saved.bytes(), saved)
    return Evaluation(
        model=found.model,
        domains={
            name: {measure: measured_of(measure, items) for measure, items in domain.measures.items()}
            for name, domain in found.domains.items()
        },
        headlines={name: domain.headline for name, domain in found.domains.items()},
        floors={name: domain.floor for name, domain in found.domains.items() if domain.floor is not None},
        asked={name: dict(domain.asked) for name, domain in found.domains.items() if domain.asked},
    )


def items_text(measured: Measured) -> str:
    """A measure's items as JSON text, the same for the same items."""
    return canonical_json(_items(measured))


def items_from(measure: str, text: bytes | str) -> Measured:
    """A measure's items from their JSON text.

    Raises:
        ValueError: it is none, or a quantity or text does not have one entry for each row.
    """
    return measured_of(measure, MeasuredItems.model_validate_json(text))


def items_hash(evaluation: Evaluation) -> str:
    """Hash over every item of an evaluation."""
    items = {
        name: {measure: _items(measured) for measure, measured in measures.items()}
        for name, measures in evaluation.domains.items()
    }
    return content_hash(evaluation.model.values(), evaluation.headlines, items)


def _items(measured: Measured) -> dict[str, object]:
    found: dict[str, object] = {"rows": list(measured.rows), "values": measured.values, "texts": measured.texts}
    return found | {"better": measured.better} if measured.better else found


def measured_of(measure: str, items: MeasuredItems) -> Measured:
    """A measure's items as values."""
    return Measured(
        measure,
        tuple(items.rows),
        {name: tuple(entry) for name, entry in items.values_.items()},
        {name: tuple(entry) for name, entry in items.texts.items()},
        items.better,
    )
