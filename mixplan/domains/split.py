"""A recipe's target and domains in, opened and split out: no row in two parts, none in another's evaluation."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixplan.domains.causes import Causes
from mixplan.domains.generator import Generator
from mixplan.domains.rows import Row, RowReader
from mixplan.domains.sources import Source, open_source
from mixplan.errors import DataError
from mixplan.recipe import DomainSpec, Recipe
from mixplan.runs import content_hash

PARTS = ("evaluation", "query", "demonstration", "pool")
POOL_SHARE = 0.3
"""Of a domain that is too small, what the split that is suggested leaves to the pool."""

KeyPath = tuple[str | int, ...]
Folder = Path | Callable[[KeyPath], Path]
Where = Callable[[KeyPath], str]


@dataclass(frozen=True)
class Domain:
    """A target or a downstream domain, opened and split.

    Attributes:
        name: The recipe's name for it; the target is called `target`.
        spec: The recipe section it came from.
        grader: The resolved grader (never `auto`).
        evaluation, query, demonstration, pool: Rows in seeded order; no key in two of them.
        read_rows: Rows read after `where` and `limit`, those of `demonstrations` included.
        dropped: What was left out, by reason (`duplicate`, `in evaluation of law`, ...), with counts.
        fingerprint: Hash over every row's key and content, in order, with the part it is in.
        changed: Rows that are used with a change, by what was changed, with counts.
        examples: The first row, in words, of each cause in `dropped` or `changed` that names one.
    """

    name: str
    spec: DomainSpec
    grader: str
    evaluation: tuple[Row, ...]
    query: tuple[Row, ...]
    demonstration: tuple[Row, ...]
    pool: tuple[Row, ...]
    read_rows: int
    dropped: dict[str, int] = field(default_factory=dict)
    fingerprint: str = ""
    changed: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)


def describe(domain: Domain) -> dict[str, Any]:
    """A domain's counts and fingerprint as JSON values, for the plan."""
    return {
        "rows": {part: len(getattr(domain, part)) for part in PARTS},
        "read_rows": domain.read_rows,
        "dropped": dict(domain.dropped),
        "changed": dict(domain.changed),
        "examples": dict(domain.examples),
        "fingerprint": domain.fingerprint,
        "grader": domain.grader,
        "licence": domain.spec.licence,
    }


def open_domains(recipe: Recipe, *, folder: Folder, where: Where | None = None) -> tuple[Domain, dict[str, Domain]]:
    """Open and split the target and all domains.

    Rows are ordered by a hash of the seed and their content, whatever order their source has them in. Evaluation rows
    are claimed first, everywhere; what is an evaluation row anywhere is then no other domain's query, demonstration or
    pool row. Demonstrations come next, then queries; the rest is the pool.

    Args:
        recipe: The validated recipe.
        folder: What relative files are relative to: one folder, or a function from the key that holds the path.
        where: From a key to its place in the recipe (`file:line`), for messages; the key itself when not given.

    Returns:
        The target, and the domains by name, in the recipe's order.

    Raises:
        DataError: a source or its rows cannot be used, or there are too few rows for the split.
    """
    locate = where or (lambda path: ".".join(map(str, path)))
    read = [_open(recipe, "target", recipe.target, folder, locate)]
    read += [_open(recipe, name, spec, folder, locate) for name, spec in recipe.domains.items()]
    split = [_claim(one, _others_evaluation(one, read), locate) for one in read]
    return split[0], {domain.name: domain for domain in split[1:]}


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
    causes: Causes
    shown: int
    counter: str

    @property
    def evaluation(self) -> list[Row]:
        return self.rows[: self.spec.split.evaluation]


def _open(recipe: Recipe, name: str, spec: DomainSpec, folder: Folder, locate: Where) -> _Read:
    path: KeyPath = ("target",) if name == "target" else ("domains", name)
    with _located(locate((*path, "columns")), name):
        reader = RowReader(spec, generated=spec.data.generator is not None)

    def rows_of(key: str) -> tuple[list[Row], Source]:
        data = spec.data if key == "data" else spec.demonstrations or spec.data
        with _located(locate((*path, key)), name):
            base = folder if isinstance(folder, Path) else folder((*path, key, "file"))
            source = open_source(data, folder=base, seed=recipe.seed)
            rows = list(reader.read(source, data, recipe.seed))
        kept = _unique(rows, recipe.seed)
        if len(rows) > len(kept):
            reader.causes.left_out["duplicate"] += len(rows) - len(kept)
        return kept, source

    rows, source = rows_of("data")
    with _located(locate((*path, "grader")), name):
        grader = _grader(spec, source)
    apart = rows_of("demonstrations")[0] if spec.demonstrations else None
    section, shown = ("drift", recipe.drift) if name == "target" else ("sts", recipe.sts)
    counter = f"{section}.demonstrations"
    return _Read(name, path, spec, grader, rows, apart, reader.rows, reader.causes, shown.demonstrations, counter)


@contextmanager
def _located(place: str, name: str) -> Iterator[None]:
    """Open a data error's message with the recipe's place and the domain's name."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{place}: {_named(name)}: {error}") from error


def _named(name: str) -> str:
    return "target" if name == "target" else f"domain {name!r}"


def _grader(spec: DomainSpec, source: Source) -> str:
    scored = spec.grader in ("auto", "generator") and isinstance(source, Generator) and source.scores_saved_entries()
    if spec.grader == "generator" and not scored:
        raise DataError(f"{source.place}: its scorer does not accept its own saved answers. Set `grader` to `exact`.")
    if spec.grader != "auto":
        return spec.grader
    return "choice" if spec.format == "choice" else "generator" if scored else "exact"


def _unique(rows: Iterable[Row], seed: int) -> list[Row]:
    """One row a key, the same one whatever order they come in, ordered by the hash of seed and key."""
    kept: dict[str, Row] = {}
    for row in rows:
        other = kept.setdefault(row.key, row)
        if other is not row and content_hash(_content(row)) < content_hash(_content(other)):
            kept[row.key] = row
    return sorted(kept.values(), key=lambda row: hashlib.sha256(f"{seed}:{row.key}".encode()).digest())


def _content(row: Row) -> list[Any]:
    """What a row says, without where it came from."""
    return [row.key, row.prompt, row.answer, row.rationale, row.options, row.gold, row.entry, row.accepted]


def _others_evaluation(one: _Read, all_read: Iterable[_Read]) -> dict[str, str]:
    """Key to name of the domain that holds it out, over all other domains and the target."""
    return {row.key: other.name for other in all_read if other is not one for row in other.evaluation}


def _claim(one: _Read, barred: Mapping[str, str], locate: Where) -> Domain:
    """Split one domain's rows."""
    split, dropped = one.spec.split, Counter(one.causes.left_out)
    own = {row.key for row in one.evaluation}
    rest = _without(one.rows[len(one.evaluation) :], barred, dropped)
    if one.apart is None:
        demonstration, rest = rest[: split.demonstration], rest[split.demonstration :]
    else:
        held = {**barred, **dict.fromkeys(own, one.name)}
        demonstration = _without(one.apart, held, dropped)[: split.demonstration]
        shown = {row.key for row in demonstration}
        dropped["also a demonstration"] += sum(row.key in shown for row in rest)
        rest = [row for row in rest if row.key not in shown]
    query, pool = rest[: split.query], rest[split.query :]
    _enough(one, demonstration, query, pool, +dropped, locate)
    parts = {"evaluation": one.evaluation, "query": query, "demonstration": demonstration, "pool": pool}
    return Domain(
        name=one.name,
        spec=one.spec,
        grader=one.grader,
        read_rows=one.read_rows,
        dropped=dict(sorted((+dropped).items())),
        changed=dict(sorted(one.causes.changed.items())),
        examples=dict(sorted(one.causes.examples.items())),
        fingerprint=content_hash(*([part, *_content(row)] for part in PARTS for row in parts[part])),
        **{part: tuple(rows) for part, rows in parts.items()},
    )


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
            f"{locate((*one.path, 'demonstrations'))}: {_named(one.name)} has {len(demonstration)} demonstration rows, "
            f"but {one.counter} puts {one.shown} in front of a query{left_out}. "
            f"Lower `{one.counter}`, or remove `{dotted}.demonstrations` to take them from `data`."
        )
    if len(query) == split.query and len(one.evaluation) == split.evaluation:
        filled = one.apart is not None or len(demonstration) == split.demonstration
        if filled and (pool or one.name != "target"):
            return
    inside = {"evaluation": split.evaluation, "query": split.query}
    inside |= {"demonstration": split.demonstration} if one.apart is None else {}
    target = one.name == "target"
    needed = sum(inside.values()) + target
    usable = len(one.evaluation) + len(query) + len(pool) + (len(demonstration) if one.apart is None else 0)
    wanted = " + ".join(f"{part} {count}" for part, count in inside.items()) + (" + 1 to train on" if target else "")
    least = {part: min(inside[part], one.shown if part == "demonstration" else 1) for part in inside}
    raise DataError(
        f"{locate((*one.path, 'split'))}: {_named(one.name)} has {usable} rows{left_out}, but {wanted} need {needed}. "
        f"{_smaller(inside, least, usable, dotted)}"
    )


def _smaller(inside: Mapping[str, int], least: Mapping[str, int], usable: int, dotted: str) -> str:
    """The remedy: a split in the same proportions that leaves `POOL_SHARE` to the pool."""
    room = int(usable * (1 - POOL_SHARE))
    if room < sum(least.values()):
        enough = next(
            rows for rows in range(usable, usable + 10**6) if int(rows * (1 - POOL_SHARE)) >= sum(least.values())
        )
        return f"Add data: even the smallest split needs {enough} rows."
    spare = room - sum(least.values())
    over = sum(inside.values()) - sum(least.values())
    fitting = {part: least[part] + spare * (inside[part] - least[part]) // over for part in inside}
    listed = ", ".join(f"{part}: {count}" for part, count in fitting.items())
    return f"Set `{dotted}.split` to {{{listed}}}, or add data."
