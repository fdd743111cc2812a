"""Defines what all parts of saved files share: frozen values of strict types, and the order in which they are written.

A field that a file lacks stays unset and is not written either, so that an older file keeps its bytes when it is
written again.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    WrapSerializer,
    model_serializer,
    model_validator,
)

JsonObject = dict[str, JsonValue]
"""An object of a JSON file whose keys are not mixplan's own, such as a recipe as a person wrote it."""


class Saved(BaseModel):
    """What all parts share: frozen, strict types, finite numbers; keys of later additions are passed over."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="ignore",
        allow_inf_nan=False,
        serialize_by_alias=True,
        validate_by_name=True,
        validate_by_alias=True,
        protected_namespaces=(),
        defer_build=True,
    )

    def values(self) -> JsonObject:
        """As JSON values, in the order of the file."""
        return self.model_dump(exclude_unset=True)

    def fields(self) -> dict[str, object]:
        """The fields that are set, by name, of which a larger part may be made."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}

    @classmethod
    def of_parts(cls, *parts: Saved, **further: object) -> Self:
        """Made of the fields of smaller parts and of further ones."""
        return cls.model_validate({name: value for part in parts for name, value in part.fields().items()} | further)


class AsGiven(Saved):
    """A part of which only some keys have a meaning here; it is written with all that it was read with."""

    given: JsonObject = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _keep(cls, value: Any) -> Any:
        return {**value, "given": value} if isinstance(value, dict) else value

    @model_serializer
    def _written(self) -> JsonObject:
        return self.given


def _in_key_order(value: Any, handler: SerializerFunctionWrapHandler) -> Any:
    return _sorted(handler(value))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(part) for part in value] if isinstance(value, list) else value


KEY_ORDER = WrapSerializer(_in_key_order)
"""Written with sorted keys, as the cache holds scores: a plan's bytes do not tell whether its scores were measured."""


class Interval(Saved):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class Expected(Saved):
    """What earlier runs teach to expect of one quantity's change, in the quantity's unit.

    Attributes:
        measure: Such as `choice`.
        quantity: Such as `correct`; the change is in its unit.
        change: Expected change, after less before.
        low: Lower end of the 95 % interval for what a run will measure.
        high: Its upper end.
        sign: `up` or `down` where the interval leaves 0, None where the runs do not support one, and for `kl`.
    """

    measure: str
    quantity: str
    change: float
    low: float
    high: float
    sign: Literal["up", "down"] | None = None


class Context(Saved):
    """One token in its context, with the feature's activation there, in SAE units."""

    before: str
    token: str
    after: str
    activation: float
