"""Rows of Python files: which functions are taken, what of each, and that nothing is imported or run."""

import json
import sys
from pathlib import Path

import pytest

from mixplan.domains.functions import functions_of, open_functions
from mixplan.domains.sources import count_rows, read_records
from mixplan.errors import DataError
from mixplan.recipe import DataSpec

GOOD = '''\
def area(width: float, height: float = 1.0, *, unit="m") -> float:
    """Area of a
    rectangle.

    More about it, which is left out.
    """
    # Both sides count.
    size = width * height

    return size
'''
ROW = {
    "name": "area",
    "signature": "def area(width: float, height: float=1.0, *, unit='m'):",
    "summary": "Area of a rectangle.",
    "body": "    size = width * height\n\n    return size",
}


def rows(folder: Path, text: str | bytes) -> list[dict[str, str]]:
    file = folder / "some.py"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(functions_of(file))


def test_a_function_is_its_signature_summary_and_body(tmp_path):
    assert rows(tmp_path, GOOD) == [ROW]


def test_a_decorated_function_at_the_head_of_a_body_keeps_its_decorators(tmp_path):
    text = 'def f(x):\n    """Do it."""\n    @one\n    @two(x)\n    def g():\n        return x\n    return g\n'
    (row,) = rows(tmp_path, text)
    assert row["body"] == "    @one\n    @two(x)\n    def g():\n        return x\n    return g"


def of_lines(count: int) -> str:
    return 'def f(x):\n    """Do it."""\n' + "".join(f"    x += {n}\n\n" for n in range(count - 1)) + "    return x\n"


@pytest.mark.parametrize(("count", "taken"), [(1, False), (2, True), (12, True), (13, False)])
def test_bodies_of_2_to_12_lines_that_are_not_blank_are_taken(tmp_path, count, taken):
    assert len(rows(tmp_path, of_lines(count))) == taken


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n    x += 1\n    return x\n",
        'def f(x):\n    """"""\n    x += 1\n    return x\n',
        'def f(x):\n    """Alone."""\n',
        "@cache\n" + GOOD,
        GOOD.replace("def area", "async def area"),
        "class Shape:\n" + "".join(f"    {line}\n" for line in GOOD.splitlines()),
        "def outer():\n" + "".join(f"    {line}\n" for line in GOOD.splitlines()) + "    return area\n",
        'def f(x):\n    """Do it."""; x += 1\n    x += 2\n    return x\n',
        "x = 1\n",
        "",
    ],
    ids=["no docstring", "empty docstring", "docstring alone", "decorated", "asynchronous", "method", "nested",
         "docstring's line shared", "no function", "empty"],
)  # fmt: skip
def test_what_is_no_exercise_is_left_out(tmp_path, text):
    assert rows(tmp_path, text) == []


@pytest.mark.parametrize(
    "text",
    ["def broken(:\n", "print 'python 2'\n", b"\xe9 = 1\n", b"x = '\x00'\n", "(" * 5000 + ")" * 5000],
    ids=["syntax", "old syntax", "not utf-8", "nul", "nested too deeply"],
)
def test_a_broken_file_is_passed_over(tmp_path, text):
    assert rows(tmp_path, text) == []


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        b"\x0c\n" + GOOD.encode(),
        ("mark = '\u2028'\n" + GOOD).encode(),
        ("pattern = '\\d'\n" + GOOD).encode(),
    ],
    ids=["byte-order mark", "carriage returns", "form feed", "line separator in a string", "odd escape"],
)
def test_how_a_file_is_written_does_not_matter(tmp_path, text):
    assert rows(tmp_path, text) == [ROW]


def test_files_in_order_below_a_folder_and_nothing_is_run(tmp_path):
    (tmp_path / "inner").mkdir()
    trap = "import sys\nsys.modules['trapped'] = sys\nraise SystemExit\n"
    for place, name in (("b.py", "second"), ("a.py", "first"), ("inner/c.py", "third"), ("d.txt", "none")):
        (tmp_path / place).write_text(trap + GOOD.replace("area", name))
    (tmp_path / "aa.py").write_text("def broken(:\n")
    (tmp_path / "ab.py").mkdir()
    found = [
        (number, json.loads(content)["name"]) for number, content in open_functions(tmp_path, "**/*.py").raw_rows()
    ]
    assert found == [(1, "first"), (2, "second"), (3, "third")]
    assert [json.loads(content)["name"] for _, content in open_functions(tmp_path, "*.py").raw_rows()] == [
        "first", "second",
    ]  # fmt: skip
    assert "trapped" not in sys.modules


def test_a_domain_s_file_may_be_a_pattern_below_its_yaml_or_a_package(tmp_path, monkeypatch):
    package = tmp_path / "site" / "brokenshapes"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('never import me')\n")
    (package / "shapes.py").write_text(GOOD + GOOD.replace("area", "size"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    in_package = DataSpec(package="brokenshapes", file="**/*.py")
    below = DataSpec(file="site/**/*.py", where={"name": "size"})
    assert [row["name"] for row in read_records(in_package, folder=tmp_path, seed=0)] == ["area", "size"]
    assert list(read_records(below, folder=tmp_path, seed=0)) == [{**ROW, "name": "size", "signature": ROW[
        "signature"].replace("area", "size")}]  # fmt: skip
    assert count_rows(in_package, tmp_path) == 2
    assert "brokenshapes" not in sys.modules


def test_a_pattern_that_finds_nothing(tmp_path):
    with pytest.raises(DataError) as caught:
        open_functions(tmp_path, "*.py")
    assert str(caught.value) == f"{tmp_path}/*.py: no Python file is there. Correct `file`."


def test_files_without_any_exercise(tmp_path):
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(DataError) as caught:
        list(read_records(DataSpec(file="*.py"), folder=tmp_path, seed=0))
    assert str(caught.value) == f"{tmp_path}/*.py: has no rows. Give a source with rows."
