"""Opens a recipe's domains, and keeps them by the state of their data, so that a new budget need not read it again."""

from __future__ import annotations

import dataclasses
import operator
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from mixplan.domains.domain import PARTS, Domain, KeyPath, by_name, source_name
from mixplan.domains.hub_cache import read_offline
from mixplan.domains.locate import file_pattern, locate, python_files
from mixplan.domains.rows import Row
from mixplan.domains.section import Already
from mixplan.domains.split import open_domains, open_some, whole
from mixplan.errors import DataError
from mixplan.recipe import DataSpec, DomainSpec, LoadedRecipe
from mixplan.runs import cache_folder, canonical_json, content_hash, store, unseal, version_of

VERSION = 13
"""Of how rows are read, split and kept; part of the key."""


def opened(loaded: LoadedRecipe) -> tuple[Domain, dict[str, Domain]]:
    """Open the target and all domains, or take them as they were when their data was last read.

    Raises:
        DataError: see `open_domains`.
    """
    try:
        standing = as_kept(loaded)
    except DataError:  # said below, with the recipe's line
        standing = None
    if standing is not None:
        return standing
    target, domains = open_domains(loaded.recipe, folder=loaded.folder, where=loaded.where)
    keep(loaded, by_name(target, domains).values())
    return target, domains


def at_hand(loaded: LoadedRecipe, already: Already | None = None) -> tuple[dict[str, Domain], list[DataError]]:
    """Open what needs no download, or take all as it was when its data was last read.

    A hub data set that is whole in the cache is opened where the hub is switched off; elsewhere it may have changed.

    Args:
        loaded: The recipe.
        already: As for `open_some`.

    Returns:
        Target or its sources, and domains, by name, and what is wrong with those that could not be opened.
    """
    recipe = loaded.recipe
    specs = recipe.row_sections
    local = [name for name, (_, spec) in specs.items() if all(map(_at_hand, (spec.data, spec.demonstrations)))]
    try:
        standing = as_kept(loaded)
    except DataError:
        standing = None
    if standing is not None:
        return by_name(*standing), []
    found, problems = open_some(recipe, local, folder=loaded.folder, where=loaded.where, already=already)
    if len(found) == len(specs):
        keep(loaded, found.values())
    return found, problems


def _at_hand(data: DataSpec | None) -> bool:
    return data is None or data.hub is None or read_offline(data)


def as_kept(loaded: LoadedRecipe) -> tuple[Domain, dict[str, Domain]] | None:
    """The target and all domains as they were when their data was last read; None where it has changed since."""
    place = kept_place(loaded)
    standing = unseal(place) if place else None
    return None if standing is None else restored(loaded, from_json(standing, cache_strings="none"))


def keep(loaded: LoadedRecipe, domains: Iterable[Domain]) -> None:
    """Keep the target and all domains by the state of their data, where that can be told."""
    place = kept_place(loaded)
    if place:
        store(place, canonical_json(list(map(kept, domains))).encode())


def kept_place(loaded: LoadedRecipe) -> Path | None:
    """Where the opened domains are kept, or None when their data's state cannot be told."""
    states = []
    for path, spec in loaded.recipe.row_sections.values():
        for key, data in (("data", spec.data), ("demonstrations", spec.demonstrations)):
            if data is not None:
                states.append(data_state(data, loaded.folder((*path, key, "file"))))
    if any(state is None for state in states):
        return None
    sections = {name: loaded.resolved[name] for name in ("target", "domains", "seed")}
    # Splits that are not given leave so many rows for demonstrations.
    shown = [loaded.recipe.drift.demonstrations, loaded.recipe.sts.demonstrations]
    return cache_folder() / "opened" / f"{content_hash(VERSION, sections, states, shown)}.json"


def data_state(spec: DataSpec, folder: Path) -> Any:
    """What changes when the data does: a version, a commit, or files' places, sizes and times; None when unknown.

    Copies and archives keep the time of a file's content, so the time of its last change of any kind counts too.
    """
    if spec.generator:
        return version_of("reasoning-gym")
    if spec.hub:
        return hub_state(spec)
    path = locate(spec, folder)
    pattern = file_pattern(spec) if python_files(spec) else "**/*"
    files = sorted(path.glob(pattern)) if path.is_dir() else [path]
    found = ((os.path.realpath(file), file.stat()) for file in files if file.is_file())
    return [[place, state.st_size, state.st_mtime_ns, state.st_ctime_ns] for place, state in found]


def hub_state(spec: DataSpec) -> str | None:
    """The commit that the local hub cache holds of a data set's revision."""
    from huggingface_hub import constants

    name = "datasets--" + (spec.hub or "").replace("/", "--")
    reference = Path(constants.HF_HUB_CACHE) / name / "refs" / (spec.revision or "main")
    return reference.read_text(encoding="utf-8").strip() if os.path.isfile(reference) else None


DomainValues = dict[str, Any]
"""A domain's fields as JSON values, without its spec."""


def kept(domain: Domain) -> DomainValues:
    """A domain as JSON values, without its spec: each row once, and its parts by their rows' places."""
    places: dict[int, int] = {}
    rows: list[Row] = []
    parts: dict[str, list[int]] = {}
    for part in PARTS:
        parts[part] = []
        for row in getattr(domain, part):
            place = places.setdefault(id(row), len(rows))
            if place == len(rows):
                rows.append(row)
            parts[part].append(place)
    return {
        "name": domain.name,
        "grader": domain.grader,
        "read_rows": domain.read_rows,
        "source_rows": domain.source_rows,
        "group": domain.group,
        "shared": domain.shared,
        "unparted": domain.unparted,
        "dropped": domain.dropped,
        "changed": domain.changed,
        "examples": domain.examples,
        "labels": domain.labels,
        "unmet_roles": domain.unmet_roles,
        "fingerprint": domain.fingerprint,
        "rows": [row_values(row) for row in rows],
        **parts,
    }


row_values: Callable[[Row], tuple[Any, ...]] = operator.attrgetter(*(entry.name for entry in dataclasses.fields(Row)))
"""A row's fields in order."""


def restored(loaded: LoadedRecipe, values: list[DomainValues]) -> tuple[Domain, dict[str, Domain]]:
    """Domains from their kept form."""
    sections = loaded.recipe.row_sections
    return whole(loaded.recipe, {one["name"]: rebuilt(one, *sections[one["name"]]) for one in values})


def rebuilt(value: DomainValues, path: KeyPath, spec: DomainSpec) -> Domain:
    """One domain from its kept form, by the key of its section."""
    rows = [row_from(entry) for entry in value.pop("rows")]
    parts: DomainValues = {part: tuple(rows[place] for place in value.pop(part)) for part in PARTS}
    unmet = tuple(value.pop("unmet_roles"))
    return Domain(spec=spec, source=source_name(path), unmet_roles=unmet, **parts, **value)


def row_from(values: list[Any]) -> Row:
    """A row from its fields in order."""
    identity, key, prompt, answer, rationale, options, gold, entry, accepted = values
    return Row(
        identity, key, tuple(map(tuple, prompt)), answer, rationale, tuple(options), gold, entry, tuple(accepted)
    )
