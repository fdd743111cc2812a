"""Defines the recipe's section `forecast`: what a forecast learns from, and the pilot that it may rest on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from mixplan.recipe.lines import KeyPath
from mixplan.recipe.section import Name, Positive, Section, Yaml
from mixplan.recipe.suggest import did_you_mean


class PilotSpec(Section):
    """A short training on the target alone, by which the plan's forecast is made."""

    steps: Positive | None = Field(
        default=None,
        description="Optimiser steps; a tenth of the job's on its target's rows when not given, and no fewer than 3.",
    )
    domains: Annotated[list[Name], Field(min_length=1)] | Literal["auto"] = Field(
        default="auto",
        description="What the pilot is measured on; `auto` chooses the three to ten domains that tell most of the "
        "others in earlier targets.",
    )
    rows: Annotated[int, Field(ge=2, le=10**12)] | None = Field(
        default=None, description="At most so many evaluation rows a domain; `evaluate.rows` when not given."
    )


class ForecastSpec(Section):
    """What a forecast learns from."""

    from_: Literal["runs", "pilot"] = Field(
        default="runs",
        alias="from",
        description="What behaviour is forecast from: the plan's scores and earlier runs, or a pilot of the job that "
        "is trained and measured first.",
    )
    runs: list[str] | None = Field(
        default=None,
        description="Earlier run folders, or patterns such as `runs/*`, relative to the YAML; those beside this run "
        "when not given. An empty list learns from none.",
    )
    pilot: PilotSpec = Field(default_factory=PilotSpec)

    @model_serializer(mode="wrap")
    def as_read(self, written: SerializerFunctionWrapHandler) -> Yaml:
        """The section without what is not read where no pilot is asked for, so that earlier plans keep their hashes."""
        values: Yaml = written(self)
        values.pop("from_", None)
        if self.from_ == "runs":
            return {key: value for key, value in values.items() if key not in ("from", "pilot")}
        return {"from": self.from_} | {key: value for key, value in values.items() if key != "from"}


def unfit_forecast(
    forecast: ForecastSpec, method: str | None, domains: Mapping[str, object]
) -> Iterator[tuple[KeyPath, str]]:
    """What a forecast from a pilot cannot be made of.

    Args:
        forecast: The section.
        method: The recipe's `train.method`; None where that section is not valid itself.
        domains: The recipe's domains by name; empty where they are not known.

    Yields:
        A key path and what is wrong there, with a remedy.
    """
    if forecast.from_ == "runs" and "pilot" in forecast.model_fields_set:
        yield ("forecast", "pilot"), "only `forecast.from: pilot` reads it. Add `from: pilot`, or leave `pilot` out."
    if forecast.from_ == "runs":
        return
    if method == "grpo":
        yield (
            ("forecast", "from"),
            "`pilot` trains with SFT, and `train.method` is grpo: how far a GRPO pilot says what its job changes was "
            "never measured. Leave it out, or predict the features that it moves with `drift.from: reward_step` or "
            "`drift.from: checkpoint`.",
        )
    names = forecast.pilot.domains
    for number, name in enumerate(() if names == "auto" else names):
        place: KeyPath = ("forecast", "pilot", "domains", number)
        if domains and name not in domains:
            yield place, f"there is no domain {name!r}.{did_you_mean(name, domains)}"
        if name in names[:number]:
            yield place, f"{name!r} is there twice. Remove one."
