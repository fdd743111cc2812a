"""Names are file names, amounts are whole and bounded, and a section takes no other type and no unknown key."""

import pytest
from pydantic import TypeAdapter, ValidationError

from mixplan.recipe.section import Count, Name, Positive, Section, Share


def takes(kind, value) -> bool:
    try:
        TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("name", ["a", "A.b-c_d", "9", "x" * 100])
def test_names_that_are_file_names(name, tmp_path):
    assert takes(Name, name)
    (tmp_path / name).touch()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["", ".", "..", "-a", "_a", "a/b", "a b", "a\n", "é", "x" * 101, 7, None])
def test_names_that_are_none(name):
    assert not takes(Name, name)


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        (Positive, [1, 10**12], [0, -1, 10**12 + 1, 1.0, True, "1"]),
        (Count, [0, 10**12], [-1, 10**12 + 1, 0.0, False]),
        (Share, [0, 1, 0.5], [-0.1, 1.1, float("nan"), float("inf"), "0.5"]),
    ],
)
def test_amounts(kind, right, wrong):
    assert [value for value in right if not takes(kind, value)] == []
    assert [value for value in wrong if takes(kind, value)] == []


def test_a_section_is_frozen_and_refuses_unknown_keys():
    class Small(Section):
        rows: Count = 3

    small = Small(rows=2)
    with pytest.raises(ValidationError, match="frozen"):
        small.rows = 5
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Small(row=2)
    with pytest.raises(ValidationError, match="valid integer"):
        Small(rows="2")
