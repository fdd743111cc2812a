"""Whose answers a mixture carries: gold, rationale, or the untrained model's own, kept as they are given."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample_mixtures import Answerer, all_bytes, build, make_domain, read_rows

from mixplan.errors import DataError, ModelError
from mixplan.mixture import Untrained
from mixplan.recipe import MixtureSpec

WITHOUT_ANSWER = (
    "2 pool rows of 'law' were passed over: the model answered them with nothing, or they leave no room for an answer "
    "in its window."
)


def test_rationales_are_taken_and_missing_ones_are_told(tmp_path: Path) -> None:
    law = make_domain("law", 10)
    pool = tuple(replace(row, rationale=f"because {i}") if i % 2 else row for i, row in enumerate(law.pool))
    target = make_domain("target", 2)
    target = replace(target, pool=tuple(replace(row, rationale="unused") for row in target.pool))
    mixture = build(
        tmp_path / "mixture",
        {"law": 9},
        target=target,
        domains={"law": replace(law, pool=pool)},
        spec=MixtureSpec(answers="rationale"),
    )
    completions = {(row["domain"], row["row_id"]): row["completion"][0]["content"] for row in read_rows(mixture.folder)}
    assert completions["law", "train:3"] == "because 3"
    assert completions["law", "train:4"] == "law answer 4"
    assert completions["target", "train:1"] == "target answer 1"
    assert mixture.parts[1].answers == {"gold": 5, "rationale": 4}
    assert mixture.warnings == ("5 of 9 rows of 'law' have no rationale and carry their gold answer.",)
    assert "> 5 of 9 rows of 'law' have no rationale" in (mixture.folder / "README.md").read_text()


def test_own_answers_for_domains_and_gold_for_the_target(tmp_path: Path) -> None:
    answerer = Answerer(lambda question: f" own: {question}\n")
    untrained = Untrained(answerer, "model", tmp_path / "cache")
    mixture = build(
        tmp_path / "mixture", {"law": 6, "history": 0}, spec=MixtureSpec(answers="self"), untrained=untrained
    )
    for row in read_rows(mixture.folder):
        number = int(row["row_id"].split(":")[1])
        own = f"own: law question {number}?"
        assert row["completion"][0]["content"] == (own if row["domain"] == "law" else f"target answer {number}")
    assert sorted(answerer.asked) == [f"law question {number}?" for number in range(6)]
    assert [part.answers for part in mixture.parts] == [{"gold": 20}, {"self": 6}, {}]


def test_empty_own_answers_are_passed_over(tmp_path: Path) -> None:
    answerer = Answerer(lambda question: "" if question in ("law question 1?", "law question 2?") else "yes")
    mixture = build(
        tmp_path / "mixture",
        {"law": 6},
        spec=MixtureSpec(answers="self"),
        untrained=Untrained(answerer, "model", tmp_path / "cache"),
    )
    taken = {row["row_id"] for row in read_rows(mixture.folder) if row["domain"] == "law"}
    assert taken == {f"train:{number}" for number in (0, 3, 4, 5, 6, 7)}
    assert mixture.parts[1].empty_answers == 2
    assert mixture.warnings == (WITHOUT_ANSWER,)


@pytest.mark.parametrize("said", ["<think>\nSo it is", "<think>\nSo it is.\n</think>\n\n"])
@pytest.mark.parametrize("keep", ["drop", "keep"])
def test_answers_that_the_model_ended_within_its_reasoning_are_passed_over(
    tmp_path: Path, said: str, keep: Any
) -> None:
    """Trained, they would teach to open reasoning and say no more; a whole answer has its reasoning in front."""
    whole = "<think>\nSo.\n</think>\n\nyes"
    answerer = Answerer(lambda question: said if question in ("law question 1?", "law question 2?") else whole)
    mixture = build(
        tmp_path / "mixture",
        {"law": 6},
        spec=MixtureSpec(answers="self", cut_answers=keep),
        untrained=Untrained(answerer, "model", tmp_path / "cache"),
    )
    taken = {row["row_id"]: row["completion"] for row in read_rows(mixture.folder) if row["domain"] == "law"}
    assert taken == {f"train:{n}": [{"role": "assistant", "content": whole}] for n in (0, 3, 4, 5, 6, 7)}
    assert mixture.parts[1].empty_answers == 2
    assert mixture.warnings == (WITHOUT_ANSWER,)


def test_answers_that_were_cut_are_passed_over_and_told_the_same_from_the_cache(tmp_path: Path) -> None:
    answerer = Answerer(
        lambda question: "on and on ..." if question in ("law question 1?", "law question 2?") else "yes"
    )
    for name in ("first", "again"):
        mixture = build(
            tmp_path / name / "mixture",
            {"law": 12},
            domains={"law": make_domain("law", 8)},
            spec=MixtureSpec(answers="self"),
            budget_max_repeats=2,
            untrained=Untrained(answerer, "model", tmp_path / "cache"),
        )
        taken = {row["row_id"] for row in read_rows(mixture.folder) if row["domain"] == "law"}
        assert taken == {f"train:{number}" for number in (0, 3, 4, 5, 6, 7)}
        assert mixture.parts[1].cut_answers == 2
        assert mixture.warnings[:-1] == (
            "2 pool rows of 'law' were passed over: the model had not ended its answer at `mixture.answer_tokens`. "
            "Raise it to keep such answers.",
        )
        assert "law 12 rows of 6." in mixture.warnings[-1]  # and which are repeats, see test_mixture
    assert len(answerer.asked) == 8


def test_answers_that_were_cut_are_kept_where_the_recipe_says_so(tmp_path: Path) -> None:
    answerer = Answerer(
        lambda question: "on and on ..." if question in ("law question 1?", "law question 2?") else "yes"
    )
    mixture = build(
        tmp_path / "mixture",
        {"law": 12},
        domains={"law": make_domain("law", 8)},
        spec=MixtureSpec(answers="self", cut_answers="keep"),
        budget_max_repeats=2,
        untrained=Untrained(answerer, "model", tmp_path / "cache"),
    )
    answers = [row["completion"][0]["content"] for row in read_rows(mixture.folder) if row["domain"] == "law"]
    assert sorted(answers) == ["on and on ..."] * 4 + ["yes"] * 8
    assert mixture.parts[1].cut_answers == 4
    assert mixture.warnings[:-1] == (
        "4 of 12 rows of 'law' carry an answer of the model's that was cut before its end. "
        "Raise `mixture.answer_tokens` to keep such answers whole.",
    )


def test_asking_ends_where_hardly_an_answer_comes_to_its_end(tmp_path: Path) -> None:
    answerer = Answerer(lambda question: "yes" if question == "law question 7?" else "on and on ...")
    with pytest.raises(DataError) as caught:
        build(tmp_path / "mixture", {"law": 20}, domains={"law": make_domain("law", 400)},
              spec=MixtureSpec(answers="self", answer_tokens=24),
              untrained=Untrained(answerer, "model", tmp_path / "cache"))  # fmt: skip
    assert str(caught.value) == (
        "mixture: domain 'law' is planned 20 rows with the model's own answers, but of its 64 pool rows the model "
        "answered 1 to the end with any text, each used at most 1 time; 63 were cut at 24 tokens. "
        "Raise `mixture.answer_tokens`, to 48 for instance. Otherwise: Cap it with `allocate.caps.law: 1`, or allow "
        "repeats with `budget.max_repeats: 20`."
    )
    assert len(answerer.asked) == 64


def test_interrupted_answering_resumes_and_gives_the_same_bytes(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"spec": MixtureSpec(answers="self"), "budget_max_repeats": 2}
    domains = {"law": make_domain("law", 40), "history": make_domain("history", 30)}
    rows = {"law": 40, "history": 45}
    undisturbed = build(
        tmp_path / "a" / "mixture", rows, domains=domains, **settings,
        untrained=Untrained(Answerer(), "model", tmp_path / "cache a"),
    )  # fmt: skip
    first = Answerer(stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "b" / "mixture", rows, domains=domains, **settings,
              untrained=Untrained(first, "model", tmp_path / "cache b"))  # fmt: skip
    assert not (tmp_path / "b" / "mixture").exists()
    second = Answerer()
    resumed = build(tmp_path / "b" / "mixture", rows, domains=domains, **settings,
                    untrained=Untrained(second, "model", tmp_path / "cache b"))  # fmt: skip
    assert len(first.asked) == 32
    assert not set(first.asked) & set(second.asked)
    assert len(second.asked) == 70 - 32
    assert all_bytes(resumed.folder) == all_bytes(undisturbed.folder)


def test_damaged_answers_are_set_aside_and_asked_again(tmp_path: Path) -> None:
    untrained = Untrained(Answerer(), "model", tmp_path / "cache")
    settings: dict[str, Any] = {"spec": MixtureSpec(answers="self"), "untrained": untrained}
    first = build(tmp_path / "one" / "mixture", {"law": 6}, **settings)
    (kept,) = (tmp_path / "cache" / "answers").iterdir()
    kept.write_bytes(kept.read_bytes()[:-3])
    again = Answerer()
    second = build(
        tmp_path / "two" / "mixture", {"law": 6}, **settings | {"untrained": replace(untrained, generate=again)}
    )
    assert len(again.asked) == 6
    assert all_bytes(first.folder) == all_bytes(second.folder)
    assert sorted(path.name for path in kept.parent.iterdir()) == [kept.name, f"{kept.name}.aside"]


@pytest.mark.parametrize("change", ["model", "tokens"])
def test_answers_of_another_model_or_length_are_not_reused(tmp_path: Path, change: str) -> None:
    again = Answerer(lambda question: "other")
    build(tmp_path / "one", {"law": 6}, spec=MixtureSpec(answers="self"),
          untrained=Untrained(Answerer(), "model", tmp_path / "cache"))  # fmt: skip
    spec = MixtureSpec(answers="self", answer_tokens=8 if change == "tokens" else 256)
    name = "other model" if change == "model" else "model"
    build(tmp_path / "two", {"law": 6}, spec=spec, untrained=Untrained(again, name, tmp_path / "cache"))
    assert len(again.asked) == 6


KILLED = """
import os, signal, sys
sys.path[:0] = {paths!r}
from pathlib import Path
import sample_mixtures as t
from mixplan.mixture import Untrained
from mixplan.recipe import MixtureSpec
place = Path({place!r})
def generate(prompts):
    if len(list((place / "cache" / "answers").glob("*.json"))) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return t.Answerer()(prompts)
t.build(place / "mixture", {{"law": 40}}, domains={{"law": t.make_domain("law", 40)}},
        spec=MixtureSpec(answers="self"), untrained=Untrained(generate, "model", place / "cache"))
"""


def test_kill_minus_nine_while_answering(tmp_path: Path) -> None:
    paths = [str(Path(__file__).parent / "helpers"), str(Path(__file__).parents[1])]
    script = KILLED.format(paths=paths, place=str(tmp_path / "killed"))
    done = subprocess.run([sys.executable, "-c", script], check=False, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == -signal.SIGKILL
    settings: dict[str, Any] = {"domains": {"law": make_domain("law", 40)}, "spec": MixtureSpec(answers="self")}
    answerer = Answerer()
    resumed = build(tmp_path / "killed" / "mixture", {"law": 40}, **settings,
                    untrained=Untrained(answerer, "model", tmp_path / "killed" / "cache"))  # fmt: skip
    whole = build(tmp_path / "whole" / "mixture", {"law": 40}, **settings,
                  untrained=Untrained(Answerer(), "model", tmp_path / "whole" / "cache"))  # fmt: skip
    assert len(answerer.asked) == 40 - 32
    assert all_bytes(resumed.folder) == all_bytes(whole.folder)


@pytest.mark.parametrize(
    ("generate", "rows", "max_repeats", "kind", "message"),
    [
        (
            lambda prompts: [("", True)] * len(prompts),
            8,
            1,
            DataError,
            "mixture: domain 'law' is planned 8 rows with the model's own answers, but of its 10 pool rows the model "
            "answered 0 to the end with any text, each used at most 1 time; 0 were cut at 256 tokens. "
            "Lower `domains.law.split`, or cap it with `allocate.caps.law: 0`.",
        ),
        (
            Answerer(lambda question: "yes" if question[-2] in "0369" else " "),
            19,
            2,
            DataError,
            "mixture: domain 'law' is planned 19 rows with the model's own answers, but of its 10 pool rows the model "
            "answered 4 to the end with any text, each used at most 2 times; 0 were cut at 256 tokens. "
            "Cap it with `allocate.caps.law: 8`, or allow repeats with `budget.max_repeats: 5`.",
        ),
        (
            lambda prompts: [("yes", True)],
            8,
            1,
            ModelError,
            "mixture: the model gave 1 answers to 8 questions; one each is expected.",
        ),
    ],
)
def test_messages_of_own_answers(
    tmp_path: Path, generate: Any, rows: int, max_repeats: int, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        build(tmp_path / "mixture", {"law": rows}, spec=MixtureSpec(answers="self"), budget_max_repeats=max_repeats,
              untrained=Untrained(generate, "model", tmp_path / "cache"))  # fmt: skip
    assert str(caught.value) == message
