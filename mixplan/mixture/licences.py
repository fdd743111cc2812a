"""Finds the rows of a mixture that may not be used freely: non-commercial or unknown licences, public test splits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

from mixplan.domains import Domain
from mixplan.errors import RecipeError
from mixplan.recipe import DomainSpec, MixtureSpec, Recipe

FEW_USES = "(?:research|evaluation|personal|private|educational|scientific)"
REFUSED = "(?:not?|prohibited|forbidden|disallowed|excluded)"
NON_COMMERCIAL = re.compile(
    r"(?i)(?<![a-z])nc(?![a-z])|non ?commercial|non ?profit|not for profit|academic(?! free)"
    r"|\b(?:not?|without)\b(?! restriction)[a-z ]{0,20}\bcommercial"
    r"|\b(?:prohibit|forbid|disallow|exclud|except)[a-z]*[a-z ]{0,20}\bcommercial"
    rf"|\bcommercial(?: (?:use|usage|purposes?))?(?: is| are)? {REFUSED}\b"
    rf"|\b{FEW_USES}(?: use| purposes?)? only|\bonly[a-z ]{{0,12}}\b{FEW_USES}"
)
"""Of a licence in which dashes, underscores and runs of space are one space."""
BETWEEN_WORDS = re.compile(r"[\s_\-\u2010-\u2015\u2212]+")
UNKNOWN = (
    "",
    "unknown",
    "other",
    "none",
    "no",
    "null",
    "n/a",
    "na",
    "?",
    "-",
    "tbd",
    "unspecified",
    "not specified",
    "unlicensed",
    "no license",
    "no licence",
)
TEST = re.compile(r"(?i)(?<![a-z])test(?:mini|set|split|data|ing)?(?![a-z])")

WORDS = {
    "non_commercial": "have a licence that forbids commercial use",
    "unknown": "have no known licence",
    "test_split": "come from a public test split, on which the trained model can then not be compared with others",
}
"""What `mixture.licences.exclude` may name, in words."""


def restrictions(spec: DomainSpec) -> tuple[str, ...]:
    """Which of `WORDS` hold for a domain's rows; a file of the person's own needs no licence and is no public split."""
    data, licence = spec.data, (spec.licence or "").strip()
    public = data.hub is not None or data.package is not None
    found = ["non_commercial"] if NON_COMMERCIAL.search(BETWEEN_WORDS.sub(" ", licence)) else []
    if public and licence.lower() in UNKNOWN:
        found.append("unknown")
    split = data.split or "train" if data.hub is not None else PurePath(data.file or "").name
    if public and TEST.search(split):
        found.append("test_split")
    return tuple(found)


def require_own_rows(recipe: Recipe) -> None:
    """Check, by what the recipe says alone, that no rows of the target are excluded from the mixture.

    Raises:
        RecipeError: the target's own rows, or those of a source of it, are excluded.
    """
    excluded = recipe.mixture.licences.exclude
    for name, (path, spec) in recipe.target_sections.items():
        if found := [kind for kind in restrictions(spec) if kind in excluded]:
            whose = "the target's own rows" if name == "target" else f"the rows of {name}"
            kind, licence = found[0], f" ({spec.licence})" if spec.licence else ""
            key = ".".join(map(str, path))
            if kind == "test_split":
                licence, remedy = "", f"Choose another split for `{key}.data`, or other data"
            else:
                remedy = f"Correct `{key}.licence` or choose other data"
            raise RecipeError(
                f"mixture.licences.exclude names {kind}, but {whose} {WORDS[kind]}{licence}. {remedy}, or take {kind} "
                "out."
            )


def allowed(spec: MixtureSpec, domains: Mapping[str, Domain]) -> dict[str, Domain]:
    """The domains as far as a mixture may take their rows: without a pool where they are excluded."""
    excluded = set(spec.licences.exclude)
    return {
        name: replace(domain, pool=()) if excluded & set(restrictions(domain.spec)) else domain
        for name, domain in domains.items()
    }


def excluded_lines(spec: MixtureSpec, domains: Mapping[str, Domain]) -> Iterator[str]:
    """Say of which domains all pool rows are left out of the mixture, with their count."""
    excluded = set(spec.licences.exclude)
    for name, domain in domains.items():
        if kinds := [kind for kind in restrictions(domain.spec) if kind in excluded]:
            yield (
                f"{name}: `mixture.licences.exclude` leaves its {len(domain.pool):,} pool rows out of the mixture, "
                f"since they {WORDS[kinds[0]]}"
            )


def licence_warnings(rows: Sequence[tuple[Domain, int]]) -> Iterator[str]:
    """Say how many rows of a mixture are under each restriction.

    Args:
        rows: The target and the domains, each with its rows in the mixture.
    """
    for kind, words in WORDS.items():
        found = [(one, count) for one, count in rows if count and kind in restrictions(one.spec)]
        if found:
            listed = ", ".join(f"{one.name} {count:,}" for one, count in found)
            remedy = f" `mixture.licences.exclude: [{kind}]` leaves such domains' rows out."
            remedy = "" if all(one.is_taught for one, _ in found) else remedy
            yield f"{sum(count for _, count in found):,} rows of the mixture {words}: {listed}.{remedy}"


def licence_outlook(taken: Sequence[tuple[Domain, int]], domains: Mapping[str, Domain]) -> Iterator[str]:
    """Say before a plan which rows would be under each restriction.

    Args:
        taken: The target, or each of its sources, with its rows in the mixture.
        domains: Whose rows in the mixture the plan will tell.
    """
    for kind, words in WORDS.items():
        sure = [
            f"{one.name if one.source else 'the target'}'s {count:,}"
            for one, count in taken
            if kind in restrictions(one.spec)
        ]
        names = [name for name, domain in domains.items() if domain.pool and kind in restrictions(domain.spec)]
        if names:
            sure.append(f"as many of {', '.join(names)} as a plan takes")
        if sure:
            remedy = f" `mixture.licences.exclude: [{kind}]` leaves such domains' rows out." if names else ""
            yield f"rows of the mixture {words}: {', and '.join(sure)}.{remedy}"
