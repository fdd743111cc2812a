"""Holds a target or a downstream domain as it was opened and split, and says what it consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mixplan.domains.rows import Row
from mixplan.recipe import DomainSpec, SourceSpec

PARTS = ("evaluation", "query", "demonstration", "pool")
BY_SOURCE = "by source"
"""In the place of a grader where each source of a target has another."""

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Domain:
    """A target or a downstream domain, opened and split.

    Attributes:
        name: The recipe's name for it; the target is called `target`, one of its several sources `target.NAME`.
        spec: The recipe section it came from; of a target of several sources the section that lists them, which has
            none of a domain's keys.
        grader: The resolved grader (never `auto`); of a target whose sources have several, `BY_SOURCE`.
        evaluation: Held-out rows, in seeded order; no other part of any domain has one of them.
        query, demonstration: Rows in seeded order; none in both.
        pool: What may be trained on: every row but the evaluation's, those that are neither query nor demonstration
            rows first. With `split.apart`, these alone.
        read_rows: Rows read after `where` and `limit`, those of `demonstrations` included.
        dropped: What was left out, by reason (`duplicate`, `in evaluation of law`, ...), with counts.
        fingerprint: Hash over every row's key and content, in order, with the part it is in.
        changed: Rows that are used with a change, by what was changed, with counts.
        examples: The first row, in words, of each cause in `dropped` or `changed` that names one.
        labels: Of choices, how their answers name the right option: a key of the recipe's `labels`, or `label`.
        unmet_roles: Names in the section's `roles` that no message read has.
        source_rows: Rows of `data` that pass `where`, of which at most `limit` were read.
        group: The column whose shared texts keep rows on one side of the evaluation split; None where none does.
        shared: Evaluation rows whose text of that column pool rows share all the same, by whose pool that is.
        unparted: Where its own do, a number of evaluation rows for which none would; 0 where no number would do.
        source: The recipe's name for this source of a target that has several.
        sources: Of such a target the sources, by name; its own rows are theirs, `NAME/` in front of their ids.
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
    labels: str | None = None
    unmet_roles: tuple[str, ...] = ()
    source_rows: int = 0
    group: str | None = None
    shared: dict[str, int] = field(default_factory=dict)
    unparted: int = 0
    source: str | None = None
    sources: tuple[Domain, ...] = ()

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every row once, whatever parts it is in."""
        parts = (self.evaluation, self.demonstration, self.query, self.pool)
        return tuple({(row.key, row.id): row for part in parts for row in part}.values())

    @property
    def parts(self) -> tuple[Domain, ...]:
        """What rows are read by: the sources of a target that has several, else the domain itself."""
        return self.sources or (self,)

    @property
    def is_taught(self) -> bool:
        """Whether it is the target, or a source of it."""
        return self.name == "target" or self.source is not None

    @property
    def path(self) -> KeyPath:
        """The recipe's key of its section."""
        if self.source is not None:
            return "target", "sources", self.source
        return ("target",) if self.name == "target" else ("domains", self.name)

    @property
    def key(self) -> str:
        """That key as a person writes it."""
        return ".".join(map(str, self.path))

    @property
    def amount(self) -> int:
        """Rows of a source in the mixture: those asked for, else all of its pool; of a target its sources' together."""
        if self.sources:
            return sum(part.amount for part in self.sources)
        asked = self.spec.rows if isinstance(self.spec, SourceSpec) else None
        return len(self.pool) if asked is None else asked

    def part_of(self, row: Row) -> Domain:
        """Which source of a target a row of it is from; the domain itself where there are none."""
        name = row.id.partition("/")[0]
        return next((part for part in self.sources if part.source == name), self)


def source_name(path: KeyPath) -> str | None:
    """The name of the target's source whose section is at a key; None for any other section."""
    return str(path[2]) if path[:2] == ("target", "sources") else None


def by_name(target: Domain, domains: Mapping[str, Domain]) -> dict[str, Domain]:
    """All that rows are read of, by name: the target or each of its sources, then the domains."""
    return {**{part.name: part for part in target.parts}, **domains}
