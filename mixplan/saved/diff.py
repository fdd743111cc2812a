"""Defines diff.json key by key, what a training changed without a plan, and writes and reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from mixplan.runs import content_hash, write_json
from mixplan.saved.base_types import Context, Saved
from mixplan.saved.outcome import Measured
from mixplan.saved.read import VERSION, File, own_hash, parsed, refuse_changed
from mixplan.saved.scores import Sae

NAME = "diff.json"
AGAIN = "Compare again with `mixplan diff`."


class Shift(Saved):
    """How far a domain's features moved between two models that read the same query tokens.

    Attributes:
        total: Mean squared change of a token's feature activations, summed over features, in squared SAE units.
        raw: The same of the residual stream, in its own squared units.
        tokens: Query tokens.
        features: The features that moved most, each with its share of `total`.
    """

    total: float
    raw: float
    tokens: int
    features: list[tuple[int, float]]


class ChangedDomain(Measured):
    """A domain's changes, and how far its features moved; None where no SAE was read."""

    shift: Shift | None = None


class MovedFeature(Saved):
    """A feature that training moved.

    Attributes:
        feature: Its index.
        share: Its share of the whole shift, each domain weighing alike.
        domain: Where it moved most.
        domain_share: Its share of that domain's shift.
        before: Its mean activation there before training.
        after: After.
        contexts: The tokens there that fire it most, in the trained model, or in the untrained one where training has
            silenced it.
        silenced: Whether that is so.
    """

    feature: int
    share: float
    domain: str
    domain_share: float
    before: float
    after: float
    contexts: list[Context]
    silenced: bool = False


class Diff(Saved):
    """What a training changed, by domain and by feature.

    Attributes:
        base: The untrained model, as it was given.
        trained: The trained one.
        suite: The domains, as they were given.
        options: What else was asked, as words of the command.
        sae: The SAE that both were read with; None without one.
        without_sae: Why none was; None with one.
        domains: By name.
        features: Those that moved most.
        concentration: How many features hold what share of the shift.
        summary: Whole sentences, the verdict first.
        warnings: What to know before trusting it.
    """

    version: Literal[1] = 1
    mixplan: str = "unknown"
    created: str | None = None
    hashes: dict[str, str]
    base: str
    trained: str
    suite: str
    options: list[str] = Field(default_factory=list)
    dtype: str
    sae: Sae | None = None
    without_sae: str | None = None
    domains: Annotated[dict[str, ChangedDomain], Field(min_length=1)]
    features: list[MovedFeature]
    concentration: list[tuple[int, float]]
    summary: list[str]
    warnings: list[str]


def diff_hash(values: Mapping[str, Any]) -> str:
    """Hash over all that diff.json says but when it was made."""
    hashes = {name: value for name, value in values["hashes"].items() if name != "diff"}
    kept = {name: value for name, value in values.items() if name != "created"}
    return content_hash({**kept, "hashes": hashes})


def write_diff(folder: Path, diff: Diff) -> None:
    """Write diff.json with the hash of its own content.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    hashes = {**diff.hashes, "diff": diff_hash(diff.values())}
    write_json(folder / NAME, diff.model_copy(update={"hashes": hashes}).values())


def read_diff(folder: Path) -> Diff | None:
    """Read and check diff.json.

    Returns:
        None where the folder has none.

    Raises:
        RunError: the file is damaged, foreign, of another version, or changed since it was written.
    """
    saved = File(folder / NAME, "diff", AGAIN)
    if not os.path.lexists(saved.path):
        return None
    data = saved.bytes()
    found = parsed(Diff, data, saved)
    refuse_changed(saved, found.hashes.get("diff"), own_hash(diff_hash, data))
    return found


__all__ = ["VERSION", "ChangedDomain", "Diff", "MovedFeature", "Shift", "read_diff", "write_diff"]
