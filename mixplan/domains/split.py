"""Opens a recipe's target and domains and splits their rows: what is an evaluation row anywhere is nothing else."""

from __future__ import annotations

import contextlib
import copy
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mixplan.domains.domain import PARTS, Domain, KeyPath, source_name
from mixplan.domains.generate_ahead import Beforehand
from mixplan.domains.joined_sources import joined
from mixplan.domains.row_problems import Causes
from mixplan.domains.rows import Row
from mixplan.domains.section import ROW_KEYS, Already, Section, Where, content, read_section
from mixplan.domains.split_parts import DUPLICATE_OF, Unsplit, divide, require_enough, unparted_rows
from mixplan.errors import DataError
from mixplan.recipe import DomainSpec, Recipe, SourcesSpec
from mixplan.runs import content_hash

Folder = Path | Callable[[KeyPath], Path]


def open_domains(recipe: Recipe, *, folder: Folder, where: Where | None = None) -> tuple[Domain, dict[str, Domain]]:
    """Open and split the target and all domains.

    Rows are ordered by a hash of the seed and their content, whatever order their source has them in. Evaluation rows
    are claimed first, everywhere, with all that share a passage with them; what is an evaluation row anywhere is in no
    other domain's query, demonstration or pool. Of the rest, demonstrations come first, then queries; all of it is the
    pool, or what is left of it with `split.apart`.

    Args:
        recipe: The validated recipe.
        folder: What relative files are relative to: one folder, or a function from the key that holds the path.
        where: From a key to its place in the recipe (`file:line`), for messages; the key itself when not given.

    Returns:
        The target, and the domains by name, in the recipe's order.

    Raises:
        DataError: a source or its rows cannot be used, or there are too few rows for the split.
    """
    found, problems = open_some(recipe, recipe.row_sections, folder=folder, where=where, first=True)
    for problem in problems:
        raise problem
    return whole(recipe, found)


def whole(recipe: Recipe, found: Mapping[str, Domain]) -> tuple[Domain, dict[str, Domain]]:
    """The target, its sources joined where it has several, and the domains, of all that was opened by name."""
    domains = {name: found[name] for name in recipe.domains}
    if isinstance(recipe.target, SourcesSpec):
        return joined(recipe.target, [found[name] for name in recipe.target_sections]), domains
    return found["target"], domains


def open_some(
    recipe: Recipe,
    names: Collection[str],
    *,
    folder: Folder,
    where: Where | None = None,
    first: bool = False,
    already: Already | None = None,
) -> tuple[dict[str, Domain], list[DataError]]:
    """Open and split some of a recipe's target and domains, such as those whose rows are on this machine.

    Args:
        recipe: The validated recipe.
        names: Domains, and `target` or its sources; what the others hold out is not known, so it is not taken out of
            these.
        folder: As for `open_domains`.
        where: As for `open_domains`.
        first: Stop at the first problem.
        already: What was read for other recipes, which mostly share domains; what is read here is added.

    Returns:
        What could be opened and split by name, in the recipe's order, and what is wrong with the others.
    """
    locate = where or (lambda path: ".".join(map(str, path)))
    sections = recipe.row_sections
    read, found, problems = [], {}, list[DataError]()
    met: dict[str, str] = {}
    already = {} if already is None else already
    order = [name for name in _reading_order(recipe) if name in names]
    _read_beside_generators(recipe, order, folder, locate, already)
    for name in order:
        try:
            read.append(_open(recipe, name, *sections[name], folder, locate, met, already))
        except DataError as error:
            problems.append(error)
            if first:
                return {}, problems
    holders = _holders(read)
    for one in read:
        try:
            found[one.name] = _claim(one, _others_evaluation(one, holders), locate)
        except DataError as error:
            problems.append(error)
            if first:
                return {}, problems
    split = [one for one in read if one.name in found]
    shared = _shared(split, found)
    for one in split:
        barred = _others_evaluation(one, holders)
        unparted = unparted_rows(one, barred) if one.name in shared[one.name] else 0
        found[one.name] = replace(found[one.name], shared=shared[one.name], unparted=unparted)
    return {name: found[name] for name in sections if name in found}, problems


def _reading_order(recipe: Recipe) -> list[str]:
    """The target or its sources, by name whatever order they are written in, then the domains."""
    return [*sorted(recipe.target_sections), *recipe.domains]


def _open(
    recipe: Recipe,
    name: str,
    path: KeyPath,
    spec: DomainSpec,
    folder: Folder,
    locate: Where,
    met: dict[str, str],
    already: Already,
) -> Unsplit:
    """Open one section's rows.

    Args:
        recipe: As for `open_some`.
        name: What the rows are called.
        path: The section's key.
        spec: The section.
        folder: As for `open_some`.
        locate: Its `where`.
        met: By row key, which source of the target has the row already; the rows of a further one are added.
        already: As for `open_some`.
    """
    section = _section(recipe, name, path, spec, folder, locate, already)
    rows, causes = section.rows, section.reader.causes
    if source_name(path) is not None:
        causes = copy.deepcopy(causes)
        rows = _not_met(rows, name, met, causes)
    groups = section.passages.groups([row.id for row in rows])
    drift_or_sts, shown = ("drift", recipe.drift) if path[0] == "target" else ("sts", recipe.sts)
    return Unsplit(
        name, path, spec, section.grader, rows, section.apart, section.reader.rows, section.passed, causes, groups,
        shown.demonstrations, f"{drift_or_sts}.demonstrations", recipe.seed, section.reader.unmet_roles,
    )  # fmt: skip


def _section(
    recipe: Recipe, name: str, path: KeyPath, spec: DomainSpec, folder: Folder, locate: Where, already: Already
) -> Section:
    """Read one section's rows, or take them as they were read before; arguments are those of `_open`."""
    bases = [str(folder if isinstance(folder, Path) else folder((*path, key, "file"))) for key in ROW_KEYS]
    known = content_hash(spec.model_dump(mode="json", exclude={"split"}), bases, recipe.seed)
    if (section := already.get(known)) is None:
        called = name if path[0] == "target" else f"domain {name!r}"
        section = already[known] = read_section(spec, path, bases, recipe.seed, locate, called)
    return section


def _read_beside_generators(
    recipe: Recipe, names: Iterable[str], folder: Folder, locate: Where, already: Already
) -> None:
    """Read what is not generated while another process makes the generators' entries, then these as they come.

    What cannot be read is met again, and said, where sections are opened in order.
    """
    sections = {name: recipe.row_sections[name] for name in names}
    data = {name: [one for one in (spec.data, spec.demonstrations) if one] for name, (_, spec) in sections.items()}
    with Beforehand((one, recipe.seed) for each in data.values() for one in each) as made:
        generated = [name for name in sections if any(one.generator for one in data[name])]
        for name in [*(name for name in sections if name not in generated), *generated] if made.process else ():
            for one in data[name]:
                made.wait_for(one, recipe.seed)
            with contextlib.suppress(DataError):
                _section(recipe, name, *sections[name], folder, locate, already)


def _not_met(rows: list[Row], name: str, met: dict[str, str], causes: Causes) -> list[Row]:
    """Those rows of a source that no source before it has, so that the job trains on each once."""
    for row in rows:
        if row.key in met:
            causes.left_out[f"{DUPLICATE_OF}{met[row.key]}"] += 1
    kept = [row for row in rows if row.key not in met]
    met |= dict.fromkeys((row.key for row in kept), name)
    return kept


def _holders(all_read: Iterable[Unsplit]) -> dict[str, list[str]]:
    """Which domains hold a row out, by its key and in the order in which they are read."""
    found: dict[str, list[str]] = {}
    for one in all_read:
        for row in one.evaluation:
            found.setdefault(row.key, []).append(one.name)
    return found


def _others_evaluation(one: Unsplit, holders: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Key to name of the last domain that holds it out, of a domain's rows that another holds out."""
    found = {}
    for row in (*one.rows, *(one.apart or ())):
        if names := [name for name in holders.get(row.key, ()) if name != one.name]:
            found[row.key] = names[-1]
    return found


def _claim(one: Unsplit, barred: Mapping[str, str], locate: Where) -> Domain:
    """Split one domain's rows."""
    parts = divide(one, barred)
    require_enough(one, parts, barred, locate)
    return Domain(
        name=one.name,
        spec=one.spec,
        source=source_name(one.path),
        grader=one.grader,
        read_rows=one.read_rows,
        source_rows=one.source_rows,
        group=one.groups.column,
        dropped=dict(sorted(parts.dropped.items())),
        changed=dict(sorted(one.causes.changed.items())),
        examples=dict(sorted(one.causes.examples.items())),
        labels=one.causes.labels,
        unmet_roles=one.unmet_roles,
        fingerprint=content_hash(*([part, *content(row)] for part in PARTS for row in getattr(parts, part))),
        evaluation=tuple(parts.evaluation),
        query=tuple(parts.query),
        demonstration=tuple(parts.demonstration),
        pool=tuple(parts.pool),
    )


def _shared(read: Sequence[Unsplit], split: Mapping[str, Domain]) -> dict[str, dict[str, int]]:
    """How many evaluation rows of each domain share a passage with pool rows, by whose pool that is."""
    pools: dict[str, list[str]] = {}
    for one in read:
        for passage in one.groups.of(split[one.name].pool):
            pools.setdefault(passage, []).append(one.name)
    order = {one.name: place for place, one in enumerate(read)}
    found = {}
    for one in read:
        passages = [one.groups.keys[row.id] for row in one.evaluation if row.id in one.groups.keys]
        counts = Counter(name for passage in passages for name in pools.get(passage, ()))
        found[one.name] = {name: counts[name] for name in sorted(counts, key=order.__getitem__)}
    return found
