"""reasoning-gym's entries as rows, kept between runs."""

import json

import pytest

from mixplan.domains import count_rows, read_records, read_rows
from mixplan.domains.generator import Generator, open_generator
from mixplan.errors import DataError, RunError
from mixplan.recipe import ColumnsSpec, DataSpec, DomainSpec

COLUMNS = ColumnsSpec(question="question", answer="answer", rationale="metadata.answer_cot")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_worked_problems_keep_their_entry_for_their_own_scorer(tmp_path):
    from reasoning_gym import get_score_answer_fn

    data = DataSpec(generator="gsm_symbolic", limit=5)
    rows = list(read_rows(DomainSpec(data=data, format="question_answer", columns=COLUMNS), folder=tmp_path, seed=3))
    assert [row.id for row in rows] == [f"gsm_symbolic:{index}" for index in range(5)]
    score = get_score_answer_fn("gsm_symbolic")
    for row in rows:
        assert row.rationale.endswith(row.answer)
        assert score(row.answer, entry=json.loads(row.entry)) == 1.0
        assert score("none", entry=json.loads(row.entry)) < 1.0


def test_entries_follow_seed_size_and_options(tmp_path):
    def questions(seed: int, **changes) -> list[str]:
        data = DataSpec(generator="chain_sum", **{"limit": 4, **changes})
        return [row["question"] for row in read_records(data, folder=tmp_path, seed=seed)]

    assert questions(1) == questions(1)
    assert questions(1) != questions(2)
    assert len(questions(1, limit=7)) == 7
    assert all(
        question.count("+") + question.count("-") == 5
        for question in questions(1, options={"min_terms": 6, "max_terms": 6})
    )


def test_kept_entries_are_not_made_again_and_damage_is_noticed(tmp_path, cache, monkeypatch):
    data = DataSpec(generator="chain_sum", limit=4)
    made = list(read_records(data, folder=tmp_path, seed=1))
    with monkeypatch.context() as patch:
        patch.setattr(Generator, "create", lambda self: pytest.fail("made again"))
        assert list(read_records(data, folder=tmp_path, seed=1)) == made
    [kept] = (cache / "generated").iterdir()
    kept.write_bytes(kept.read_bytes().replace(b"question", b"qestion", 1))
    assert list(read_records(data, folder=tmp_path, seed=1)) == made
    assert sorted(path.name for path in (cache / "generated").iterdir()) == [kept.name, f"{kept.name}.aside"]


def test_entries_are_made_where_nothing_can_be_kept(tmp_path, monkeypatch):
    def full(path, data):
        raise RunError("the disk is full")

    monkeypatch.setattr("mixplan.domains.generator.store", full)
    assert len(list(read_records(DataSpec(generator="chain_sum", limit=2), folder=tmp_path, seed=1))) == 2


def test_counting_makes_no_entry(tmp_path, monkeypatch):
    monkeypatch.setattr(Generator, "_lines", lambda self: pytest.fail("made"))
    assert count_rows(DataSpec(generator="chain_sum", limit=12_345), tmp_path) == 12_345


def test_a_scorer_that_fails_on_saved_entries_is_noticed():
    assert open_generator(DataSpec(generator="chain_sum", limit=1), 0).scores_saved_entries()
    assert not open_generator(DataSpec(generator="arc_agi", limit=1), 0).scores_saved_entries()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            DataSpec(generator="gsm_symbolik"),
            "generator 'gsm_symbolik': reasoning-gym has none of that name. Did you mean 'gsm_symbolic'?",
        ),
        (DataSpec(generator="xqzw"), "generator 'xqzw': reasoning-gym has none of that name."),
        (
            DataSpec(generator="chain_sum", options={"min_term": 3}),
            "generator 'chain_sum': no option 'min_term'. Did you mean 'min_terms'?",
        ),
        (
            DataSpec(generator="chain_sum", options={"min_terms": 9}),
            "generator 'chain_sum': its options are refused (max_terms must be >= min_terms). Change its `options`.",
        ),
        (
            DataSpec(generator="chain_sum", options={"min_terms": "two"}),
            "generator 'chain_sum': its options are refused ('>' not supported between instances of 'str' and 'int'). "
            "Change its `options`.",
        ),
    ],
)
def test_wrong_names_and_options(data, message, tmp_path):
    for use in (lambda: list(read_records(data, folder=tmp_path, seed=0)), lambda: count_rows(data, tmp_path)):
        with pytest.raises(DataError) as caught:
            use()
        assert str(caught.value) == message


def test_a_generator_that_fails(tmp_path, monkeypatch):
    class Failing:
        def __getitem__(self, index):
            raise ValueError("no such grid")

    monkeypatch.setattr(Generator, "create", lambda self: Failing())
    with pytest.raises(DataError) as caught:
        list(read_records(DataSpec(generator="chain_sum", limit=2), folder=tmp_path, seed=0))
    assert str(caught.value) == (
        "generator 'chain_sum', row 1: it could not make an entry (no such grid). Change its `options`."
    )
