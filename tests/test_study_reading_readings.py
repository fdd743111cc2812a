"""What is read before a study's forecasts: token counts, whose demonstrations stand in front, and what is kept."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from small_plan import write_rows
from small_study import bench, lay

from mixplan.errors import DataError
from mixplan.evaluate.answering import Answering
from mixplan.evaluate.preview import plain, preview
from mixplan.features.neutral import neutral_rows
from mixplan.features.queries import draw_demonstrations
from mixplan.runs import cache_folder
from mixplan.study.jobs import Bench
from mixplan.study.reading import readings
from mixplan.study.reading.readings import (
    ANSWER_TOKENS,
    PlainReading,
    answer_entropy,
    domain_reading,
    previewed,
    target_reading,
    words,
)


@pytest.fixture
def ours(tmp_path, tiny_model, tiny_sae) -> Bench:
    return bench(lay(tmp_path, tiny_model, tiny_sae), tmp_path / "run")


def test_a_target_is_read_behind_its_own_rows_and_behind_neutral_prose(ours):
    read = target_reading(ours, "sums")
    # Ten query rows hold no more answer tokens than this, whatever the budget.
    target = ours.taught("sums").target
    answers = ours.reading(target, target, tokens=90, answers=True).tokens
    assert (read.own.tokens, read.neutral.tokens, read.answers.tokens) == (90, 90, answers)
    # What is read is the same behind either, so what the features do without demonstrations is too.
    np.testing.assert_allclose(read.own.act, read.neutral.act, rtol=1e-5)
    assert not np.allclose(read.own.shift, read.neutral.shift)
    assert not np.allclose(read.own.act, read.answers.act)
    assert ("sums: questions", 90, "tokens") in ours.watcher.stages


def test_a_domain_is_read_behind_every_target_whose_data_it_is_not(ours):
    fox, own = domain_reading(ours, "fox"), domain_reading(ours, "sum")
    for kind in ("behind", "neutral", "answers", "neutral_answers", "preview", "neutral_preview"):
        assert list(getattr(fox, kind)) == ["sums", "doctors"], kind
        assert list(getattr(own, kind)) == ["doctors"], kind
    assert {fox.own.tokens, *(part.tokens for part in (*fox.behind.values(), *fox.neutral.values()))} == {60}
    assert {part.tokens for part in (*fox.answers.values(), *fox.neutral_answers.values())} == {30}
    assert not np.allclose(fox.behind["sums"].shift, fox.behind["doctors"].shift)
    domain = ours.domains["fox"]
    taken = len(domain.evaluation) + len(domain.query) + len(domain.demonstration)
    assert fox.pool_rows == domain.read_rows - sum(domain.dropped.values()) - taken > 0
    stages = len(ours.watcher.stages)
    assert ("fox behind neutral sums", 4, "rows") in ours.watcher.stages
    again = domain_reading(ours, "fox")
    assert again.preview == fox.preview
    np.testing.assert_array_equal(again.behind["sums"].shift, fox.behind["sums"].shift)
    assert not any(unit == "rows" for _, _, unit in ours.watcher.stages[stages:])


def test_choices_alone_have_options_to_prefer(ours):
    read = domain_reading(ours, "colours").preview["sums"]
    assert set(read) == {"kl", "bits_per_byte", "gold_probability", "gold_margin"}
    assert set(domain_reading(ours, "fox").preview["sums"]) == {"kl", "bits_per_byte"}


@pytest.mark.parametrize("neutral", [False, True])
def test_a_preview_is_the_mean_over_rows_dealt_to_the_draws(ours, neutral):
    domain, front = ours.domains["fox"], ours.taught("sums").target
    rows = domain.query[:4]
    fronts = draw_demonstrations(front.demonstration, shots=2, draws=2, seed=3)
    if neutral:
        fronts = [neutral_rows(ours.model, demos) for demos in fronts]
    kept, answers = Answering(ours.model).answers(rows, answer_tokens=ANSWER_TOKENS, advance=lambda _: None)
    own = {row.id: answer.ids for row, answer in zip(kept, answers, strict=True)}
    before = plain(ours.model, rows, own, advance=lambda _: None)
    by_row: dict[str, list[float]] = {"kl": [], "bits_per_byte": []}
    for number, row in enumerate(rows):
        found = preview(ours.model, [row], [fronts[number % 2]], before=before, advance=lambda _: None)
        for name, listed in by_row.items():
            listed += found.values[name]
    made = previewed(ours, "fox", PlainReading(ours, domain), front, neutral=neutral)
    assert made == pytest.approx({name: sum(listed) / 4 for name, listed in by_row.items()}, rel=1e-3, abs=1e-5)


def test_a_preview_is_kept_and_read_again_when_damaged(ours, monkeypatch):
    bare, front = PlainReading(ours, ours.domains["fox"]), ours.taught("sums").target
    first = previewed(ours, "fox", bare, front)
    (file,) = (cache_folder() / "previews").rglob("*.json")
    file.write_bytes(b"damaged")
    assert previewed(ours, "fox", bare, front) == pytest.approx(first)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(readings, "preview", refuse)
    monkeypatch.setattr(readings, "plain", refuse)
    assert previewed(ours, "fox", PlainReading(ours, ours.domains["fox"]), front) == pytest.approx(first)
    with pytest.raises(AssertionError, match="read again"):
        previewed(ours, "fox", bare, ours.taught("doctors").target)


def test_another_chat_template_is_read_anew(ours, monkeypatch):
    domain, front = ours.domains["fox"], ours.taught("sums").target

    def figures():
        bare = PlainReading(ours, domain)
        return answer_entropy(ours, bare), previewed(ours, "fox", bare, front)

    first = figures()
    text = ours.model.tokenizer.chat_template
    ours.model.tokenizer.chat_template = text.replace("{{ message['content'] }}", "Well: {{ message['content'] }}")
    again = figures()
    monkeypatch.setenv("MIXPLAN_CACHE", str(cache_folder() / "another"))
    assert again == figures()
    assert again[0] != first[0]
    assert again[1]["kl"] != first[1]["kl"]


def test_bare_questions_are_read_once(ours, monkeypatch):
    calls = []
    monkeypatch.setattr(readings, "plain", lambda *given, **named: calls.append(given) or plain(*given, **named))
    bare = PlainReading(ours, ours.domains["fox"])
    assert bare.read() is bare.read()
    assert len(calls) == 1
    assert [row.id for row in bare.rows] == [row.id for row in ours.domains["fox"].query[:4]]


def test_words_are_counted_in_questions_and_answers(ours):
    rows = ours.domains["fox"].pool[:3]
    expected: Counter[int] = Counter()
    for row in rows:
        (question,) = (content for role, content in row.prompt if role == "user")
        expected.update(ours.model.tokenizer(f"{question}\n{row.answer}", add_special_tokens=False)["input_ids"])
    assert words(ours, rows) == expected


def test_demonstrations_that_leave_no_room(tmp_path: Path, tiny_model, tiny_sae):
    place = lay(tmp_path, tiny_model, tiny_sae)
    write_rows(tmp_path / "doctor.jsonl", 40, "quick brown fox and lazy dog " * 16)
    ours = bench(place, tmp_path / "run")
    with pytest.raises(DataError) as caught:
        domain_reading(ours, "fox")
    assert str(caught.value) == (
        "fox: none of its 4 previewed rows fits the model's window of 512 tokens behind 2 demonstrations. "
        "Lower `preview.demonstrations` in the study, or give the target shorter rows."
    )
