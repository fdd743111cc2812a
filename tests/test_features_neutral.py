"""Neutral demonstrations are plain prose as long as the given ones, at a place of their own, the same each time."""

import re
from importlib import resources

import pytest
from dense_features import make_rows
from evaluated import loaded

from mixplan.domains import Row
from mixplan.features.neutral import neutral_rows, neutral_words, passage
from mixplan.features.queries import draw_demonstrations, plan_reading


def length(model, text):
    return len(model.tokenizer(text, add_special_tokens=False)["input_ids"])


def texts(row):
    return [*(content for role, content in row.prompt if role != "system"), row.rationale or row.answer]


def test_lengths_are_those_of_the_given_ones_(tiny_model):
    model, demos = loaded(tiny_model), make_rows(12, 3)
    for made, given in zip(neutral_rows(model, demos), demos, strict=True):
        assert made.id == f"neutral:{given.id}"
        assert [role for role, _ in made.prompt] == [role for role, _ in given.prompt]
        for new, old in zip(texts(made), texts(given), strict=True):
            assert abs(length(model, new) - length(model, old)) <= 1


def test_any_length_is_met(tiny_model):
    model = loaded(tiny_model)
    for tokens in (*range(1, 40), 700, 1500):
        for place in (0, 100, 729):
            text, behind = passage(model, place, tokens)
            assert text
            assert abs(length(model, text) - tokens) <= 1
            assert behind == (place + len(text.split())) % len(neutral_words())
    assert passage(model, 7, 0) == ("", 7)


def test_prose_runs_on_and_wraps_round(tiny_model):
    model = loaded(tiny_model)
    long = Row(
        "a",
        "a",
        (("system", "Be brief."), ("user", "why " * 900), ("assistant", "so " * 300), ("user", "x " * 900)),
        "y",
    )
    made = neutral_rows(model, [long, make_rows(1, 1)[0]])
    assert made[0].prompt[0] == ("system", "Be brief.")
    pieces = [text.split() for row in made for text in texts(row)]
    words = list(neutral_words())
    start = next(
        place for place in range(len(words))
        if [words[(place + step) % len(words)] for step in range(len(pieces[0]) - 1)] == pieces[0][:-1]
    )  # fmt: skip
    place = start
    for piece in pieces:
        for step, word in enumerate(piece):
            whole = words[(place + step) % len(words)]
            assert whole == word or (step == len(piece) - 1 and whole.startswith(word))
        place += len(piece)
    assert place > start + len(words)


def test_other_demonstrations_begin_elsewhere_and_the_same_ones_at_the_same_place(tiny_model):
    model = loaded(tiny_model)
    first = [neutral_rows(model, draw) for draw in draw_demonstrations(make_rows(9, 1), shots=2, draws=4, seed=0)]
    again = [neutral_rows(model, draw) for draw in draw_demonstrations(make_rows(9, 1), shots=2, draws=4, seed=0)]
    assert first == again
    assert len({rows[0].prompt[0][1][:20] for rows in first}) == 4
    assert neutral_rows(model, ()) == ()


def test_nothing_is_asked_or_told_in_the_text_and_it_ships_in_plain_letters():
    text = resources.files("mixplan.features").joinpath("neutral.txt").read_text(encoding="utf-8")
    assert 600 <= len(text.split()) <= 800
    assert text.isascii()
    assert not re.search(r"[?!\d:]", text)
    assert not re.search(r"\b(you|your|I|we|please|must|should|question|answer)\b", text, re.IGNORECASE)


@pytest.mark.parametrize("answers", [False, True])
def test_a_reading_behind_neutral_prose_reads_the_same_tokens(tiny_model, answers):
    model = loaded(tiny_model)
    rows, demos = make_rows(14, 1), make_rows(6, 2)
    given = {"tokens": 90, "shots": 2, "draws": 3, "seed": 5, "answers": answers}
    plain = plan_reading(model, rows, demos, **given)
    neutral = plan_reading(model, rows, demos, **given, neutral=True)
    assert plain.tokens == neutral.tokens == 90
    for one, other in zip(plain.units, neutral.units, strict=True):
        assert (one.draw, one.dropped_demonstrations) == (other.draw, other.dropped_demonstrations)
        assert other.demonstrations == tuple(f"neutral:{name}" for name in one.demonstrations)
        assert one.mark != other.mark
        for query, twin in zip(one.queries, other.queries, strict=True):
            assert (query.row, query.alone, query.count) == (twin.row, twin.alone, twin.count)
            assert query.context != twin.context
            # Two demonstrations of a question and an answer, each one token off at most, and what merges at their ends.
            assert abs(len(query.context) - len(twin.context)) <= 8


def test_demonstrations_beyond_the_window_are_dropped_behind_neutral_prose_too(tiny_model):
    model = loaded(tiny_model)
    long = Row("d", "d", (("user", "the quick brown fox " * 30),), "lazy dog " * 20)
    given = {"tokens": 40, "shots": 8, "draws": 1, "seed": 0}
    (plain,) = plan_reading(model, make_rows(4, 1), (long,) * 8, **given).units
    (neutral,) = plan_reading(model, make_rows(4, 1), (long,) * 8, **given, neutral=True).units
    assert neutral.dropped_demonstrations + len(neutral.demonstrations) == 8
    assert len(neutral.demonstrations) in (len(plain.demonstrations), len(plain.demonstrations) - 1)
    assert max(len(query.context) for query in neutral.queries) <= model.window


@pytest.mark.real
def test_the_embedded_models_tokenizer_gives_whole_words(real_model):
    model, demos = loaded(real_model), make_rows(10, 3)
    words = set(neutral_words())
    for made, given in zip(neutral_rows(model, demos), demos, strict=True):
        for new, old in zip(texts(made), texts(given), strict=True):
            assert abs(length(model, new) - length(model, old)) <= 1
            assert set(new.split()) <= words
