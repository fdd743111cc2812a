"""Opens a recipe's target and domains and splits their rows: what is an evaluation row anywhere is nothing else."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mixplan.domains.causes import Causes
from mixplan.domains.domain import PARTS, Domain, KeyPath, source_name
from mixplan.domains.joined import joined
from mixplan.domains.passages import Groups
from mixplan.domains.rows import Row
from mixplan.domains.section import ROW_KEYS, Already, Where, content, read_section
from mixplan.domains.sizes import DEMONSTRATION_ROWS, demonstration_rows, evaluation_rows, query_rows, smaller
from mixplan.errors import DataError
from mixplan.recipe import DomainSpec, Recipe, SourcesSpec
from mixplan.runs import content_hash

DUPLICATE_OF = "duplicate of "
"""How the cause begins under which a source's rows are counted that another source of the target has."""

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
    for name in (name for name in _reading_order(recipe) if name in names):
        try:
            read.append(_open(recipe, name, *sections[name], folder, locate, met, {} if already is None else already))
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
    shared = _shared([one for one in read if one.name in found], found)
    return {name: replace(found[name], shared=shared[name]) for name in sections if name in found}, problems


def _reading_order(recipe: Recipe) -> list[str]:
    """The target or its sources, by name whatever order they are written in, then the domains."""
    return [*sorted(recipe.target_sections), *recipe.domains]


@dataclass
class _Read:
    """A domain's rows before they are split: unique, in seeded order."""

    name: str
    path: KeyPath
    spec: DomainSpec
    grader: str
    rows: list[Row]
    apart: list[Row] | None
    read_rows: int
    source_rows: int
    causes: Causes
    groups: Groups
    shown: int
    counter: str
    seed: int
    unmet_roles: tuple[str, ...]
    evaluation: list[Row] = field(init=False)

    @property
    def is_taught(self) -> bool:
        """Whether it is the target, or a source of it."""
        return self.path[0] == "target"

    @property
    def called(self) -> str:
        """What messages call it."""
        return self.name if self.is_taught else f"domain {self.name!r}"

    def __post_init__(self) -> None:
        elsewhere = self.apart is not None
        wanted = evaluation_rows(self.spec.split, len(self.rows), shown=self.shown, elsewhere=elsewhere)
        self.evaluation = self.groups.draw(self.rows, wanted, self.seed, fill=False)


def _open(
    recipe: Recipe,
    name: str,
    path: KeyPath,
    spec: DomainSpec,
    folder: Folder,
    locate: Where,
    met: dict[str, str],
    already: Already,
) -> _Read:
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
    bases = [str(folder if isinstance(folder, Path) else folder((*path, key, "file"))) for key in ROW_KEYS]
    known = content_hash(spec.model_dump(mode="json", exclude={"split"}), bases, recipe.seed)
    if (section := already.get(known)) is None:
        called = name if path[0] == "target" else f"domain {name!r}"
        section = already[known] = read_section(spec, path, bases, recipe.seed, locate, called)
    rows, causes = section.rows, section.reader.causes
    if source_name(path) is not None:
        causes = copy.deepcopy(causes)
        rows = _not_met(rows, name, met, causes)
    groups = section.passages.groups([row.id for row in rows])
    drift_or_sts, shown = ("drift", recipe.drift) if path[0] == "target" else ("sts", recipe.sts)
    return _Read(
        name, path, spec, section.grader, rows, section.apart, section.reader.rows, section.passed, causes, groups,
        shown.demonstrations, f"{drift_or_sts}.demonstrations", recipe.seed, section.reader.unmet_roles,
    )  # fmt: skip


def _not_met(rows: list[Row], name: str, met: dict[str, str], causes: Causes) -> list[Row]:
    """Those rows of a source that no source before it has, so that the job trains on each once."""
    for row in rows:
        if row.key in met:
            causes.left_out[f"{DUPLICATE_OF}{met[row.key]}"] += 1
    kept = [row for row in rows if row.key not in met]
    met |= dict.fromkeys((row.key for row in kept), name)
    return kept


def _holders(all_read: Iterable[_Read]) -> dict[str, list[str]]:
    """Which domains hold a row out, by its key and in the order in which they are read."""
    found: dict[str, list[str]] = {}
    for one in all_read:
        for row in one.evaluation:
            found.setdefault(row.key, []).append(one.name)
    return found


def _others_evaluation(one: _Read, holders: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Key to name of the last domain that holds it out, of a domain's rows that another holds out."""
    found = {}
    for row in (*one.rows, *(one.apart or ())):
        if names := [name for name in holders.get(row.key, ()) if name != one.name]:
            found[row.key] = names[-1]
    return found


def _claim(one: _Read, barred: Mapping[str, str], locate: Where) -> Domain:
    """Split one domain's rows."""
    split, dropped = one.spec.split, Counter(one.causes.left_out)
    own = {row.key for row in one.evaluation}
    rest = _without([row for row in one.rows if row.key not in own], barred, dropped)
    if one.apart is None:
        demonstration = one.groups.draw(
            rest, demonstration_rows(split, len(rest), shown=one.shown), one.seed, fill=True
        )
    else:
        held = {**barred, **dict.fromkeys(own, one.name)}
        most = DEMONSTRATION_ROWS if split.demonstration is None else split.demonstration
        demonstration = _without(one.apart, held, dropped)[:most]
    shown = {row.key for row in demonstration}
    unshown = [row for row in rest if row.key not in shown]
    if one.apart is not None and split.apart:
        dropped["also a demonstration"] += len(rest) - len(unshown)
        rest = unshown
    wanted = query_rows(split, len(unshown))
    query = one.groups.draw(unshown, wanted, one.seed, fill=True) if split.apart else unshown[:wanted]
    read = {row.key for row in query}
    unread = [row for row in unshown if row.key not in read]
    pool = unread if split.apart else [*unread, *query, *(row for row in rest if row.key in shown)]
    _enough(one, demonstration, query, pool, +dropped, locate)
    parts = {"evaluation": one.evaluation, "query": query, "demonstration": demonstration, "pool": pool}
    kept: dict[str, Any] = {part: tuple(rows) for part, rows in parts.items()}
    return Domain(
        name=one.name,
        spec=one.spec,
        source=source_name(one.path),
        grader=one.grader,
        read_rows=one.read_rows,
        source_rows=one.source_rows,
        group=one.groups.column,
        dropped=dict(sorted((+dropped).items())),
        changed=dict(sorted(one.causes.changed.items())),
        examples=dict(sorted(one.causes.examples.items())),
        labels=one.causes.labels,
        unmet_roles=one.unmet_roles,
        fingerprint=content_hash(*([part, *content(row)] for part in PARTS for row in parts[part])),
        **kept,
    )


def _shared(read: Sequence[_Read], split: Mapping[str, Domain]) -> dict[str, dict[str, int]]:
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


def _without(rows: list[Row], barred: Mapping[str, str], dropped: Counter[str]) -> list[Row]:
    for row in rows:
        if row.key in barred:
            dropped[f"in evaluation of {barred[row.key]}"] += 1
    return [row for row in rows if row.key not in barred]


def _enough(
    one: _Read, demonstration: list[Row], query: list[Row], pool: list[Row], dropped: Mapping[str, int], locate: Where
) -> None:
    """Refuse a split that the rows cannot fill, with one that they can."""
    split, dotted = one.spec.split, ".".join(map(str, one.path))
    left_out = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
    left_out = f" (left out: {left_out})" if left_out else ""
    if one.apart is not None and len(demonstration) < one.shown:
        raise DataError(
            f"{locate((*one.path, 'demonstrations'))}: {one.called} has {len(demonstration)} demonstration rows, "
            f"but {one.counter} puts {one.shown} in front of a query{left_out}. "
            f"Lower `{one.counter}`, or remove `{dotted}.demonstrations` to take them from `data`."
        )
    elsewhere = one.apart is not None
    inside = {
        "evaluation": evaluation_rows(split, len(one.rows), shown=one.shown, elsewhere=elsewhere),
        "query": 1 if split.query is None else split.query,
    }
    if not elsewhere:
        inside["demonstration"] = one.shown if split.demonstration is None else split.demonstration
    # Whole passages may make a few evaluation rows less than were asked for.
    held_out = inside["evaluation"] if one.groups.column else len(one.evaluation)
    found = {"evaluation": held_out, "query": len(query), "demonstration": len(demonstration)}
    if all(found[part] >= count for part, count in inside.items()) and (pool or not one.is_taught):
        return
    more = one.is_taught and split.apart
    needed = sum(inside.values()) + more
    usable = len({row.key for row in (*one.evaluation, *query, *pool, *(() if elsewhere else demonstration))})
    wanted = " + ".join(f"{part} {count}" for part, count in inside.items()) + (" + 1 to train on" if more else "")
    least = {part: min(inside[part], one.shown if part == "demonstration" else 1) for part in inside}
    fitting = smaller(inside, least, usable, pool=split.apart)
    if isinstance(fitting, int):
        # A source of a target has none of the rows that another source has, so more of the same would not help.
        also = any(cause.startswith(DUPLICATE_OF) for cause in dropped)
        add = f"Remove `{dotted}`, or add rows that no other source has" if also else "Add data"
        remedy = f"{add}: even the smallest split needs {fitting} rows."
    else:
        listed = ", ".join(f"{part}: {count}" for part, count in fitting.items())
        keep = ", apart: true" if split.apart else ""
        remedy = f"Set `{dotted}.split` to {{{listed}{keep}}}, leave it out, or add data."
    raise DataError(
        f"{locate((*one.path, 'split'))}: {one.called} has {usable} rows{left_out}, but {wanted} need {needed}. "
        f"{remedy}"
    )
