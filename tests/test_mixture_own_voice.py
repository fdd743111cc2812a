"""Target answers in the model's own words: taken where the target's grader accepts them, counted where it does not."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sample_mixtures import Answerer, all_bytes, build, make_domain, read_rows
from transformers import AutoTokenizer

from mixplan.errors import DataError, ModelError
from mixplan.grading.process import ScorerError
from mixplan.mixture import Untrained, token_counter
from mixplan.mixture.own_voice import EXACT_WORDS, INSTRUCTION, prompt_of, require_judged
from mixplan.reading.tokenizer import description
from mixplan.recipe import MixtureSpec

SPEC = MixtureSpec(target_answers="own_voice")
REPLIES = {
    0: "It is plain: the answer is target answer 0",
    1: "The answer is fox",
    2: "On and on ...",
    3: "",
    4: "target answer 4",
    5: "<think>\nthey want it said anew\n</think>\n\nSurely. Answer: target answer 5",
}
"""By row what the stand-in says: accepted, not accepted, cut, nothing, as given, accepted behind reasoning."""


def reply(asked: str) -> str:
    number = int(asked.partition("target question ")[2].partition("?")[0])
    return REPLIES.get(number, f"I say: {number}. Answer: target answer {number}")


def scored(rows: Any, answers: Any) -> list[tuple[float, int] | None]:
    """Two nats a letter of words of one token each."""
    return [(2.0 * len(answer), len(answer.split())) for answer in answers]


def untrained(place: Path, **changes: Any) -> Untrained:
    return Untrained(**{"generate": Answerer(reply), "fingerprint": "model", "cache": place, **changes})


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "all"))


def test_what_the_grader_accepts_is_taken_and_all_else_stays_as_given(tmp_path):
    mixture = build(tmp_path / "mixture", {"law": 3}, spec=SPEC, untrained=untrained(tmp_path, surprise=scored))
    said = {row["row_id"]: row["completion"][0]["content"] for row in read_rows(mixture.folder)
            if row["domain"] == "target"}  # fmt: skip
    assert said["train:0"] == REPLIES[0]
    assert [said[f"train:{n}"] for n in (1, 2, 3, 4)] == [f"target answer {n}" for n in (1, 2, 3, 4)]
    assert said["train:5"] == "Surely. Answer: target answer 5"
    assert said["train:19"] == "I say: 19. Answer: target answer 19"
    target, law, _ = mixture.parts
    assert (target.answers, law.answers) == ({"gold": 4, "own_voice": 16}, {"gold": 3})
    assert target.voice is not None
    assert target.voice.stays == {"wrong": 1, "cut": 1, "empty": 1, "same": 1}
    assert law.voice is None
    rewritten = [n for n in range(20) if n not in (1, 2, 3, 4)]
    given, own = target.voice.given, target.voice.own
    assert given is not None
    assert own is not None
    assert (given.answers, own.answers) == (16, 16)
    assert given.nats == sum(2.0 * len(f"target answer {n}") for n in rewritten)
    assert given.tokens == 3 * 16
    assert own.nats == sum(2.0 * len(said[f"train:{n}"]) for n in rewritten)
    assert own.tokens == sum(len(said[f"train:{n}"].split()) for n in rewritten)
    assert target.voice.text("target") in (mixture.folder / "README.md").read_text()


def test_the_model_is_asked_with_question_and_answer_in_the_row_s_own_conversation(tmp_path):
    row = make_domain("target", 2).pool[1]
    earlier = replace(row, prompt=(("system", "Be brief."), ("user", "Hi."), ("assistant", "Hello."), row.prompt[-1]))
    prompt = prompt_of(earlier)
    assert prompt is not None
    assert [turn["role"] for turn in prompt] == ["system", "user", "assistant", "user"]
    assert prompt[-1]["content"].startswith(INSTRUCTION)
    assert "Question:\ntarget question 1?\n\nCorrect answer:\ntarget answer 1" in prompt[-1]["content"]


@pytest.mark.parametrize(
    "changes",
    [
        {"answer": "<think>\nhm\n</think>\n\n4"},
        {"answer": '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'},
        {"prompt": (("tools", "[]"), ("user", "?"))},
        {"prompt": (("user", "?"), ("assistant", "calling"), ("tool", "rain"))},
    ],
)
def test_what_is_more_than_words_is_not_asked_for(changes, tmp_path):
    target = make_domain("target", 3)
    target = replace(target, pool=(replace(target.pool[0], **changes), *target.pool[1:]))
    assert prompt_of(target.pool[0]) is None
    mixture = build(tmp_path / "mixture", {}, target=target, spec=SPEC, untrained=untrained(tmp_path))
    assert mixture.parts[0].voice is not None
    assert mixture.parts[0].voice.stays["not_asked"] == 1


def test_what_does_not_fit_the_window_stays_as_given(tmp_path):
    asking = Answerer(reply)
    model = untrained(
        tmp_path, generate=asking, fits=lambda prompts: ["question 7?" not in p[-1]["content"] for p in prompts]
    )
    mixture = build(tmp_path / "mixture", {}, spec=SPEC, untrained=model)
    voice = mixture.parts[0].voice
    assert voice is not None
    assert voice.stays["too_long"] == 1
    assert not any("target question 7?" in asked for asked in asking.asked)
    assert voice.given is None  # nothing was measured
    assert "nats" not in voice.text("target")


def test_what_was_said_and_graded_is_kept_and_gives_the_same_bytes(tmp_path, monkeypatch):
    first, asking = Answerer(reply), Answerer(reply)
    kept = tmp_path / "kept"
    one = build(tmp_path / "a" / "mixture", {}, spec=SPEC, untrained=untrained(kept, generate=first, surprise=scored))
    assert len(first.asked) == 20
    monkeypatch.setattr("mixplan.mixture.own_voice.bounded", None)  # would fail where anything is graded again
    two = build(
        tmp_path / "b" / "mixture", {}, spec=SPEC, untrained=untrained(kept, generate=asking, surprise=lambda *_: 1 / 0)
    )
    assert asking.asked == []
    assert all_bytes(one.folder) == all_bytes(two.folder)


def test_another_grader_model_or_length_makes_another_mixture(tmp_path):
    made = [
        build(
            tmp_path / name / "mixture", {}, spec=spec, untrained=model, target=make_domain("target", 20, grader=grader)
        )
        for name, spec, model, grader in (
            ("a", SPEC, untrained(tmp_path), "exact"),
            ("b", SPEC, untrained(tmp_path, fingerprint="another"), "exact"),
            ("c", MixtureSpec(target_answers="own_voice", answer_tokens=9), untrained(tmp_path), "exact"),
            ("d", SPEC, untrained(tmp_path), "number"),
            ("e", MixtureSpec(), None, "exact"),
        )
    ]
    assert len({one.inputs for one in made}) == len(made)


def test_where_nothing_is_taken_the_reader_is_warned(tmp_path):
    mixture = build(
        tmp_path / "mixture", {}, spec=SPEC, untrained=untrained(tmp_path, generate=Answerer(lambda asked: "fox"))
    )
    assert mixture.warnings == (
        "`mixture.target_answers: own_voice` changes nothing: 0 of 20 answers of 'target' are in the model's own "
        "words. As given stay 20: 20 that its grader does not accept.",
    )


def test_each_source_has_its_own_grader_and_count(tmp_path):
    parts = [
        replace(make_domain("target", pool, grader=grader), name=f"target.{grader}", source=grader, evaluation=())
        for grader, pool in (("exact", 4), ("number", 2))
    ]
    target = replace(make_domain("target", 4), sources=tuple(parts), pool=())
    asking = Answerer(lambda asked: "They say 3" if "question 1?" in asked else reply(asked))
    mixture = build(tmp_path / "mixture", {}, target=target, spec=SPEC, untrained=untrained(tmp_path, generate=asking))
    voices = [part.voice for part in mixture.parts[:2] if part.voice]
    assert [voice.rows for voice in voices] == [4, 2]
    assert [voice.stays for voice in voices] == [{"wrong": 1, "cut": 1, "empty": 1}, {"wrong": 1}]


def test_words_are_trained_and_counted_as_tokens(tmp_path, tiny_model):
    counter = token_counter(description(AutoTokenizer.from_pretrained(tiny_model)), "tiny")
    given, own = (
        build(tmp_path / name / "mixture", {}, spec=spec, untrained=untrained(tmp_path), count_tokens=counter)
        for name, spec in (("a", MixtureSpec()), ("b", SPEC))
    )
    rows = read_rows(own.folder)
    assert own.parts[0].tokens == sum(counter.count(row["prompt"], row["completion"][0]["content"]) for row in rows)
    assert (own.parts[0].tokens or 0) > (given.parts[0].tokens or 0)


def test_a_model_is_needed(tmp_path):
    with pytest.raises(ModelError, match=r"own_voice needs the untrained model.*Run `mixplan plan`"):
        build(tmp_path / "mixture", {}, spec=SPEC)
    with pytest.raises(ModelError, match="scored 0 of 32 answers"):
        build(tmp_path / "mixture", {}, spec=SPEC, untrained=untrained(tmp_path, surprise=lambda *_: []))


def test_a_grader_that_takes_the_same_words_alone_is_refused_for_long_answers():
    def target(words: int, grader: str) -> Any:
        made = make_domain("target", 5, grader=grader)
        return replace(made, pool=tuple(replace(row, answer="word " * words) for row in made.pool))

    require_judged(SPEC, target(EXACT_WORDS, "exact"))
    require_judged(SPEC, target(99, "math"))
    require_judged(MixtureSpec(), target(99, "exact"))
    with pytest.raises(
        DataError, match=r"grader exact, which accepts the same words alone.* 13 words .*`target.grader`"
    ):
        require_judged(SPEC, target(13, "exact"))


def test_a_grader_that_fails_is_no_wrong_answer(tmp_path, monkeypatch):
    def fails(grader, process, failed):
        def grade(row, text):
            failed(ScorerError("it took longer than 5 s."))
            return SimpleNamespace(outcome="wrong")

        return grade

    with monkeypatch.context() as patch:
        patch.setattr("mixplan.mixture.own_voice.bounded", fails)
        with pytest.raises(DataError, match=r"failed on 17 of the model's answers.*longer than 5 s\. What the model"):
            build(tmp_path / "mixture", {"law": 3}, spec=SPEC, untrained=untrained(tmp_path, surprise=scored))
    mixture = build(tmp_path / "mixture", {"law": 3}, spec=SPEC, untrained=untrained(tmp_path, surprise=scored))
    assert mixture.parts[0].answers == {"gold": 4, "own_voice": 16}
