"""Checks that what plans a recipe's rows can be read: scores of SAE features with an SAE, the others without."""

from __future__ import annotations

from collections.abc import Iterator

from mixplan.recipe.lines import KeyPath
from mixplan.recipe.reading_spec import WITH_SAE, WITHOUT_SAE, DriftSpec, StsSpec
from mixplan.recipe.spec import ModelSpec


def scored_otherwise(model: ModelSpec, drift: DriftSpec | None, sts: StsSpec | None) -> Iterator[tuple[KeyPath, str]]:
    """What `sts.score` and `drift.from` ask for that the recipe's SAE, or its absence, does not give.

    Args:
        model: The recipe's model.
        drift: Its section on drift; None where that is not valid itself.
        sts: Its section on scores; likewise.

    Yields:
        A key path and what is wrong there, with a remedy.
    """
    without = model.sae_spec is None
    given = sts.score if sts is not None and "score" in sts.model_fields_set else None
    if without and given in WITH_SAE:
        yield (
            ("sts", "score"),
            f"`{given}` is made of an SAE's features, and `model.sae` is none. Remove it, or write "
            f"{' or '.join(WITHOUT_SAE)}.",
        )
    if not without and given in WITHOUT_SAE:
        yield (
            ("sts", "score"),
            f"`{given}` plans where there is no SAE (`model.sae: none`), and this recipe has one. Remove it, or write "
            f"{' or '.join(WITH_SAE)}.",
        )
    if without and drift is not None and drift.from_ != "icl":
        yield (
            ("drift", "from"),
            f"`{drift.from_}` predicts which SAE features the job moves, and `model.sae` is none. Remove it, or name "
            "an SAE.",
        )
    for name, section in (("drift", drift), ("sts", sts)):
        if section is not None:
            yield from _read_to_order(name, section, without=without)


def _read_to_order(name: str, section: DriftSpec | StsSpec, *, without: bool) -> Iterator[tuple[KeyPath, str]]:
    """What `query_tokens: auto` asks for, and `most_tokens` of it."""
    automatic = section.query_tokens == "auto"
    if automatic and without:
        yield (
            (name, "query_tokens"),
            "`auto` reads until an SAE's features settle the plan, and `model.sae` is none. Give a number, or name an "
            "SAE.",
        )
    if "most_tokens" in section.model_fields_set and not automatic:
        yield (
            (name, "most_tokens"),
            f"it bounds `query_tokens: auto`, and `{name}.query_tokens` is {section.query_tokens}. Remove one of the "
            "two.",
        )
