"""A recipe in, its opened domains out; kept by the state of their data, so that a new budget need not read it again."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixplan.domains import Domain, Row, open_domains
from mixplan.domains.locate import file_pattern, locate, python_files
from mixplan.recipe import DataSpec, DomainSpec, LoadedRecipe
from mixplan.runs import cache_folder, canonical_json, content_hash, seal, unseal, write_atomic

VERSION = 4
"""Of how rows are read, split and kept; part of the key."""

PARTS = ("evaluation", "query", "demonstration", "pool")


def opened(loaded: LoadedRecipe) -> tuple[Domain, dict[str, Domain]]:
    """Open the target and all domains, or take them as they were when their data was last read.

    Raises:
        DataError: see `open_domains`.
    """
    place = kept_place(loaded)
    standing = unseal(place) if place else None
    if standing is not None:
        return restored(loaded, json.loads(standing))
    target, domains = open_domains(loaded.recipe, folder=loaded.folder, where=loaded.where)
    place = kept_place(loaded)
    if place:
        write_atomic(place, seal(canonical_json([kept(target), *map(kept, domains.values())]).encode()))
    return target, domains


def kept_place(loaded: LoadedRecipe) -> Path | None:
    """Where the opened domains are kept, or None when their data's state cannot be told."""
    states = []
    for path, spec in [
        (("target",), loaded.recipe.target),
        *((("domains", n), s) for n, s in loaded.recipe.domains.items()),
    ]:
        for key, data in (("data", spec.data), ("demonstrations", spec.demonstrations)):
            if data is not None:
                states.append(data_state(data, loaded.folder((*path, key, "file"))))
    if any(state is None for state in states):
        return None
    sections = {name: loaded.resolved[name] for name in ("target", "domains", "seed")}
    return cache_folder() / "opened" / f"{content_hash(VERSION, sections, states)}.json"


def data_state(spec: DataSpec, folder: Path) -> Any:
    """What changes when the data does: a version, a commit, or files' sizes and times; None when unknown."""
    if spec.generator:
        return importlib.metadata.version("reasoning-gym")
    if spec.hub:
        return hub_state(spec)
    path = locate(spec, folder)
    pattern = file_pattern(spec) if python_files(spec) else "**/*"
    files = sorted(path.glob(pattern)) if path.is_dir() else [path]
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.is_file()]


def hub_state(spec: DataSpec) -> str | None:
    """The commit that the local hub cache holds of a data set's revision."""
    from huggingface_hub import constants

    name = "datasets--" + (spec.hub or "").replace("/", "--")
    reference = Path(constants.HF_HUB_CACHE) / name / "refs" / (spec.revision or "main")
    return reference.read_text(encoding="utf-8").strip() if os.path.isfile(reference) else None


def kept(domain: Domain) -> dict[str, Any]:
    """A domain as JSON values, without its spec."""
    rows = {part: [list(row_values(row)) for row in getattr(domain, part)] for part in PARTS}
    return {
        "name": domain.name,
        "grader": domain.grader,
        "read_rows": domain.read_rows,
        "dropped": domain.dropped,
        "changed": domain.changed,
        "examples": domain.examples,
        "fingerprint": domain.fingerprint,
        **rows,
    }


def row_values(row: Row) -> tuple[Any, ...]:
    """A row's fields in order."""
    return tuple(getattr(row, entry.name) for entry in dataclasses.fields(row))


def restored(loaded: LoadedRecipe, values: list[dict[str, Any]]) -> tuple[Domain, dict[str, Domain]]:
    """Domains from their kept form."""
    specs: Mapping[str, DomainSpec] = loaded.recipe.domains
    target, *rest = values
    domains = {one["name"]: rebuilt(one, specs[one["name"]]) for one in rest}
    return rebuilt(target, loaded.recipe.target), domains


def rebuilt(value: dict[str, Any], spec: DomainSpec) -> Domain:
    """One domain from its kept form."""
    parts: dict[str, Any] = {part: tuple(row_from(entry) for entry in value.pop(part)) for part in PARTS}
    return Domain(spec=spec, **parts, **value)


def row_from(entry: list[Any]) -> Row:
    """A row from its fields in order."""
    values: list[Any] = [tuple(map(tuple, item)) if number == 2 else item for number, item in enumerate(entry)]
    fields: list[Any] = [tuple(item) if isinstance(item, list) else item for item in values]
    return Row(*fields)
