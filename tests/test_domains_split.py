"""The split puts no row in two parts and none in another's evaluation, and refuses what it cannot split."""

import dataclasses
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_domains import domain, keys, questions, recipe, refused, save

from mixplan.domains import open_domains
from mixplan.domains.split import PARTS
from mixplan.recipe import (
    ColumnsSpec,
    DataSpec,
    SplitSpec,
    StsSpec,
)

LOOKS = [str.upper, str.title, lambda text: f"  “{text}”?! ", lambda text: text.replace(" ", "\n\t")]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_row_and_no_duplicate_is_in_two_places(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("split")
    names = ["target", "law", "math"]
    for name in names:
        picked = data.draw(st.lists(st.integers(0, 60), min_size=25, max_size=60))
        looks = data.draw(st.lists(st.sampled_from([str, *LOOKS]), min_size=len(picked), max_size=len(picked)))
        save(
            folder,
            name,
            [*(look(f"question {n}") for n, look in zip(picked, looks, strict=True)), *questions(name, 20)],
        )
    split = {"evaluation": data.draw(st.integers(0, 5)), "query": data.draw(st.integers(1, 5))}
    seed = data.draw(st.integers(0, 1000))
    plan = recipe(domain("target", **split), {name: domain(name, **split) for name in names[1:]}, seed=seed)
    target, domains = open_domains(plan, folder=folder)
    everyone = [target, *domains.values()]
    for one in everyone:
        assert len(keys(one, "evaluation", "pool")) == len(set(keys(one))) == len(one.rows)
        assert len(keys(one, "query", "demonstration")) == len(set(keys(one, "query", "demonstration")))
        assert set(keys(one, "query", "demonstration")) < set(keys(one, "pool"))
        assert len(one.evaluation) == split["evaluation"]
        assert len(one.query) == split["query"]
        assert one.read_rows == len(one.rows) + sum(one.dropped.values())
        for other in everyone:
            if other is not one:
                assert not set(keys(one, "evaluation")) & set(keys(other, "query", "demonstration", "pool"))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), shuffle=st.randoms(use_true_random=False))
def test_the_order_of_the_source_does_not_matter(tmp_path_factory, seed, shuffle):
    folder = tmp_path_factory.mktemp("split")
    rows = [{"q": f"question {index % 30}", "a": str(index)} for index in range(50)]
    save(folder, "target", questions("target", 20))
    plan = recipe(domain("target"), {"law": domain("law")}, seed=seed)
    found = []
    for _ in range(2):
        save(folder, "law", rows)
        _, domains = open_domains(plan, folder=folder)
        found.append(domains["law"])
        shuffle.shuffle(rows)
    for part in PARTS:
        before, after = ([dataclasses.replace(row, id="") for row in getattr(one, part)] for one in found)
        assert before == after
    assert found[0].fingerprint == found[1].fingerprint
    assert found[0].dropped == found[1].dropped == {"duplicate": 20}


def test_the_seed_the_rows_and_the_parts_change_the_fingerprint(tmp_path):
    save(tmp_path, "target", questions("target", 20))
    save(tmp_path, "law", questions("law", 20))

    def print_of(seed=0, **split) -> str:
        plan = recipe(domain("target"), {"law": domain("law", **split)}, seed=seed)
        return open_domains(plan, folder=tmp_path)[1]["law"].fingerprint

    first = print_of()
    assert print_of() == first
    assert print_of(seed=1) != first
    assert print_of(query=4) != first
    save(tmp_path, "law", [{"q": "law question 0", "a": "no"}, *questions("law", 20)[1:]])
    assert print_of() != first


def test_another_domains_evaluation_is_taken_out_and_reported(tmp_path):
    save(tmp_path, "target", questions("target", 20))
    save(tmp_path, "law", questions("law", 12))
    save(tmp_path, "mixed", [*questions("law", 12), *questions("target", 20), *questions("mixed", 20)])
    plan = recipe(domain("target"), {"law": domain("law"), "mixed": domain("mixed", evaluation=0)})
    target, domains = open_domains(plan, folder=tmp_path)
    assert domains["mixed"].dropped == {"in evaluation of law": 2, "in evaluation of target": 2}
    assert len(domains["mixed"].rows) == len(domains["mixed"].pool) == 48
    assert target.dropped == domains["law"].dropped == {}


def test_the_same_data_twice_is_evaluated_on_the_same_rows(tmp_path):
    save(tmp_path, "target", questions("x", 20))
    save(tmp_path, "law", questions("x", 20))
    target, domains = open_domains(recipe(domain("target"), {"law": domain("law")}), folder=tmp_path)
    assert keys(target, "evaluation") == keys(domains["law"], "evaluation")


@pytest.mark.parametrize("apart", [False, True])
def test_demonstrations_from_data_of_their_own(tmp_path, apart):
    save(tmp_path, "target", questions("target", 20))
    save(tmp_path, "law", questions("law", 20))
    save(tmp_path, "worked", [*questions("worked", 3), "Law question 7!", "law question 8", *questions("law", 2)])
    split = SplitSpec(evaluation=2, query=3, demonstration=9, apart=apart)
    plan = recipe(domain("target"), {"law": domain("law", demonstrations=DataSpec(file="worked.jsonl"), split=split)})
    law = open_domains(plan, folder=tmp_path)[1]["law"]
    held, shown = set(keys(law, "evaluation")), set(keys(law, "demonstration"))
    assert all(row.id.startswith("worked.jsonl:") for row in law.demonstration)
    assert len(law.demonstration) == 7 - law.dropped.get("in evaluation of law", 0)
    assert not held & shown
    assert not shown & set(keys(law, "query"))
    assert law.read_rows == 27
    if apart:
        assert law.dropped["also a demonstration"] == len(law.demonstration) - 3
        assert len(keys(law)) == len(set(keys(law)))
    else:
        assert len(law.pool) == 18
        assert "also a demonstration" not in law.dropped


def test_graders(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "cache"))
    save(tmp_path, "target", questions("target", 20))
    (tmp_path / "choice.jsonl").write_text(
        "".join(json.dumps({"q": f"q{n}", "o": ["x", "y"], "a": "A"}) + "\n" for n in range(20))
    )
    asked = ColumnsSpec(question="question", answer="answer")
    plan = recipe(
        domain("target"),
        {
            "exact": domain("target"),
            "number": domain("target", grader="number"),
            "choice": domain("choice", format="choice", columns=ColumnsSpec(question="q", options="o", answer="a")),
            "sum": domain("", data=DataSpec(generator="chain_sum", limit=20), columns=asked),
            "grid": domain("", data=DataSpec(generator="arc_agi", limit=10), columns=asked),
        },
    )
    _, domains = open_domains(plan, folder=tmp_path)
    graders = {name: one.grader for name, one in domains.items()}
    assert graders == {"exact": "exact", "number": "number", "choice": "choice", "sum": "generator", "grid": "exact"}
    assert domains["choice"].grader == "choice"
    grid = domain("", data=DataSpec(generator="arc_agi", limit=10), columns=asked, grader="generator")
    assert refused(recipe(domain("target"), {"grid": grid}), tmp_path) == (
        "domains.grid.grader: domain 'grid': generator 'arc_agi': its scorer does not accept its own saved answers. "
        "Set `grader` to `exact`."
    )


def test_what_is_read_comes_last_in_the_pool(tmp_path):
    """A mixture smaller than the pool is drawn from rows that were not read, as long as there are any."""
    save(tmp_path, "target", questions("target", 20))
    save(tmp_path, "law", questions("law", 20))
    plan = recipe(domain("target"), {"law": domain("law")})
    apart = SplitSpec(evaluation=2, query=3, demonstration=2, apart=True)
    target, _ = open_domains(plan, folder=tmp_path)
    again, _ = open_domains(recipe(domain("target", split=apart), plan.domains), folder=tmp_path)
    assert keys(target, "pool") == keys(again, "pool", "query", "demonstration")
    assert len(again.pool) == 13
    assert target.fingerprint != again.fingerprint


def test_a_target_without_rows_to_train_on(tmp_path):
    save(tmp_path, "target", questions("target", 7))
    save(tmp_path, "law", questions("law", 20))
    apart = domain("target", split=SplitSpec(evaluation=2, query=3, demonstration=2, apart=True))
    assert refused(recipe(apart, {"law": domain("law")}), tmp_path, where=lambda path: "math.yaml:9") == (
        "math.yaml:9: target has 7 rows, but evaluation 2 + query 3 + demonstration 2 + 1 to train on need 8. "
        "Set `target.split` to {evaluation: 1, query: 1, demonstration: 1, apart: true}, leave it out, or add data."
    )
    assert len(open_domains(recipe(domain("target"), {"law": domain("law")}), folder=tmp_path)[0].pool) == 5
    save(tmp_path, "target", questions("target", 2))
    assert refused(recipe(domain("target"), {"law": domain("law")}), tmp_path) == (
        "target.split: target has 2 rows, but evaluation 2 + query 3 + demonstration 2 need 7. "
        "Add data: even the smallest split needs 3 rows."
    )


def test_a_violation_that_dropping_pool_rows_cannot_repair(tmp_path):
    save(tmp_path, "target", questions("target", 20))
    save(tmp_path, "law", questions("law", 40))
    save(tmp_path, "copy", questions("law", 10))
    plan = recipe(domain("target"), {"law": domain("law", evaluation=35), "copy": domain("copy")})
    message = refused(plan, tmp_path)
    _, _, left_out = message.partition("(left out: ")
    count = int(left_out.split()[0])
    assert 4 <= count <= 8
    assert message == (
        f"domains.copy.split: domain 'copy' has {10 - count} rows (left out: {count} in evaluation of law), "
        f"but evaluation 2 + query 3 + demonstration 2 need 7. {message.partition('need 7. ')[2]}"
    )


def test_too_few_demonstrations_of_their_own(tmp_path):
    save(tmp_path, "target", questions("target", 20))
    save(tmp_path, "law", questions("law", 20))
    save(tmp_path, "worked", questions("worked", 2))
    law = domain("law", demonstration=9, demonstrations=DataSpec(file="worked.jsonl"))
    assert refused(recipe(domain("target"), {"law": law}, sts=StsSpec(demonstrations=5)), tmp_path) == (
        "domains.law.demonstrations: domain 'law' has 2 demonstration rows, but sts.demonstrations puts 5 in front of "
        "a query. Lower `sts.demonstrations` to 2, remove `domains.law.demonstrations`, so that they come from `data`, "
        "or add data."
    )


def test_problems_open_with_their_place_and_files_with_their_folder(tmp_path):
    (tmp_path / "suite").mkdir()
    save(tmp_path, "target", questions("target", 20))
    save(tmp_path / "suite", "law", questions("law", 20))

    def folder(path) -> Path:
        assert path[-1] == "file"
        return tmp_path if path[0] == "target" else tmp_path / "suite"

    def where(path) -> str:
        return f"r.yaml:{len(path)}"

    plan = recipe(domain("target"), {"law": domain("law")})
    assert len(open_domains(plan, folder=folder, where=where)[1]["law"].pool) == 18
    assert refused(recipe(domain("target"), {"law": domain("lav")}), folder, where=where) == (
        f"r.yaml:3: domain 'law': {tmp_path}/suite/lav.jsonl: not there. Did you mean 'law.jsonl'?"
    )
    broken = domain("target", columns=ColumnsSpec(question="{q", answer="a"))
    assert refused(recipe(broken, {"law": domain("law")}), folder, where=where) == (
        "r.yaml:2: target: template '{q': '{' is not a place. Write `{column}`; double a brace that is text."
    )


def test_a_pool_is_a_fair_draw(tmp_path):
    """Each row is as likely to be in any part: over many seeds the counts stay within five standard deviations."""
    save(tmp_path, "target", questions("target", 20))
    save(tmp_path, "law", questions("law", 10))
    counts = dict.fromkeys(range(10), 0)
    seeds = random.Random(0).sample(range(2**31), 60)
    for seed in seeds:
        plan = recipe(domain("target"), {"law": domain("law", evaluation=5, query=1, demonstration=1)}, seed=seed)
        for row in open_domains(plan, folder=tmp_path)[1]["law"].evaluation:
            counts[int(row.id.partition(":")[2])] += 1
    deviation = (60 * 0.25) ** 0.5
    assert all(abs(count - 30) < 5 * deviation for count in counts.values())


def test_the_answers_of_a_conversation_are_on_one_side(tmp_path):
    """Every answer is a row, and none of a held-out conversation is trained on."""
    rows = [
        {
            "m": [
                {"role": role, "content": f"{role} {chat} {turn}"}
                for turn in range(3)
                for role in ("user", "assistant")
            ]
        }
        for chat in range(30)
    ]
    (tmp_path / "target.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    save(tmp_path, "law", questions("law", 20))
    target = domain("target", format="messages", columns=ColumnsSpec(messages="m"), turns="all",
                    split=SplitSpec(evaluation=12, query=20, demonstration=4))  # fmt: skip
    opened, _ = open_domains(recipe(target, {"law": domain("law")}), folder=tmp_path)
    held, trained = ({row.id.rpartition(".")[0] for row in rows} for rows in (opened.evaluation, opened.pool))
    assert len(opened.evaluation) == 12
    assert len(opened.evaluation) + len(opened.pool) == 90
    assert not held & trained
    assert len({row.answer for row in opened.pool}) == len(opened.pool) == 78


def test_rows_that_differ_in_their_system_turn_are_different_rows(tmp_path):
    def chat(word: str, language: str) -> dict:
        turns = [("system", f"Translate into {language}."), ("user", word), ("assistant", f"{word} in {language}")]
        return {"m": [{"role": role, "content": text} for role, text in turns]}

    rows = [chat(f"word {number}", language) for number in range(20) for language in ("German", "French", "Dutch")]
    (tmp_path / "target.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]))
    save(tmp_path, "law", questions("law", 20))
    target = domain("target", format="messages", columns=ColumnsSpec(messages="m"))
    opened, _ = open_domains(recipe(target, {"law": domain("law")}), folder=tmp_path)
    assert len(opened.rows) == 60
    assert opened.dropped == {"duplicate": 1}
