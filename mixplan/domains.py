"""Data specs in, opened domains out: rows split into evaluation, query, demonstration and pool, no row in two."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mixplan.recipe import DomainSpec


@dataclass(frozen=True, slots=True)
class Row:
    """One question with its answer, whatever format it came in.

    Attributes:
        id: Where it came from, unique in its domain: `<split or file name>:<index in the source>`.
        key: Hash of the normalised content (32 hexadecimal digits); equal for duplicates.
        prompt: Messages up to and including the last user turn, as (role, content) pairs.
        answer: The supervised answer (what gold training teaches).
        rationale: Worked solution with the answer at its end, where the data has one.
        options: Choice rows: the options' texts, in order, without letters.
        gold: Choice rows: index of the right option.
        entry: Generator rows: the reasoning-gym entry as JSON, for its own scorer.
    """

    id: str
    key: str
    prompt: tuple[tuple[str, str], ...]
    answer: str
    rationale: str | None = None
    options: tuple[str, ...] = ()
    gold: int | None = None
    entry: str | None = None


@dataclass(frozen=True)
class Domain:
    """A target or a downstream domain, opened and split.

    Attributes:
        name: The recipe's name for it; the target is called `target`.
        spec: The recipe section it came from.
        grader: The resolved grader (never `auto`).
        evaluation, query, demonstration, pool: Rows in seeded order; no key in two of them.
        read_rows: Rows read from the source after `where`.
        dropped: What was left out, by reason (`duplicate`, `in evaluation of law`, ...), with counts.
        fingerprint: Hash over every row's key and content, in order, with the split it is in.
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


def describe(domain: Domain) -> dict[str, Any]:
    """A domain's counts and fingerprint as JSON values, for the plan."""
    return {
        "rows": {part: len(getattr(domain, part)) for part in ("evaluation", "query", "demonstration", "pool")},
        "read_rows": domain.read_rows,
        "dropped": dict(domain.dropped),
        "fingerprint": domain.fingerprint,
        "grader": domain.grader,
        "licence": domain.spec.licence,
    }
