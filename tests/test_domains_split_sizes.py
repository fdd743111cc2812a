"""How many rows each part of a split has, where the recipe says so and where it does not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_domains import domain, questions, recipe, refused, save

from mixplan.domains import open_domains
from mixplan.domains.split_sizes import demonstration_rows, evaluation_rows, query_rows, smaller
from mixplan.recipe import DriftSpec, Recipe, SplitSpec, StsSpec


@pytest.mark.parametrize(
    ("rows", "held_out", "shown", "read"),
    [(271, 40, 40, 191), (817, 100, 40, 677), (25_000, 100, 40, 1000), (20, 3, 5, 12), (7, 1, 5, 1), (6, 0, 5, 1)],
)
def test_sizes_follow_the_rows(rows, held_out, shown, read):
    split = SplitSpec()
    assert evaluation_rows(split, rows, shown=5, elsewhere=False) == held_out
    assert demonstration_rows(split, rows - held_out, shown=5) == shown
    assert query_rows(split, rows - held_out - shown) == read


def test_what_is_given_is_kept_and_the_rest_gives_way():
    split = SplitSpec(query=200, demonstration=20)
    assert evaluation_rows(split, 231, shown=5, elsewhere=False) == 11
    assert demonstration_rows(split, 220, shown=5) == 20
    assert query_rows(split, 200) == 200
    assert evaluation_rows(SplitSpec(evaluation=0), 817, shown=5, elsewhere=False) == 0
    assert evaluation_rows(SplitSpec(query=3), 10, shown=5, elsewhere=True) == 1


def test_a_pool_of_its_own_gets_its_share():
    assert query_rows(SplitSpec(apart=True), 100) == 70
    assert smaller({"evaluation": 100, "query": 100}, {"evaluation": 1, "query": 1}, 100, pool=True) == {
        "evaluation": 35,
        "query": 35,
    }
    assert smaller({"evaluation": 100, "query": 100}, {"evaluation": 1, "query": 1}, 100, pool=False) == {
        "evaluation": 50,
        "query": 50,
    }


def test_a_domain_too_small_for_its_split(tmp_path):
    save(tmp_path, "target", questions("target", 20))
    save(tmp_path, "law", [*questions("law", 96), *questions("law", 4)])
    law = domain("law", evaluation=100, query=200, demonstration=40)
    message = refused(recipe(domain("target"), {"law": law}, sts=StsSpec(demonstrations=5)), tmp_path)
    assert message == (
        "domains.law.split: domain 'law' has 96 rows (left out: 4 duplicate), but evaluation 100 + query 200 + "
        "demonstration 40 need 340. Set `domains.law.split` to {evaluation: 27, query: 54, demonstration: 14}, "
        "leave it out, or add data."
    )
    for suggested in (SplitSpec(evaluation=27, query=54, demonstration=14), SplitSpec()):
        plan = recipe(domain("target"), {"law": domain("law", split=suggested)}, sts=StsSpec(demonstrations=5))
        _, domains = open_domains(plan, folder=tmp_path)
        assert len(domains["law"].pool) == 96 - len(domains["law"].evaluation)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 40),
    evaluation=st.integers(0, 50),
    query=st.integers(1, 50),
    demonstration=st.integers(2, 50),
    is_target=st.booleans(),
    apart=st.booleans(),
)
def test_what_is_suggested_works(tmp_path_factory, rows, evaluation, query, demonstration, is_target, apart):
    folder = tmp_path_factory.mktemp("split")
    save(folder, "a", questions("a", rows))
    save(folder, "b", questions("b", 20))
    asked = {"evaluation": evaluation, "query": query, "demonstration": demonstration}

    def plan(split: dict[str, int], apart: bool = apart) -> Recipe:
        one = domain("a", split=SplitSpec(**split, apart=apart))
        pair = (one, domain("b")) if is_target else (domain("b"), one)
        return recipe(pair[0], {"other": pair[1]}, drift=DriftSpec(demonstrations=2), sts=StsSpec(demonstrations=2))

    needed = evaluation + query + demonstration + (is_target and apart)
    if needed <= rows:
        open_domains(plan(asked), folder=folder)
        return
    message = refused(plan(asked), folder)
    place = "target" if is_target else "domains.other"
    if "Add data" in message:
        enough = int(message.rpartition("needs ")[2].split()[0])
        assert rows < enough <= 10
        return
    if f"Leave out `{place}.split`" in message:
        open_domains(plan({}, apart=False), folder=folder)
        return
    listed = message.partition(f"Set `{place}.split` to {{")[2].partition("}")[0].removesuffix(", apart: true")
    split = {part: int(count) for part, count in (item.split(": ") for item in listed.split(", "))}
    assert split["demonstration"] >= 2
    assert (split["evaluation"] == 0) == (evaluation == 0)
    target, domains = open_domains(plan(split), folder=folder)
    assert (target if is_target else domains["other"]).pool


@settings(max_examples=12, deadline=None)
@given(rows=st.integers(1, 30) | st.integers(1, 800), shown=st.integers(1, 6), is_target=st.booleans())
def test_a_split_that_is_not_given_follows_the_number_of_rows(tmp_path_factory, rows, shown, is_target):
    """Any data that can be shown, asked about and trained on is split; all but the evaluation rows are trained on."""
    folder = tmp_path_factory.mktemp("split")
    save(folder, "a", questions("a", rows))
    save(folder, "b", questions("b", 20))
    one = domain("a", split=SplitSpec())
    pair = (one, domain("b")) if is_target else (domain("b"), one)
    shots = {"drift": DriftSpec(demonstrations=shown), "sts": StsSpec(demonstrations=shown)}
    plan = recipe(pair[0], {"other": pair[1]}, **shots)
    if rows < shown + 1:
        assert f"even the smallest split needs {shown + 1} rows" in refused(plan, folder)
        return
    target, domains = open_domains(plan, folder=folder)
    found = target if is_target else domains["other"]
    assert len(found.evaluation) == min(100, max(1, int(0.15 * rows)), rows - shown - 1)
    assert len(found.pool) == rows - len(found.evaluation)
    assert shown <= len(found.demonstration) <= 40
    assert 1 <= len(found.query) == min(1000, len(found.pool) - len(found.demonstration))


def test_dialogues_as_a_support_desk_has_them_are_nearly_all_trained_on(tmp_path):
    save(tmp_path, "target", questions("target", 271))
    save(tmp_path, "law", questions("law", 20))
    target, _ = open_domains(recipe(domain("target", split=SplitSpec()), {"law": domain("law")}), folder=tmp_path)
    assert (len(target.evaluation), len(target.pool)) == (40, 231)
