"""Reads YAML as values that remember their file and line; every problem is gathered, none raised."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

DATA_FILES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
"""Ends of names that no recipe has; JSON is YAML, so that one may end in `.json`."""
MAX_BYTES = 1_000_000
MAX_VALUES = 100_000
"""A file may hold so many values once its aliases are written out; a few nested aliases can otherwise mean billions."""
MAX_DEPTH = 50
TAG = "tag:yaml.org,2002:"

KeyPath = tuple[str | int, ...]


class Broken:
    """Stands where a value could not be read; its problem is already noted, so no second one is reported there."""


@dataclass(frozen=True)
class Place:
    """Where a value was written.

    Attributes:
        label: The file as the person knows it, or the `--set` argument.
        line: Counted from 1; 0 where there is none.
        folder: What a relative path written there is relative to.
    """

    label: str
    line: int
    folder: Path

    def __str__(self) -> str:
        """The place as a message opens with it: `file:line`."""
        return f"{self.label}:{self.line}" if self.line else self.label


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where."""

    place: Place
    text: str

    def __str__(self) -> str:
        """One line: the place, then the text."""
        return f"{self.place}: {self.text}"


@dataclass(frozen=True)
class Located:
    """A value with its place: a scalar, a list of located values, or a mapping of text to located values."""

    value: Any
    place: Place

    def plain(self) -> object:
        """The value without places."""
        if isinstance(self.value, Mapping):
            return {key: item.plain() for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value

    def broken(self) -> bool:
        """Whether this value, or one inside it, could not be read."""
        if isinstance(self.value, Mapping | list):
            return any(item.broken() for item in (self.value if isinstance(self.value, list) else self.value.values()))
        return isinstance(self.value, Broken)

    def nearest(self, path: KeyPath) -> Located:
        """The value at a key path, or the deepest one on the way to it that is there."""
        here = self
        for step in path:
            following: Located | None = None
            if isinstance(here.value, Mapping):
                following = here.value.get(str(step))
            elif isinstance(here.value, list) and isinstance(step, int) and step < len(here.value):
                following = here.value[step]
            if following is None:
                return here
            here = following
        return here


class _Loader(yaml.SafeLoader):
    """Composes nodes with YAML 1.2's core scalars: `no` stays text and `1e-5` is a number."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own attribute


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
    ("float", r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$", "-+."),
    ("merge", r"^<<$", "<"),
):
    _Loader.add_implicit_resolver(TAG + _tag, re.compile(_pattern), list(_first))


class _Dumper(yaml.SafeDumper):
    """Quotes each text that PyYAML or `_Loader` would read as something else, such as `08` and `1e5`."""


_Dumper.yaml_implicit_resolvers = {
    first: [
        *yaml.SafeDumper.yaml_implicit_resolvers.get(first, []),
        *_Loader.yaml_implicit_resolvers.get(first, []),
    ]
    for first in {**yaml.SafeDumper.yaml_implicit_resolvers, **_Loader.yaml_implicit_resolvers}
}


def _as_text(dumper: _Dumper, text: str) -> ScalarNode:
    # Of Unicode's own line ends PyYAML 6.0 makes spaces, unless it is told to write escapes.
    style = '"' if any(end in text for end in "\x85\u2028\u2029") else None
    return dumper.represent_scalar(TAG + "str", text, style=style)


_Dumper.add_representer(str, _as_text)


@dataclass
class _Reading:
    """One text being turned into located values; collects what is wrong with it."""

    label: str
    folder: Path
    text_lines: bool
    problems: list[Problem] = field(default_factory=list)
    values: int = 0

    def place(self, line: int) -> Place:
        return Place(self.label, line if self.text_lines else 0, self.folder)

    def wrong(self, node: Node, text: str) -> None:
        self.problems.append(Problem(self.place(node.start_mark.line + 1), text))

    def broken(self, node: Node, text: str) -> Located:
        self.wrong(node, text)
        return Located(Broken(), self.place(node.start_mark.line + 1))

    def convert(self, node: Node, above: tuple[int, ...] = ()) -> Located:
        """Turn a node into a value; `Broken` where it cannot be, with the problem noted."""
        self.values += 1
        if self.values > MAX_VALUES:
            return Located(Broken(), self.place(0))
        if id(node) in above:
            return self.broken(node, "an alias refers to the value that holds it.")
        if len(above) >= MAX_DEPTH:
            return self.broken(node, f"values are nested more than {MAX_DEPTH} deep.")
        place, above = self.place(node.start_mark.line + 1), (*above, id(node))
        if isinstance(node, MappingNode) and node.tag == TAG + "map":
            return Located(dict(self.items(node, above)), place)
        if isinstance(node, SequenceNode) and node.tag == TAG + "seq":
            return Located([self.convert(item, above) for item in node.value], place)
        if isinstance(node, ScalarNode):
            return self.scalar(node, place)
        return self.broken(node, f"the tag {_short(node.tag)} is not read here; write the plain value.")

    def items(self, node: MappingNode, above: tuple[int, ...]) -> Iterator[tuple[str, Located]]:
        """A mapping's keys and values, each key once."""
        first_lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self.wrong(key_node, "a key must be text, not a list or a mapping.")
                continue
            key = key_node.value
            if key_node.tag == TAG + "merge":
                self.wrong(key_node, "merge keys (`<<`) are not read here; write the keys out, or alias a whole value.")
            elif key_node.tag != TAG + "str":
                self.wrong(key_node, f"the key {key or 'null'} must be text; put it in quotes.")
            elif key in first_lines:
                seen = f" (first on line {first_lines[key]})" if self.text_lines else ""
                self.wrong(key_node, f"the key {key!r} is given twice{seen}.")
            else:
                first_lines[key] = key_node.start_mark.line + 1
                # The key's line is where a person looks, also when its value starts below it or is an alias.
                yield key, Located(self.convert(value_node, above).value, self.place(key_node.start_mark.line + 1))

    def scalar(self, node: ScalarNode, place: Place) -> Located:
        """A scalar as null, bool, int, float or text."""
        kind, text = node.tag.removeprefix(TAG), node.value
        if kind == "str":
            return Located(text, place)
        if kind == "null":
            return Located(None, place)
        if kind == "bool" and text.lower() in ("true", "false"):
            return Located(text.lower() == "true", place)
        try:
            if kind == "int":
                return Located(int(text), place)
            if kind == "float":
                return self.finite(node, float(text.replace(".inf", "inf").replace(".nan", "nan").lower()), place)
        except ValueError:
            return self.broken(node, f"{text[:40]!r} cannot be read as a number.")
        return self.broken(node, f"the tag {_short(node.tag)} is not read here; write the plain value.")

    def finite(self, node: ScalarNode, number: float, place: Place) -> Located:
        """A float that is a number; NaN, infinity and what overflows to it are problems."""
        if math.isfinite(number):
            return Located(number, place)
        return self.broken(node, f"{node.value[:40]} is not a finite number.")


def parse(text: str, *, label: str, folder: Path, text_lines: bool = True) -> tuple[Located | None, list[Problem]]:
    """Read one YAML document.

    Args:
        text: The document.
        label: What messages call it: a file's name or a `--set` argument.
        folder: What relative paths in it are relative to.
        text_lines: Whether messages carry line numbers.

    Returns:
        The value, None when there is none to use, and every problem found.
    """
    reading = _Reading(label, folder, text_lines)
    try:
        node = yaml.compose(text, Loader=_Loader)
        value = None if node is None else reading.convert(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return None, [Problem(reading.place(mark.line + 1 if mark else 0), _explain(error))]
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return None, [Problem(reading.place(line), f"the character U+{error.character:04X} may not stand in YAML.")]
    except RecursionError:
        return None, [Problem(reading.place(0), f"values are nested more than {MAX_DEPTH} deep.")]
    if reading.values > MAX_VALUES:
        text = f"its aliases stand for more than {MAX_VALUES:,} values; write out what is needed."
        return None, [Problem(reading.place(0), text)]
    return value, reading.problems


def write(values: Mapping[str, Any]) -> str:
    """Write values as YAML that reads back as the same values, here and by PyYAML."""
    return str(yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


def read(path: Path, label: str) -> tuple[Located | None, list[Problem]]:
    """Read a YAML file that holds a mapping; what keeps it from being read is a problem like any other.

    Returns:
        The mapping, None when there is none, and every problem found.
    """

    def refused(text: str, line: int = 0) -> tuple[None, list[Problem]]:
        return None, [Problem(Place(label, line, path.parent), text)]

    try:
        if path.is_dir() and (path / "recipe.yaml").is_file():
            return refused(f"a run folder. Its recipe is {path / 'recipe.yaml'}.")
        if path.suffix in DATA_FILES and path.is_file():
            return refused("a data file. Name it in a recipe, under `data: {file: …}`; `mixplan new` starts one.")
        if not path.is_file():
            return refused("not a regular file." if path.exists() else "there is no such file.")
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        return refused(f"cannot be read: {error.strerror}.")
    if len(data) > MAX_BYTES:
        return refused(f"larger than {MAX_BYTES:,} bytes, which no recipe or config needs. Is it a data file?")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return refused("not UTF-8 text. Save the file as UTF-8.", data.count(b"\n", 0, error.start) + 1)
    value, problems = parse(text, label=label, folder=path.parent)
    if value is not None and not isinstance(value.value, Mapping):
        return refused("expected keys and values (`model: …`) at the top.", value.place.line)
    if value is None and not problems:
        return refused("the file is empty.")
    return value, problems


def _explain(error: yaml.MarkedYAMLError) -> str:
    """PyYAML's complaint in one line, with the remedy where one is known."""
    problem = error.problem or "it cannot be read"
    if "'\\t'" in problem:
        return "not valid YAML: a tab is used as white space. Indent with spaces."
    if "expected a single document" in (error.context or ""):
        return "holds more than one YAML document. Remove the `---` line and what follows."
    return f"not valid YAML: {problem}."


def _short(tag: str) -> str:
    return "!!" + tag.removeprefix(TAG) if tag.startswith(TAG) else tag
