"""Describes the model and the scores of a reading, with an SAE or without, as parts of plan.json."""

from __future__ import annotations

from mixplan.domains import Domain
from mixplan.model import Checked, Model, chat_template
from mixplan.reading.tokenizer import tokens_of
from mixplan.runs import content_hash
from mixplan.saved import scores as saved
from mixplan.saved.base_types import Interval
from mixplan.sts import Score

ROWS_COUNTED = 200
"""Pool rows whose tokens are counted for a budget in tokens; the rows are in seeded order."""


def describe_model(model: Model, checked: Checked) -> saved.Model:
    """The model, for the plan."""
    return saved.Model(
        name=model.name,
        dtype=model.dtype,
        why_dtype=model.why_dtype,
        device=str(model.device),
        parameters=model.parameters,
        hash=model.weights,
        config=model.config,
        settings=model.settings,
        chat_template=content_hash(chat_template(model).source),
        template_date=model.template_date,
        reading=checked.way,
    )


def interval_of(score: Score) -> Interval:
    """A score, for the plan."""
    return Interval(value=score.value, low=score.low, high=score.high)


def mean_row_tokens(model: Model, domain: Domain) -> float:
    """Mean tokens of a pool row, prompt and answer through the template, over its first rows.

    Where the pool is kept out of the mixture, its query rows tell as much.
    """
    rows = (domain.pool or domain.query)[:ROWS_COUNTED]
    return sum(tokens_of(model, row) for row in rows) / len(rows) if rows else 1.0
