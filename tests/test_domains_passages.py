"""Rows that share a passage stand on one side of the evaluation split; what cannot is counted."""

import random
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_domains import WITH_PASSAGE, domain, passage, passage_rows, recipe, save

from mixplan.domains import Domain, open_domains
from mixplan.domains.passages import Groups
from mixplan.domains.rows import Row
from mixplan.errors import DataError
from mixplan.recipe import ColumnsSpec, DataSpec, SplitSpec


def opened(tmp_path, rows, **changes) -> Domain:
    save(tmp_path, "law", rows)
    save(tmp_path, "target", [f"question {n}" for n in range(20)])
    law = domain("law", **{"columns": WITH_PASSAGE, "split": SplitSpec(), **changes})
    return open_domains(recipe(domain("target"), {"law": law}), folder=tmp_path)[1]["law"]


def passages_of(rows) -> set[str]:
    return {row.prompt[-1][1].splitlines()[0] for row in rows}


def test_a_shared_passage_is_found_and_kept_together(tmp_path):
    law = opened(tmp_path, passage_rows(200, 4))
    # 30 rows are asked for: seven passages with four rows each.
    assert (law.group, law.shared, len(law.evaluation), len(law.pool)) == ("passage", {}, 28, 172)
    assert not passages_of(law.evaluation) & passages_of(law.pool)
    law = opened(tmp_path, passage_rows(202, 4), split=SplitSpec(evaluation=30))
    assert (law.shared, len(law.evaluation)) == ({}, 30)
    law = opened(tmp_path, passage_rows(200, 4), group=False)
    assert (law.group, len(law.evaluation)) == (None, 30)


def test_a_column_that_the_recipe_names_holds_rows_together_whatever_it_holds(tmp_path):
    rows = [{**row, "passage": ""} for row in passage_rows(60, 3)]
    law = opened(tmp_path, rows, group="id", columns=ColumnsSpec(question="q", answer="a"))
    numbers = [{int(row.prompt[-1][1].split()[1][:-1]) // 3 for row in part} for part in (law.evaluation, law.pool)]
    assert law.group == "id"
    assert not numbers[0] & numbers[1]
    with pytest.raises(DataError, match="no column 'idd'"):
        opened(tmp_path, rows, group="idd", columns=ColumnsSpec(question="q", answer="a"))


def test_a_column_that_the_recipe_names_holds_rows_together_however_many_share_it(tmp_path):
    rows = [{"q": f"question {n}?", "a": "yes", "doc": "A" if n < 60 else f"B{n % 8}"} for n in range(100)]
    columns, docs = ColumnsSpec(question="q", answer="a"), {f"question {n}?": rows[n]["doc"] for n in range(100)}
    law = opened(tmp_path, rows, group="doc", columns=columns, split=SplitSpec(evaluation=20))
    sides = [{docs[row.prompt[-1][1]] for row in part} for part in (law.evaluation, law.pool)]
    assert (law.group, law.shared, len(law.evaluation)) == ("doc", {}, 20)
    assert not sides[0] & sides[1]
    one = opened(tmp_path, [{**row, "doc": "A"} for row in rows], group="doc", columns=columns)
    assert (one.shared, one.unparted) == ({"law": 15}, 0)


@pytest.mark.parametrize(("number", "grouped"), [(20, None), (4, None), (4, "doc")])
def test_conversations_stay_whole_where_one_has_most_of_the_answers(tmp_path, number, grouped):
    sizes = [60] + [5] * number
    chats = [
        {"m": [turn for t in range(size) for turn in said(f"question {n} {t}?")], "doc": f"d{n // 2}"}
        for n, size in enumerate(sizes)
    ]
    changes = {"group": grouped} if grouped else {}
    split = SplitSpec(evaluation=10)
    law = opened(
        tmp_path, chats, format="messages", columns=ColumnsSpec(messages="m"), turns="all", split=split, **changes
    )
    chat_of = [
        {int(row.prompt[0][1].split()[1]) // (2 if grouped else 1) for row in p} for p in (law.evaluation, law.pool)
    ]
    assert (law.group, len(law.evaluation), law.shared) == (grouped or "conversation", 10, {})
    assert not chat_of[0] & chat_of[1]


def said(question: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": "yes"}]


@pytest.mark.parametrize(
    ("sizes", "evaluation", "unparted"), [([60, 3, 3], 20, 6), ([30, 40, 50], 10, 30), ([80], 10, 0), ([50, 6], 5, 6)]
)
def test_where_named_rows_cannot_stay_together_a_number_is_named_with_which_they_do(
    tmp_path, sizes, evaluation, unparted
):
    docs = [f"d{n}" for n, size in enumerate(sizes) for _ in range(size)]
    rows = [{"q": f"law {n}?", "a": "yes", "doc": doc} for n, doc in enumerate(docs)]
    columns = ColumnsSpec(question="q", answer="a")
    law = opened(tmp_path, rows, group="doc", columns=columns, split=SplitSpec(evaluation=evaluation))
    assert law.shared["law"] > 0
    assert law.unparted == unparted
    if unparted:
        mended = opened(tmp_path, rows, group="doc", columns=columns, split=SplitSpec(evaluation=unparted))
        assert (len(mended.evaluation), mended.shared) == (unparted, {})


def test_a_column_may_be_called_as_what_answers_of_a_conversation_share(tmp_path):
    rows = [{"q": f"law {n}?", "a": "yes", "conversation": f"c{n // 3}"} for n in range(30)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "law.parquet")
    data = DataSpec(file="law.parquet")
    law = opened(tmp_path, [], group="conversation", columns=ColumnsSpec(question="q", answer="a"), data=data)
    assert law.group == "conversation"


def test_what_cannot_be_kept_apart_is_counted(tmp_path):
    law = opened(tmp_path, passage_rows(60, 20))
    assert (law.group, len(law.evaluation), law.shared) == ("passage", 9, {"law": 9})


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        ([{**row, "passage": passage(0)} for row in passage_rows(60, 3)], WITH_PASSAGE),
        (
            [
                {**row, "passage": "Which is right?" if row["id"] % 2 else passage(row["id"])}
                for row in passage_rows(60, 1)
            ],
            WITH_PASSAGE,
        ),
        ([{**row, "q": passage(row["id"])} for row in passage_rows(60, 1)], ColumnsSpec(question="q", answer="a")),
    ],
    ids=["an instruction", "a stock question", "one column"],
)
def test_what_is_no_passage_holds_no_rows_together(tmp_path, rows, columns):
    assert opened(tmp_path, rows, columns=columns).group is None


def test_a_passage_of_another_domain_s_evaluation_is_counted(tmp_path):
    save(tmp_path, "law", passage_rows(40, 4))
    save(tmp_path, "more", [{**row, "q": f"other {n}?"} for n, row in enumerate(passage_rows(40, 4))])
    save(tmp_path, "target", [f"question {n}" for n in range(20)])
    split = SplitSpec(evaluation=4)
    domains = {name: domain(name, columns=WITH_PASSAGE, split=split) for name in ("law", "more")}
    _, found = open_domains(recipe(domain("target"), domains), folder=tmp_path)
    same = passages_of(found["law"].evaluation) == passages_of(found["more"].evaluation)
    assert found["law"].shared == ({} if same else {"more": 4})


def row(number: int) -> Row:
    return Row(id=str(number), key=f"k{number}", prompt=(("user", str(number)),), answer="")


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=20), count=st.integers(0, 40), seed=st.integers(0, 99))
def test_a_draw_is_as_large_as_asked_and_keeps_together_what_fits(sizes, count, seed):
    keys = {}
    for passage_number, size in enumerate(sizes):
        for _ in range(size):
            keys[str(len(keys))] = f"p{passage_number}"
    rows = [row(number) for number in range(len(keys))]
    random.Random(seed).shuffle(rows)
    groups = Groups("passage", keys)
    filled, drawn = (groups.draw(rows, count, seed, fill=fill) for fill in (True, False))
    assert len(filled) == min(count, len(rows))
    assert [one for one in rows if one in filled] == filled
    assert len(drawn) <= len(filled)
    parted = [name for name, number in Counter(keys[one.id] for one in drawn).items() if number < sizes[int(name[1:])]]
    assert not parted or len(drawn) == count
    whole = [size for size in sizes if size <= count]
    if 2 * max(whole, default=0) >= count:
        assert not parted
    assert Groups().draw(rows, count, seed, fill=False) == rows[:count]


def test_each_row_is_as_likely_to_be_held_out_whatever_its_passage():
    """Rows of large passages and of small ones: over many seeds their shares agree within five standard deviations."""
    keys = {str(n): f"large{n // 5}" if n < 100 else f"small{n // 2}" for n in range(200)}
    rows = [row(number) for number in range(200)]
    seeds = 300
    drawn = [row for seed in range(seeds) for row in Groups("passage", keys).draw(rows, 40, seed, fill=True)]
    large = sum(int(one.id) < 100 for one in drawn)
    # 40 rows are about eight passages of five: their number varies with the standard deviation of a draw of those.
    assert abs(large / seeds - 20) < 5 * (5 * 8**0.5 / 2) / seeds**0.5 + 1
