"""What is said of target answers in the model's own words, and what is read back of it."""

from mixplan.saved.own_voice import REASONS, OwnVoice, Spoken

SOME = OwnVoice(
    rows=1200,
    rewritten=1000,
    stays={"wrong": 150, "cut": 50},
    given=Spoken(answers=990, nats=30_000.0, tokens=20_000),
    own=Spoken(answers=990, nats=12_500.0, tokens=25_000),
    answer_tokens=64,
)


def test_it_says_how_many_how_surprising_and_why_others_stay():
    assert SOME.text("target.law") == (
        "1000 of 1200 answers of 'target.law' are in the model's own words. They surprise the untrained model by 0.50 "
        "nats per token, as given by 1.50 (25,000 tokens in place of 20,000). As given stay 200: 150 that its grader "
        "does not accept, 50 that the model had not ended. A higher `mixture.answer_tokens` lets answers come to their "
        "end."
    )


def test_every_reason_can_be_said():
    voice = SOME.model_copy(update={"stays": dict.fromkeys(REASONS, 1), "given": None, "own": None})
    assert all(words in voice.text("target") for words in REASONS.values())
    assert "nats" not in voice.text("target")


def test_it_is_read_back_as_it_was_written():
    assert OwnVoice.model_validate(SOME.values()) == SOME
    assert Spoken(answers=0, nats=0.0, tokens=0).nats_per_token == 0


def test_words_that_leave_half_of_an_answer_out_are_warned_of():
    assert SOME.shorter() is None
    short = SOME.model_copy(update={"own": Spoken(answers=990, nats=5_000.0, tokens=9_000)})
    assert (short.shorter() or "").startswith("the model's own words hold 45% of the tokens of the given answers: ")
    assert SOME.model_copy(update={"given": None, "own": None}).shorter() is None
