"""Walks every key of a recipe, and gives a value to those that only stages after the plan read."""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from mixplan.recipe import Section


def sections(model: type[Section], path: str, dotted: dict[str, list[str]]) -> Iterator[tuple[str, FieldInfo]]:
    """Every leaf key below a section, mappings of sections under the names that the recipe uses."""
    for attribute, field in model.model_fields.items():
        name = field.alias or attribute
        here = f"{path}.{name}" if path else name
        inner = section_of(field.annotation)
        if inner is None:
            yield here, field
        else:
            for below in dotted.get(here, [here]):
                yield from sections(inner, below, dotted)


def section_of(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    if get_origin(annotation) is Annotated:
        return section_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType, dict):
        found = [inner for part in get_args(annotation) if (inner := section_of(part)) is not None]
        return found[0] if found else None
    return None


LATER_STAGES = {
    "train.rewards": "train.rewards={format: 1.0}",
    "train.answer_format": "train.answer_format=yes",
    "train.grader_seconds": "train.grader_seconds=1.0",
    "evaluate.measures": "evaluate.measures={fox: likelihood}",
    "evaluate.also": "evaluate.also=[likelihood]",
    "evaluate.rows": "evaluate.rows=3",
    "evaluate.answer_tokens": "evaluate.answer_tokens=9",
    "evaluate.behaviour_tokens": "evaluate.behaviour_tokens=9",
    "evaluate.resamples": "evaluate.resamples=101",
    "evaluate.tasks": "evaluate.tasks={fox: mmlu}",
    "forecast.runs": "forecast.runs=[earlier]",
    "tolerances": "tolerances={fox: 2 pp}",
    **{
        f"evaluate.during.{key}": "evaluate.during={every: 2, rows: 2, target_rows: 3, tokens: 2, cost: 1.0, "
        "drift: false, stop: {worst_kl: 0.1}, keep: best}"
        for key in ("every", "rows", "target_rows", "tokens", "cost", "drift", "stop.worst_kl", "keep")
    },
}
"""Keys that stages after the plan read; here it is shown only that they leave every artifact of a plan as it is."""

PILOT = ("forecast.from", "forecast.pilot.steps", "forecast.pilot.domains", "forecast.pilot.rows")
"""Keys of what is trained and measured before a plan is made: tests/test_pilot_make.py shows each."""
