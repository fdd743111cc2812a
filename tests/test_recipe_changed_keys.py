"""Names the keys in which two recipes differ as messages do."""

import pytest

from mixplan.recipe.changed_keys import changed, flat


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"a": 1}, {"a": 1}, ""),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, ": a.c changed"),
        ({"a": {"b": 1}}, {"a": {}}, ": a, a.b changed"),
        (
            {"target": {"data": {"file": "x"}}, "seed": 0},
            {"target": {"data": {"file": "y"}}, "seed": 1},
            ": seed changed",
        ),
        ({"model": {"name": "x"}}, {"model": {"name": "y"}}, ": model.name changed"),
        ({}, dict.fromkeys("abcdefgh", 1), ": a, b, c, d, e and 3 more changed"),
    ],
)
def test_keys_that_differ_are_named_and_places_only_where_nothing_else_does(before, now, expected):
    assert changed(before, now) == expected


def test_nested_keys_are_dotted():
    assert flat({"a": {"b": {"c": 1}, "d": {}}, "e": [1]}) == {"a.b.c": 1, "a.d": {}, "e": [1]}
