"""Divides a domain's rows into parts, and names a split that the rows can fill where the recipe's cannot be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from mixplan.domains.domain import KeyPath
from mixplan.domains.passages import Groups
from mixplan.domains.row_problems import Causes
from mixplan.domains.rows import Row
from mixplan.domains.section import Where
from mixplan.domains.split_sizes import DEMONSTRATION_ROWS, demonstration_rows, evaluation_rows, query_rows, smaller
from mixplan.errors import DataError
from mixplan.recipe import DomainSpec, SplitSpec

DUPLICATE_OF = "duplicate of "
"""How the cause begins under which a source's rows are counted that another source of the target has."""

SHRINK = 0.75
"""By how much a suggested split gets smaller at each trial."""


@dataclass(frozen=True)
class Unsplit:
    """A domain's rows before they are split: unique, in seeded order.

    Attributes:
        path: The section's key.
        apart: Demonstrations that come from data of their own; None where they are rows of `rows`.
        shown: Demonstrations in front of a query.
        counter: The recipe's key that says so.
        evaluation: Rows of `rows` that are held out.
    """

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

    @property
    def key(self) -> str:
        """The section's key as a recipe's reader writes it."""
        return ".".join(map(str, self.path))

    def __post_init__(self) -> None:
        elsewhere = self.apart is not None
        wanted = evaluation_rows(self.spec.split, len(self.rows), shown=self.shown, elsewhere=elsewhere)
        object.__setattr__(self, "evaluation", self.groups.draw(self.rows, wanted, self.seed, fill=False))

    def split_by(self, split: SplitSpec) -> Unsplit:
        """The same rows under another split."""
        return replace(self, spec=self.spec.model_copy(update={"split": split}))


@dataclass(frozen=True)
class Parts:
    """A domain's rows by part, and how many were left out by cause."""

    evaluation: list[Row]
    demonstration: list[Row]
    query: list[Row]
    pool: list[Row]
    dropped: Mapping[str, int]


def divide(one: Unsplit, barred: Mapping[str, str]) -> Parts:
    """Divide a domain's rows.

    Args:
        one: The rows.
        barred: Key to name of the domain that holds the row out, of rows that another domain holds out.
    """
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
    return Parts(one.evaluation, demonstration, query, pool, +dropped)


def require_enough(one: Unsplit, parts: Parts, barred: Mapping[str, str], locate: Where) -> None:
    """Check that no part is short of rows.

    Args:
        one: The rows.
        parts: What `divide` made of them.
        barred: As for `divide`.
        locate: From a key to its place in the recipe.

    Raises:
        DataError: a part is short; the message names what was tried out and found to suffice.
    """
    asked = _asked(one)
    shown_are_few = one.apart is not None and len(parts.demonstration) < one.shown
    if not shown_are_few and _is_enough(one, parts):
        return
    left_out = ", ".join(f"{count} {reason}" for reason, count in sorted(parts.dropped.items()))
    left_out = f" (left out: {left_out})" if left_out else ""
    remedy = _remedy(one, parts, barred, asked)
    if shown_are_few:
        raise DataError(
            f"{locate((*one.path, 'demonstrations'))}: {one.called} has {len(parts.demonstration)} demonstration "
            f"rows, but {one.counter} puts {one.shown} in front of a query{left_out}. {remedy}"
        )
    more = one.is_taught and one.spec.split.apart
    wanted = " + ".join(f"{part} {count}" for part, count in asked.items()) + (" + 1 to train on" if more else "")
    usable = _usable(one, parts)
    raise DataError(
        f"{locate((*one.path, 'split'))}: {one.called} has {usable} rows{left_out}, but {wanted} need "
        f"{sum(asked.values()) + more}. {remedy}"
    )


def unparted_rows(one: Unsplit, barred: Mapping[str, str]) -> int:
    """For how many evaluation rows a domain's passages stay whole, with enough rows for its other parts; 0 for none.

    Args:
        one: The rows.
        barred: As for `divide`.
    """
    count = one.groups.unparted(one.rows, len(one.evaluation))
    smaller_split = one.spec.split.model_copy(update={"evaluation": count})
    return count if count and _suffices(one.split_by(smaller_split), barred) else 0


def _usable(one: Unsplit, parts: Parts) -> int:
    return len({row.key for row in (*parts.evaluation, *parts.query, *parts.pool, *_inside(one, parts))})


def _inside(one: Unsplit, parts: Parts) -> Sequence[Row]:
    """The demonstrations that are rows of the domain's own data."""
    return parts.demonstration if one.apart is None else ()


def _asked(one: Unsplit) -> dict[str, int]:
    """How many rows of the domain's own data each part needs."""
    split = one.spec.split
    asked = {
        "evaluation": evaluation_rows(split, len(one.rows), shown=one.shown, elsewhere=one.apart is not None),
        "query": 1 if split.query is None else split.query,
    }
    if one.apart is None:
        asked["demonstration"] = one.shown if split.demonstration is None else split.demonstration
    return asked


def _is_enough(one: Unsplit, parts: Parts) -> bool:
    asked = _asked(one)
    # Whole passages may make a few evaluation rows less than were asked for.
    held_out = asked["evaluation"] if one.groups.column else len(parts.evaluation)
    found = {"evaluation": held_out, "query": len(parts.query), "demonstration": len(parts.demonstration)}
    if one.apart is not None and len(parts.demonstration) < one.shown:
        return False
    return all(found[part] >= count for part, count in asked.items()) and bool(parts.pool or not one.is_taught)


def _suffices(one: Unsplit, barred: Mapping[str, str]) -> bool:
    return _is_enough(one, divide(one, barred))


def _remedy(one: Unsplit, parts: Parts, barred: Mapping[str, str], asked: Mapping[str, int]) -> str:
    """Name what is tried here and suffices."""
    without = replace(one, apart=None)
    remedies = []
    if one.apart is not None and 0 < (fewer := len(parts.demonstration)) < one.shown:
        if _suffices(replace(one, shown=fewer), barred):
            remedies.append(f"lower `{one.counter}` to {fewer}")
    elif (split := _fitting_split(one, parts, barred, asked)) is not None:
        listed = ", ".join(f"{part}: {getattr(split, part)}" for part in asked)
        keep = ", apart: true" if split.apart else ""
        remedies.append(f"set `{one.key}.split` to {{{listed}{keep}}}")
    default = SplitSpec(apart=one.spec.split.apart)
    measures = _asked(one.split_by(SplitSpec()))["evaluation"] >= min(1, asked["evaluation"])
    if one.spec.split != default and measures and _suffices(one.split_by(SplitSpec()), barred):
        remedies.append("leave it out" if remedies else f"leave out `{one.key}.split`")
    if one.apart is not None:
        taken = f"remove `{one.key}.demonstrations`, so that they come from `data`"
        if _suffices(without, barred):
            remedies.append(taken)
        elif _suffices(without.split_by(default), barred):
            remedies.append(f"{taken}, and the numbers of `{one.key}.split`")
    if remedies:
        listed = ", ".join(remedies)
        return f"{listed[0].upper()}{listed[1:]}, or add data."
    return _add(one, parts, asked)


def _fitting_split(one: Unsplit, parts: Parts, barred: Mapping[str, str], asked: Mapping[str, int]) -> SplitSpec | None:
    """The largest split tried, in the proportions of the recipe's, that the rows fill; None where there is none."""
    for rows in _fewer(_usable(one, parts)):
        counts = smaller(asked, _least(one, asked), rows, pool=one.spec.split.apart)
        if isinstance(counts, int):
            return None
        split = SplitSpec(**counts, apart=one.spec.split.apart)
        if _suffices(one.split_by(split), barred):
            return split
    return None


def _fewer(rows: int) -> Iterator[int]:
    while rows > 0:
        yield rows
        rows = min(rows - 1, int(rows * SHRINK)) if rows > 8 else rows - 1


def _least(one: Unsplit, asked: Mapping[str, int]) -> dict[str, int]:
    return {part: min(asked[part], one.shown if part == "demonstration" else 1) for part in asked}


def _add(one: Unsplit, parts: Parts, asked: Mapping[str, int]) -> str:
    """Say how many rows the smallest split needs, its demonstrations among them."""
    apart, inside = one.spec.split.apart, {"query": min(1, asked["query"]), "demonstration": one.shown}

    def rows_for(evaluation: int) -> int:
        least = inside | {"evaluation": evaluation}
        return next(rows for rows in count(1) if isinstance(smaller(least, least, rows, pool=apart), dict))

    needed = rows_for(min(1, asked["evaluation"]))
    # With so many rows the default split may hold one out for evaluation that fewer rows did not leave.
    held_out = evaluation_rows(SplitSpec(apart=apart), needed, shown=one.shown, elsewhere=False)
    needed = max(needed, rows_for(min(1, held_out)))
    # A source of a target has none of the rows that another source has, so more of the same would not help.
    also = any(cause.startswith(DUPLICATE_OF) for cause in parts.dropped)
    add = f"Remove `{one.key}`, or add rows that no other source has" if also else "Add data"
    removed = f" and remove `{one.key}.demonstrations`" if one.apart is not None else ""
    return f"{add}{removed}: even the smallest split needs {needed} rows."


def _without(rows: list[Row], barred: Mapping[str, str], dropped: Counter[str]) -> list[Row]:
    for row in rows:
        if row.key in barred:
            dropped[f"in evaluation of {barred[row.key]}"] += 1
    return [row for row in rows if row.key not in barred]
