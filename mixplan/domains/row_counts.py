"""Reports in one line how many rows of a domain were read, which part each went to, and why others were not used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from mixplan.domains.domain import Domain
from mixplan.domains.labels import WORDS


def account(domain: Domain) -> str:
    """Say what became of a domain's rows.

    Returns:
        Such as `20,000 of 25,000 rows (data.limit): evaluation 100, pool 19,899, of which query 1,000 and
        demonstration 40; 1 left out: 1 duplicate`.
    """
    rows = {part: f"{part} {len(getattr(domain, part)):,}" for part in ("evaluation", "query", "demonstration", "pool")}
    elsewhere = domain.spec.demonstrations is not None
    shown = f"{rows['demonstration']} of their own data" if elsewhere else rows["demonstration"]
    if domain.spec.split.apart:
        parts = f"{rows['evaluation']}, {rows['query']}, {shown}, {rows['pool']}"
    elif elsewhere:
        parts = f"{rows['evaluation']}, {rows['pool']}, of which {rows['query']}; {shown}"
    else:
        parts = f"{rows['evaluation']}, {rows['pool']}, of which {rows['query']} and {shown}"
    return "; ".join([f"{_read(domain)}: {parts}", *_amount(domain), *_labels(domain), *_causes(domain)])


def row_warnings(target: Domain, domains: Mapping[str, Domain]) -> Iterator[str]:
    """Say in whole sentences what a reader should know before trusting what the rows show."""
    for one in target.parts:
        if domain_limit_bit(one):
            yield (
                f"{one.name}: {one.spec.data.limit:,} of its {one.source_rows:,} rows were read, as "
                f"`{one.key}.data.limit` has it; the others are not trained on. Set "
                f"`{one.key}.data.limit: {one.source_rows}` to take them all."
            )
    for one in (*target.parts, *domains.values()):
        if one.unmet_roles:
            names = ", ".join(map(repr, one.unmet_roles))
            yield f"{one.name}: `{one.key}.roles` names {names}, which no message read has. Correct or remove it."
        for name, count in one.shared.items():
            whose = "its own pool's rows" if name == one.name else f"pool rows of {name}"
            yield (
                f"{one.name}: {count:,} of its {len(one.evaluation):,} evaluation rows share their `{one.group}` with "
                f"{whose}, so training on these may raise what is measured. {_remedy(one, name)}"
            )
    for one, name, count in pooled_twice(target, domains):
        yield (
            f"{one.name}: {count:,} of its {len(one.pool):,} pool rows are pool rows of {name} too, so a mixture may "
            f"train a row twice. Leave them out of one of the two, as by its `data.where`."
        )


def pooled_twice(target: Domain, domains: Mapping[str, Domain]) -> Iterator[tuple[Domain, str, int]]:
    """Which domains' pools hold rows of the target's or of an earlier domain's, whose, and how many.

    Args:
        target: The target.
        domains: The domains by name.
    """
    holder = {row.key: one.name for one in target.parts for row in one.pool}
    for one in domains.values():
        counts = Counter(holder.setdefault(row.key, one.name) for row in one.pool)
        yield from ((one, name, count) for name, count in counts.items() if name != one.name)


def domain_limit_bit(domain: Domain) -> bool:
    """Whether a domain's source has more rows than its `limit` lets through."""
    return domain.source_rows > domain.spec.data.limit


def _remedy(one: Domain, name: str) -> str:
    place = one.key
    if name != one.name:
        return f"Give both data in which no `{one.group}` is shared, or set `{place}.group: false` if it is no passage."
    every = one.spec.turns == "all"
    if every or isinstance(one.spec.group, str):
        other = (
            f"Set `{place}.split.evaluation` to {one.unparted}" if one.unparted else f"Add rows of other {one.group}s"
        )
        freed = "" if every else f", or set `{place}.group` to false"
        return f"{other}, so that each {one.group} is on one side{freed}."
    return f"Name the column of the passage as `{place}.group`, or set it to false if `{one.group}` is none."


def _read(domain: Domain) -> str:
    limit, found = domain.spec.data.limit, domain.source_rows
    read = f"{limit:,} of {found:,} rows (data.limit)" if domain_limit_bit(domain) else f"{found:,} rows"
    return f"{read}, each answer one by itself" if domain.spec.turns == "all" else read


def _amount(domain: Domain) -> Iterator[str]:
    """How many of a source's rows the mixture takes."""
    if domain.source is not None:
        yield f"{domain.amount:,} in the mixture"


def _labels(domain: Domain) -> Iterator[str]:
    """How a choice's answers were found to name the right option, where the recipe leaves it to the column."""
    if domain.labels and domain.spec.labels is None:
        yield f"each answer is {WORDS[domain.labels]}"


def _causes(domain: Domain) -> Iterator[str]:
    if dropped := domain.dropped:
        yield f"{sum(dropped.values()):,} left out: {_counts(dropped.items())}"
    if domain.changed:
        yield f"changed: {_counts(domain.changed.items())}"
    if domain.shared:
        shared = ", ".join(f"{count:,} with pool rows of {name}" for name, count in domain.shared.items())
        yield f"evaluation rows that share their {domain.group}: {shared}"


def _counts(causes: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count:,} {cause}" for cause, count in causes)
