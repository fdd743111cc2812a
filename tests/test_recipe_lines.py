"""YAML reads as PyYAML's safe loader reads it, but for YAML 1.1's surprises, and each value keeps its line."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mixplan.recipe.lines import Broken, Located, Place, Problem, parse
from mixplan.recipe.suggest import did_you_mean

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
)


def read(text: str) -> Located:
    value, problems = parse(text, label="a.yaml", folder=Path("configs"))
    assert problems == []
    assert value is not None
    return value


@given(VALUES)
def test_what_pyyaml_writes_reads_back(value):
    # JSON's way of quoting keeps texts such as `1e5`, a number in YAML 1.2 and here, from being written bare.
    text = yaml.safe_dump(value, default_style='"' if isinstance(value, str) else None, allow_unicode=True)
    plain = yaml.safe_load(text)
    if agrees(value):
        assert read(text).plain() == plain == value


def agrees(value: object) -> bool:
    """Whether a value holds no text that YAML 1.1 and 1.2 read differently when written bare."""
    if isinstance(value, dict):
        return all(agrees(key) and agrees(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(agrees, value))
    return not isinstance(value, str) or read_bare(value)


def read_bare(text: str) -> bool:
    found, problems = parse(yaml.safe_dump([text], allow_unicode=True), label="", folder=Path())
    return not problems and found is not None and found.plain() == [text]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("1e-5", 1e-5),
        ("1E5", 1e5),
        ("-.5", -0.5),
        ("010", 10),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("12:30:00", "12:30:00"),
        ("2026-01-31", "2026-01-31"),
        ("TRUE", True),
        ("~", None),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("!!float 5", 5.0),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = read(text).plain()
    assert (found, type(found)) == (value, type(value))


def test_each_value_keeps_its_line_and_folder():
    tree = read("a:\n  b:\n    - x\n    - y: 1\nc: &c {d: 2}\ne: *c\n")
    lines = {("a",): 1, ("a", "b"): 2, ("a", "b", 1): 4, ("a", "b", 1, "y"): 4, ("e",): 6, ("e", "d"): 5, ("a", "z"): 1}
    assert {path: tree.nearest(path).place for path in lines} == {
        path: Place("a.yaml", line, Path("configs")) for path, line in lines.items()
    }


def test_a_value_that_cannot_be_read_is_broken_and_the_rest_stands():
    tree, problems = parse("a: [1, .inf]\nb: 2\n", label="a.yaml", folder=Path())
    assert tree is not None
    assert [str(problem) for problem in problems] == ["a.yaml:1: .inf is not a finite number."]
    assert isinstance(tree.nearest(("a", 1)).value, Broken)
    assert (tree.nearest(("a",)).broken(), tree.nearest(("b",)).broken()) == (True, False)


def test_a_problem_without_a_line_names_its_label():
    assert str(Problem(Place("--set a=b", 0, Path()), "wrong.")) == "--set a=b: wrong."


@pytest.mark.parametrize(
    ("name", "known", "sentence"),
    [
        ("featurs", ["features", "draws"], " Did you mean 'features'?"),
        ("FEATURES", ["features", "draws"], " Did you mean 'features'?"),
        ("qqq", ["b", "a"], " Known: 'a', 'b'."),
        ("qqq", [], ""),
        ("qqq", [f"name-{number}" for number in range(21)], ""),
    ],
)
def test_suggestions(name, known, sentence):
    assert did_you_mean(name, known) == sentence
