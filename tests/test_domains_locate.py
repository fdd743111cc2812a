"""Where a spec's file is, and what is said when it is not there."""

import os
import sys
import types
from pathlib import Path

import pytest

from mixplan.domains.locate import file_pattern, locate
from mixplan.errors import DataError
from mixplan.recipe import DataSpec


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """An installed package that cannot be imported."""
    folder = tmp_path / "site" / "brokenpackage"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('never import me')")
    (folder / "data" / "rows.jsonl").write_text('{"a": 1}\n')
    (tmp_path / "site" / "lonely.py").write_text("")
    (tmp_path / "outside.jsonl").write_text("{}")
    (folder / "data" / "out.jsonl").symlink_to(tmp_path / "outside.jsonl")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return folder


def test_files_are_relative_to_the_yaml_or_absolute_or_in_a_package(tmp_path, package):
    (tmp_path / "recipes").mkdir()
    path = tmp_path / "rows.csv"
    path.write_text("a\n")
    assert locate(DataSpec(file="rows.csv"), tmp_path) == path
    assert locate(DataSpec(file="../rows.csv"), tmp_path / "recipes").resolve() == path
    assert locate(DataSpec(file=str(path)), Path("/nowhere")) == path
    assert locate(DataSpec(package="brokenpackage", file="data/rows.jsonl"), tmp_path) == package / "data/rows.jsonl"
    assert "brokenpackage" not in sys.modules


def refused(spec: DataSpec, folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        locate(spec, folder)
    return str(caught.value)


def test_nothing_there(tmp_path):
    (tmp_path / "law.jsonl").write_text("")
    assert refused(DataSpec(file="lav.jsonl"), tmp_path) == (
        f"{tmp_path}/lav.jsonl: not there. Did you mean 'law.jsonl'?"
    )
    assert refused(DataSpec(file="data/law.jsonl"), tmp_path) == (
        f"{tmp_path}/data/law.jsonl: not there. The folder {tmp_path}/data is not there either."
    )
    assert refused(DataSpec(file="law.jsonl/x.jsonl"), tmp_path) == (
        f"{tmp_path}/law.jsonl/x.jsonl: not there. The folder {tmp_path}/law.jsonl is not there either."
    )


def test_paths_that_are_no_files(tmp_path):
    (tmp_path / "loop.jsonl").symlink_to(tmp_path / "pool.jsonl")
    (tmp_path / "pool.jsonl").symlink_to(tmp_path / "loop.jsonl")
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "data.xlsx").write_text("")
    (tmp_path / "data").write_text("")
    assert refused(DataSpec(file="loop.jsonl"), tmp_path) == (
        f"{tmp_path}/loop.jsonl: its symbolic links go round in a circle. Name the file itself."
    )
    assert refused(DataSpec(file="pipe.jsonl"), tmp_path) == (
        f"{tmp_path}/pipe.jsonl: not a regular file. Copy the data into a file and name that."
    )
    known = (
        "Known: .csv, .json, .jsonl, .ndjson, .parquet, .tsv, all but Parquet also with .bz2, .gz, .xz, .zst behind "
        "it, or the folder of a saved data set."
    )
    assert refused(DataSpec(file="data.xlsx"), tmp_path) == f"{tmp_path}/data.xlsx: data in .xlsx is not read. {known}"
    assert refused(DataSpec(file="data"), tmp_path) == (
        f"{tmp_path}/data: data in a file without suffix is not read. {known}"
    )
    assert refused(DataSpec(file="a\0b.jsonl"), tmp_path) == (
        f"'{tmp_path}/a\\x00b.jsonl': a path cannot hold a NUL character. Remove it."
    )
    long = "x" * 300 + ".jsonl"
    assert refused(DataSpec(file=long), tmp_path) == (
        f"{tmp_path}/{long}: File name too long. Give the path of a file or of a saved data set."
    )


def test_no_permission(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    path.write_text("{}")
    message = f"{path}: no permission to read it. Allow it with `chmod u+r {path}`."
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert refused(DataSpec(file="rows.jsonl"), tmp_path) == message

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    assert refused(DataSpec(file="rows.jsonl"), tmp_path) == message


def test_packages(tmp_path, package, monkeypatch):
    def in_package(name: str, file: str) -> str:
        return refused(DataSpec(package=name, file=file), tmp_path)

    assert in_package("no_such_package", "a.jsonl") == (
        "package 'no_such_package' is not installed. Install it into this environment: pip install no_such_package"
    )
    assert in_package("lonely", "a.jsonl") == (
        "package 'lonely' is a single module, so no data file lies in it. Name it with `file` alone."
    )
    assert in_package("brokenpackage.data", "a.jsonl") == (
        "package 'brokenpackage.data' is not a top-level package name. Put the path inside it into `file`."
    )
    assert in_package("brokenpackage", "../outside.jsonl") == (
        "file '../outside.jsonl' leaves the package 'brokenpackage'. Give a path inside it, without `..`."
    )
    assert in_package("brokenpackage", "/etc/hosts.csv") == (
        "file '/etc/hosts.csv' leaves the package 'brokenpackage'. Give a path inside it, without `..`."
    )
    assert in_package("brokenpackage", "data/out.jsonl") == (
        "file 'data/out.jsonl' is a link that leaves the package 'brokenpackage'. Name the linked file with `file`."
    )
    assert in_package("brokenpackage", "data/row.jsonl") == (
        f"{package}/data/row.jsonl: not there. Did you mean 'rows.jsonl'?"
    )
    monkeypatch.setitem(sys.modules, "specless", types.ModuleType("specless"))
    assert in_package("specless", "a.jsonl") == (
        "package 'specless' is not installed. Install it into this environment: pip install specless"
    )


def test_home_and_variables_of_the_environment(tmp_path, monkeypatch):
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "rows.jsonl.gz").write_bytes(b"")
    (tmp_path / "sets" / "code.py").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SETS", str(tmp_path / "sets"))
    for written in ("~/sets/rows.jsonl.gz", "$SETS/rows.jsonl.gz", "${SETS}/rows.jsonl.gz"):
        assert locate(DataSpec(file=written), Path("/nowhere")) == tmp_path / "sets" / "rows.jsonl.gz"
    for written in ("$SETS/**/*.py", "~/sets/**/*.py"):
        spec = DataSpec(file=written)
        assert (locate(spec, Path("/nowhere")), file_pattern(spec)) == (tmp_path / "sets", "**/*.py")
    assert refused(DataSpec(file="$UNSET_HERE/rows.jsonl"), tmp_path).startswith(
        f"{tmp_path}/$UNSET_HERE/rows.jsonl: not there."
    )
