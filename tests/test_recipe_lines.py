"""YAML reads as PyYAML's safe loader reads it, but for YAML 1.1's surprises, and each value keeps its line."""

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from wrong_recipes import BASE, assert_refused

from mixplan.recipe.lines import Broken, Located, Place, Problem, parse, write
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


NUMBER_LIKE = st.text("0123456789+-._eE:xXobnaifNAIFytrusl~=<", max_size=6)
"""Texts that one of YAML's versions may take for a number, a truth value, a time, a null or a merge key."""


@given(
    st.recursive(
        SCALARS | NUMBER_LIKE,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(NUMBER_LIKE | st.text(max_size=9), inner, max_size=4)
        ),
    )
)
@example("08")
@example("1e5")
@example(
    {"1e3": ["1E6", 1e6, 1e-05, "0x1F", "012", "1:30", "off", "1_000", "=", "<<", "", "\x85", " x ", "2026-01-31"]}
)
def test_what_is_written_reads_back_here_and_by_pyyaml(value):
    """A run's recipe.yaml holds text where the recipe had text, whatever the text looks like."""
    text = write({"key": value})
    assert read(text).plain() == yaml.safe_load(text) == {"key": value}


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


# What is put in the recipe (old text, new text), and every line of the message.
SYNTAX = {
    "empty": ((BASE, ""), "recipe.yaml: the file is empty."),
    "only a comment": ((BASE, "# nothing\n"), "recipe.yaml: the file is empty."),
    "a list": ((BASE, "\n- a\n"), "recipe.yaml:2: expected keys and values (`model: …`) at the top."),
    "a word": ((BASE, "hello"), "recipe.yaml:1: expected keys and values (`model: …`) at the top."),
    "unclosed bracket": (
        ("{rows: 100}", "{rows: [100"),
        "recipe.yaml:18: not valid YAML: expected ',' or ']', but got '<stream end>'.",
    ),
    "unclosed quote": (
        ("name: embedded", "name: 'embedded"),
        "recipe.yaml:18: not valid YAML: found unexpected end of stream.",
    ),
    "colon in a value": (
        ("name: embedded", "name: a: b"),
        "recipe.yaml:2: not valid YAML: mapping values are not allowed here.",
    ),
    "tab": (
        ("  name: embedded", "\tname: embedded"),
        "recipe.yaml:2: not valid YAML: a tab is used as white space. Indent with spaces.",
    ),
    "two documents": (
        ("budget:", "---\nbudget:"),
        "recipe.yaml:17: holds more than one YAML document. Remove the `---` line and what follows.",
    ),
    "control character": (("embedded\n", "em\x01\n"), "recipe.yaml:2: the character U+0001 may not stand in YAML."),
    "unknown alias": (("{rows: 100}", "*b"), "recipe.yaml:17: not valid YAML: found undefined alias 'b'."),
    "duplicate key": (
        ("budget:", "target: {}\nbudget:"),
        "recipe.yaml:17: the key 'target' is given twice (first on line 4).",
    ),
    "duplicate domain": (("  sums:", "  law:"), "recipe.yaml:13: the key 'law' is given twice (first on line 9)."),
    "merge key": (
        ("    data: {generator: chain_sum}", "    <<: {a: 1}\n    data: {generator: chain_sum}"),
        "recipe.yaml:14: merge keys (`<<`) are not read here; write the keys out, or alias a whole value.",
    ),
    "number as key": (("  sums:", "  12:"), "recipe.yaml:13: the key 12 must be text; put it in quotes."),
    "null as key": (("  sums:", "  ~:"), "recipe.yaml:13: the key ~ must be text; put it in quotes."),
    "list as key": (("  sums:", "  [a]:"), "recipe.yaml:13: a key must be text, not a list or a mapping."),
    "python tag": (
        ("name: embedded", "name: !!python/name:os.system x"),
        "recipe.yaml:2: the tag !!python/name:os.system is not read here; write the plain value.",
    ),
    "own tag": (
        ("{rows: 100}", "!mine {rows: 100}"),
        "recipe.yaml:17: the tag !mine is not read here; write the plain value.",
    ),
    "forced number": (("rows: 100", "rows: !!int many"), "recipe.yaml:17: 'many' cannot be read as a number."),
    "NaN budget": (("rows: 100", "rows: .nan"), "recipe.yaml:17: .nan is not a finite number."),
    "infinite budget": (("rows: 100", "rows: -.inf"), "recipe.yaml:17: -.inf is not a finite number."),
    "number that overflows": (("rows: 100", "rows: 1e999"), "recipe.yaml:17: 1e999 is not a finite number."),
    "alias of itself": (
        ("{rows: 100}", "{rows: &a [*a]}"),
        "recipe.yaml:17: an alias refers to the value that holds it.",
    ),
    "deep nesting": (
        ("{rows: 100}", "{rows: " + "[" * 60 + "]" * 60 + "}"),
        "recipe.yaml:17: values are nested more than 50 deep.",
    ),
    "very deep nesting": (
        ("{rows: 100}", "{rows: " + "[" * 5000 + "]" * 5000 + "}"),
        "recipe.yaml: values are nested more than 50 deep.",
    ),
    "alias bomb": (
        (BASE, "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
        )),
        "recipe.yaml: its aliases stand for more than 100,000 values; write out what is needed.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SYNTAX)
def test_each_mistake_has_its_message_and_exit_code_1(case, tmp_path, monkeypatch, capsys):
    assert_refused(tmp_path, SYNTAX[case], monkeypatch, capsys)
