"""A target of several sources: exact amounts, no leaks, each row once, and the whole in proportion to its parts."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_domains import COLUMNS, domain, keys, questions, recipe, save

from mixplan.domains import account, by_name, open_domains, row_warnings
from mixplan.domains.cached_domains import kept, rebuilt
from mixplan.domains.content_sketch import Content, same_content, sketch
from mixplan.domains.domain import BY_SOURCE
from mixplan.domains.joined_sources import in_proportion
from mixplan.errors import DataError
from mixplan.mixture.order import take_target
from mixplan.recipe import ColumnsSpec, DataSpec, SourceSpec, SourcesSpec, SplitSpec


def source(name: str, rows: int | None = None, **changes) -> SourceSpec:
    fields = {"data": DataSpec(file=f"{name}.jsonl"), "format": "question_answer", "columns": COLUMNS,
              "split": SplitSpec(evaluation=2, query=3, demonstration=2)}  # fmt: skip
    return SourceSpec(**{**fields, **changes, "rows": rows})


def several(**sources: SourceSpec) -> SourcesSpec:
    return SourcesSpec(sources=sources)


def opened(folder, target, **domains):
    return open_domains(recipe(target, {"law": domain("law"), **domains}), folder=folder)


@pytest.fixture
def files(tmp_path):
    for name, count in (("code", 40), ("chat", 20), ("law", 20)):
        save(tmp_path, name, questions(name, count))
    return tmp_path


def test_each_source_is_opened_as_if_it_were_the_target(files):
    whole, domains = opened(files, several(code=source("code"), chat=source("chat", turns="last")))
    assert list(by_name(whole, domains)) == ["target.chat", "target.code", "law"]
    for part in whole.sources:
        alone, _ = opened(files, domain(part.source))
        for each in ("evaluation", "query", "demonstration", "pool", "grader", "dropped", "read_rows", "fingerprint"):
            assert getattr(part, each) == getattr(alone, each), each
        assert (part.name, part.path) == (f"target.{part.source}", ("target", "sources", part.source))
        assert part.is_taught


def test_the_mixture_takes_exactly_what_is_asked_of_each_source(files):
    whole, _ = opened(files, several(code=source("code", 7), chat=source("chat")))
    taken = {one.domain.name: one.count for one in take_target(whole, None)}
    assert taken == {"target.code": 7, "target.chat": 18}
    assert whole.amount == 25
    assert "18 in the mixture" in account(whole.sources[0])
    assert "7 in the mixture" in account(whole.sources[1])


def test_more_than_a_pool_holds_is_refused_with_what_it_holds(files):
    whole, _ = opened(files, several(code=source("code", 39), chat=source("chat", 18)))
    with pytest.raises(DataError) as refused:
        take_target(whole, None)
    assert str(refused.value) == (
        "target.sources.code.rows is 39, but target.code has 38 pool rows. Lower it to 38, or leave it out to take "
        "them all."
    )


def test_two_halves_of_a_file_are_the_file(files):
    lines = (files / "code.jsonl").read_text().splitlines(keepends=True)
    for name, half in (("first", lines[:23]), ("second", lines[23:])):
        (files / f"{name}.jsonl").write_text("".join(half))
    split = SplitSpec(evaluation=0, query=3, demonstration=2)
    alone, _ = opened(files, domain("code", evaluation=0))
    whole, _ = opened(files, several(first=source("first", split=split), second=source("second", split=split)))
    assert Counter(keys(whole, "pool")) == Counter(keys(alone, "pool"))


def test_a_row_of_two_sources_is_trained_once_whatever_their_order(files):
    save(files, "more", [*questions("code", 9), *questions("more", 11)])
    code, more = source("code"), source("more")
    first, _ = opened(files, several(code=code, more=more))
    second, _ = opened(files, several(more=more, code=code))
    assert first == second
    assert max(Counter(keys(first, "pool")).values()) == 1
    assert len(keys(first, "pool", "evaluation")) == 40 + 11
    assert [part.dropped for part in first.sources] == [{}, {"duplicate of target.code": 9}]
    assert "9 duplicate of target.code" in account(first.sources[1])


def test_a_source_that_lies_wholly_in_another_says_what_helps(files):
    save(files, "more", questions("code", 9))
    with pytest.raises(DataError) as refused:
        opened(files, several(code=source("code"), more=source("more")))
    assert str(refused.value).endswith(
        "(left out: 9 duplicate of target.code), but evaluation 2 + query 3 + demonstration 2 need 7. Remove "
        "`target.sources.more`, or add rows that no other source has: even the smallest split needs 3 rows."
    )


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_no_evaluation_row_is_trained_read_or_shown_anywhere(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("sources")
    for name in ("a", "b", "law"):
        picked = data.draw(st.lists(st.integers(0, 60), min_size=25, max_size=60))
        save(folder, name, [*(f"Question {n} ?" for n in picked), *questions(name, 20)])
    seed = data.draw(st.integers(0, 1000))
    target = several(a=source("a"), b=source("b"))
    whole, domains = open_domains(recipe(target, {"law": domain("law")}, seed=seed), folder=folder)
    everyone = [*whole.sources, *domains.values()]
    held = {key for one in everyone for key in keys(one, "evaluation")}
    for one in (whole, *everyone):
        assert not held & set(keys(one, "pool", "query", "demonstration"))
    assert max(Counter(keys(whole, "evaluation", "pool")).values()) == 1


def test_every_beginning_of_what_is_read_has_the_sources_in_proportion(files):
    save(files, "code", questions("code", 400))
    save(files, "chat", questions("chat", 400))
    split = SplitSpec(evaluation=2, query=300, demonstration=60)
    whole, _ = opened(files, several(code=source("code", 60, split=split), chat=source("chat", 20, split=split)))
    for part in ("query", "demonstration"):
        rows = getattr(whole, part)
        origins = [whole.part_of(row).source for row in rows]
        for length in range(1, len(rows) + 1):
            assert abs(origins[:length].count("code") - 0.75 * length) <= 1
    # 300 queries of code are three quarters of what is read, 60 demonstrations likewise.
    assert (len(whole.query), len(whole.demonstration)) == (400, 80)


def test_the_scarcer_source_sets_how_much_is_read(files):
    split = SplitSpec(evaluation=2, query=4, demonstration=2)
    whole, _ = opened(files, several(code=source("code", 30, split=split), chat=source("chat", 10)))
    # 4 queries of code for 30 of its rows: one and a third, so one, of chat for its 10.
    assert Counter(whole.part_of(row).source for row in whole.query) == {"code": 4, "chat": 1}
    assert in_proportion([]) == ()


def test_a_rare_source_is_read_all_the_same(files):
    save(files, "code", questions("code", 900))
    split = SplitSpec(evaluation=2, query=3, demonstration=2)
    whole, _ = opened(files, several(code=source("code", 800, split=split), chat=source("chat", 1)))
    assert {whole.part_of(row).source for row in whole.query} == {"code", "chat"}


def test_a_later_plan_takes_a_target_for_the_same_in_the_same_proportions_alone(files):
    code, chat = source("code", 20), source("chat", 10)
    whole = sketch(opened(files, several(code=code, chat=chat))[0])
    assert same_content(whole, sketch(opened(files, several(one=chat, other=code))[0])) is True
    # Half of its rows lie in each of these, and all of theirs in it, but they are other jobs.
    for alone in ("code", "chat"):
        assert same_content(whole, sketch(opened(files, domain(alone))[0])) is False
    assert same_content(whole, sketch(opened(files, several(code=source("code", 10), chat=chat))[0])) is False
    assert Content.from_json(whole.as_json()) == whole


def test_named_sources_are_known_by_their_names_and_shares(files):
    def made(limit: int, rows: int) -> SourceSpec:
        return source("sums", rows, data=DataSpec(generator="chain_sum", limit=limit),
                      columns=ColumnsSpec(question="question", answer="answer"))  # fmt: skip

    def other(rows: int) -> SourceSpec:
        return source("gcd", rows, data=DataSpec(generator="gcd", limit=40),
                      columns=ColumnsSpec(question="question", answer="answer"))  # fmt: skip

    first, again, turned = (
        sketch(opened(files, several(sums=made(limit, rows), gcd=other(30 - rows)))[0])
        for limit, rows in ((40, 20), (50, 20), (40, 10))
    )
    assert first.source == again.source != turned.source
    assert same_content(first, again) is True
    assert same_content(first, turned) is False


def test_amounts_tell_two_targets_apart(files):
    one, _ = opened(files, several(code=source("code", 7), chat=source("chat")))
    other, _ = opened(files, several(code=source("code", 8), chat=source("chat")))
    assert one.fingerprint != other.fingerprint
    assert [part.fingerprint for part in one.sources] == [part.fingerprint for part in other.sources]


def test_each_source_is_graded_by_its_own_grader(files):
    whole, _ = opened(files, several(code=source("code", grader="number"), chat=source("chat", grader="math")))
    assert whole.grader == BY_SOURCE
    graders = {whole.part_of(row).source: whole.part_of(row).grader for row in whole.demonstration}
    assert graders == {"code": "number", "chat": "math"}
    same, _ = opened(files, several(code=source("code"), chat=source("chat")))
    assert same.grader == "exact"


def test_a_source_cut_by_its_limit_is_told_by_its_own_key(files):
    data = DataSpec(file="code.jsonl", limit=30)
    whole, domains = opened(files, several(code=source("code", data=data), chat=source("chat")))
    assert list(row_warnings(whole, domains)) == [
        "target.code: 30 of its 40 rows were read, as `target.sources.code.data.limit` has it; the others are not "
        "trained on. Set `target.sources.code.data.limit: 40` to take them all."
    ]


def test_messages_name_the_source_and_its_key(files):
    (files / "chat.jsonl").write_text(json.dumps({"q": "one", "b": "two"}) + "\n")
    with pytest.raises(DataError) as refused:
        opened(files, several(code=source("code"), chat=source("chat")))
    assert str(refused.value).startswith("target.sources.chat.data: target.chat: ")
    save(files, "chat", questions("chat", 4))
    with pytest.raises(DataError) as refused:
        opened(files, several(code=source("code"), chat=source("chat")))
    assert str(refused.value).startswith("target.sources.chat.split: target.chat has 4 rows, ")
    assert "Set `target.sources.chat.split` to " in str(refused.value)


def test_a_source_without_pool_rows_is_refused(files):
    save(files, "copy", [*questions("code", 40), *questions("copy", 5)])
    split = SplitSpec(evaluation=2, query=1, demonstration=2, apart=True)
    with pytest.raises(DataError, match=r"^target\.sources\.copy\.split: target\.copy has 5 rows"):
        opened(files, several(code=source("code"), copy=source("copy", split=split)))


def test_sources_come_back_from_where_they_are_kept(files):
    target = several(code=source("code", 7), chat=source("chat"))
    whole, _ = opened(files, target)
    for part in whole.sources:
        values = json.loads(json.dumps(kept(part)))
        assert rebuilt(values, part.path, target.sources[part.source]) == part
