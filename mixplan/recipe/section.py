"""Defines what all sections of a recipe share: strictness, and the types of names and amounts."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
"""A name that is also a file name: letters, digits, `_`, `.`, `-`."""

Positive = Annotated[int, Field(gt=0, le=10**12)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Scalar = str | int | float | bool
Yaml = dict[str, Any]
"""A mapping of a recipe as YAML holds it, keys and values as a person wrote them."""


class Section(BaseModel):
    """What all sections share: frozen, strict types, unknown keys refused."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", defer_build=True)
