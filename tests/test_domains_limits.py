"""What a value is called, and the messages about values that cannot be read."""

import pytest

from mixplan.domains.limits import MAX_ROW_BYTES, not_utf8, too_long, value_kind


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "a number"),
        (0.5, "a number"),
        ("", "text"),
        ([], "a list"),
        ((), "a list"),
        ({}, "an object"),
        (b"", "another type"),
    ],
)
def test_what_a_value_is(value, kind):
    assert value_kind(value) == kind


def test_the_byte_that_is_not_utf8_is_named():
    with pytest.raises(UnicodeDecodeError) as caught:
        b"caf\xe9!".decode()
    assert not_utf8("a.csv, line 2", caught.value) == (
        "a.csv, line 2: not UTF-8 (byte 0xe9). Convert the file, for example with: iconv -f LATIN1 -t UTF-8"
    )


def test_the_greatest_length_is_said_in_the_unit_it_is_set_in():
    assert MAX_ROW_BYTES == 4 * 1024 * 1024
    assert str(too_long("a.jsonl, line 1")).startswith("a.jsonl, line 1: longer than 4 MiB, ")
