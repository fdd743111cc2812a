"""What counts as the same question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixplan.domains.duplicates import content_key, normalised


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is law?", "what  is LAW"),
        ("“Stop”, he said.", "stop he said"),
        ("a — b", "a - b"),
        ("ﬁne\u00a0print…", "fine print"),
        ("Straße", "STRASSE"),
    ],
)
def test_same_question(one, other):
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("one", "other"), [("3 - 4", "3 + 4"), ("1.5", "15"), ("x<y", "x>y"), ("a b", "ab"), ("(1 2) 3", "1 (2 3)")]
)
def test_different_questions(one, other):
    assert normalised(one) != normalised(other)


@given(st.text())
def test_normalising_twice_changes_nothing_more_in_plain_text(text):
    plain = text.encode("ascii", "ignore").decode()
    assert normalised(normalised(plain)) == normalised(plain)


def test_the_key_counts_options_in_any_order():
    asked = (("user", "Which?"),)
    assert content_key(asked, ["a", "b"]) == content_key(asked, ["B.", "A"])
    assert content_key(asked, ["a", "b"]) != content_key(asked, ["a", "c"])
    assert content_key(asked) != content_key((("assistant", "Which?"),))
    assert content_key((("user", "a b"),)) != content_key((("user", "a"), ("user", "b")))
    assert len(content_key(asked)) == 32


def test_a_system_message_says_what_is_asked():
    asked = (("user", "the river"),)
    german, french = ((("system", f"Translate into {name}."), *asked) for name in ("German", "French"))
    assert content_key(german) != content_key(french)
    assert content_key(german) == content_key((("system", "translate into german"), *asked))
    assert content_key(german) != content_key(asked)
