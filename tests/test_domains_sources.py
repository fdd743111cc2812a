"""Sources of every kind opened, filtered, sampled and counted."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from mixplan.domains import count_rows, fill, read_records
from mixplan.errors import DataError
from mixplan.recipe import DataSpec

ROWS = [
    {"q": f"question {index}", "n": index, "even": index % 2 == 0, "s": "law" if index < 3 else "math"}
    for index in range(10)
]


def save(folder: Path, name: str, rows: list[dict] = ROWS) -> DataSpec:
    path = folder / name
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".csv":
        lines = [",".join(rows[0]), *(",".join(map(json.dumps, row.values())) for row in rows)]
        path.write_text("\n".join(lines))
    elif path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=4)
    else:
        from datasets import Dataset

        Dataset.from_list(rows).save_to_disk(str(path), num_shards=3)
    return DataSpec(file=name)


KINDS = ["a.jsonl", "a.json", "a.csv", "a.parquet", "saved"]


def numbers(spec: DataSpec, folder: Path, seed: int = 0, **changes) -> list[int]:
    return [int(row["n"]) for row in read_records(spec.model_copy(update=changes), folder=folder, seed=seed)]


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_read_filtered_sampled_and_counted(tmp_path, name, capfd):
    spec = save(tmp_path, name)
    assert numbers(spec, tmp_path) == list(range(10))
    assert numbers(spec, tmp_path, where={"s": "law"}) == [0, 1, 2]
    assert numbers(spec, tmp_path, where={"s": ["law", "math"], "even": True}) == [0, 2, 4, 6, 8]
    assert numbers(spec, tmp_path, where={"n": [3, 5, 77]}) == [3, 5]
    assert count_rows(spec, tmp_path) == 10
    assert count_rows(spec.model_copy(update={"where": {"s": "law"}}), tmp_path) == 3
    assert count_rows(spec.model_copy(update={"limit": 4}), tmp_path) == 4
    samples = [numbers(spec, tmp_path, seed=seed, limit=4) for seed in range(30)]
    assert all(len(sample) == 4 and sample == sorted(set(sample)) for sample in samples)
    assert samples[0] == numbers(spec, tmp_path, seed=0, limit=4)
    assert set().union(*samples) == set(range(10))
    assert set(numbers(spec, tmp_path, limit=2, where={"s": "law"})) < {0, 1, 2}


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_the_order_of_a_text_file_does_not_change_the_sample(tmp_path, name):
    spec = save(tmp_path, name)
    sample = set(numbers(spec, tmp_path, limit=4))
    shuffled = ROWS[:]
    random.Random(3).shuffle(shuffled)
    save(tmp_path, name, shuffled)
    assert set(numbers(spec, tmp_path, limit=4)) == sample


def test_a_boolean_is_no_number_and_a_number_no_text(tmp_path):
    spec = save(tmp_path, "a.jsonl", [{"n": 1, "v": True}, {"n": 2, "v": 1}, {"n": 3, "v": "1"}, {"n": 4, "v": None}])
    assert numbers(spec, tmp_path, where={"v": True}) == [1]
    assert numbers(spec, tmp_path, where={"v": 1}) == [2]
    assert numbers(spec, tmp_path, where={"v": "1"}) == [3]


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_columns_inside_columns(tmp_path, name):
    rows = [{"n": 1, "meta": {"topic": {"name": "law"}}, "a.b": "x"}, {"n": 2, "meta": None, "a.b": "y"}]
    spec = save(tmp_path, name, rows)
    assert numbers(spec, tmp_path, where={"meta.topic.name": "law"}) == [1]
    assert numbers(spec, tmp_path, where={"a.b": "y"}) == [2]
    [row] = read_records(
        spec.model_copy(update={"limit": 1}), folder=tmp_path, seed=0, columns=["meta.topic.name", "a.b"]
    )
    assert row["a.b"] in ("x", "y")
    assert fill(rows[0], "{meta.topic.name}/{a.b}") == "law/x"


def test_fill():
    assert fill({"a": ["x", "y"], "b": 2.5, "c": None}, "a") == "x"
    assert fill({"b": 2.5}, "{{{b}}}") == "{2.5}"
    assert fill({"c": None}, "c") == fill({"c": None}, "say {c}") == ""
    with pytest.raises(DataError) as caught:
        fill({"c": 1}, "{d}")
    assert str(caught.value) == "the row: no column 'd'; it has c."


def refused(spec: DataSpec, folder: Path, **changes) -> str:
    with pytest.raises(DataError) as caught:
        list(read_records(spec.model_copy(update=changes), folder=folder, seed=0))
    return str(caught.value)


@pytest.mark.parametrize("name", KINDS)
def test_filters_that_nothing_passes(tmp_path, name):
    spec, place = save(tmp_path, name), f"{tmp_path}/{name}"
    assert refused(spec, tmp_path, where={"s": "lawyer"}) == (
        f"{place}: no row has s = lawyer; the column holds law, math. Did you mean 'law'?"
    )
    assert refused(spec, tmp_path, where={"n": [77, 78]}) == (
        f"{place}: no row has n = 77 or 78; the column holds 0, 1, 2, 3, 4, 5, 6, 7, 8, 9."
    )
    assert refused(spec, tmp_path, where={"s": "law", "n": 7}) == (
        f"{place}: no row passes all of `where` at once (s, n). Drop one of them."
    )
    prefix = place if name in ("a.parquet", "saved") else f"{place}: where"
    assert refused(spec, tmp_path, where={"subject": "law"}) == f"{prefix}: no column 'subject'; it has even, n, q, s."
    with pytest.raises(DataError) as caught:
        count_rows(spec.model_copy(update={"where": {"s": "medicine"}}), tmp_path)
    assert str(caught.value) == f"{place}: no row has s = medicine; the column holds law, math."


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.jsonl", ""), ("a.jsonl", "\n\n"), ("a.json", "[]"), ("a.json", ""), ("a.csv", ""), ("a.csv", "q,n\n")],
)
def test_empty_files(tmp_path, name, data):
    (tmp_path / name).write_text(data)
    assert refused(DataSpec(file=name), tmp_path) == f"{tmp_path}/{name}: has no rows. Give a source with rows."
    assert count_rows(DataSpec(file=name), tmp_path) == 0


def test_empty_tables(tmp_path):
    parquet.write_table(pa.table({"q": pa.array([], pa.string())}), tmp_path / "a.parquet")
    message = f"{tmp_path}/a.parquet: has no rows. Give a source with rows."
    assert refused(DataSpec(file="a.parquet"), tmp_path) == message


def test_damaged_tables(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 but not really")
    again = "Write or download it again."
    message = refused(DataSpec(file="a.parquet"), tmp_path)
    assert message == (
        f"{tmp_path}/a.parquet: damaged or not what its name says (Parquet magic bytes not found in footer. Either the "
        f"file is corrupted or this is not a parquet file). {again}"
    )
    broken = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xe9"))
    parquet.write_table(pa.table({"q": broken}), tmp_path / "b.parquet")
    assert refused(DataSpec(file="b.parquet"), tmp_path) == (
        f"{tmp_path}/b.parquet, row 2: not UTF-8 (byte 0xe9). "
        "Convert the file, for example with: iconv -f LATIN1 -t UTF-8"
    )


def test_folders_that_are_no_saved_data_set(tmp_path):
    from datasets import Dataset, DatasetDict

    (tmp_path / "empty").mkdir()
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "b.jsonl").write_text("{}")
    no = "a folder, but not a saved data set (it has no state.json)."
    assert refused(DataSpec(file="empty"), tmp_path) == f"{tmp_path}/empty: {no} It holds no file."
    assert refused(DataSpec(file="files"), tmp_path) == f"{tmp_path}/files: {no} It holds b.jsonl: name one of them."
    one = Dataset.from_list(ROWS)
    DatasetDict({"train": one, "test": one}).save_to_disk(str(tmp_path / "splits"))
    assert refused(DataSpec(file="splits"), tmp_path) == (
        f"{tmp_path}/splits: holds the splits train, test. Name one folder of them, as in {tmp_path}/splits/train."
    )
    assert len(numbers(DataSpec(file="splits/test"), tmp_path)) == 10
    state = tmp_path / "splits" / "test" / "state.json"
    state.write_text("{")
    assert refused(DataSpec(file="splits/test"), tmp_path) == f"{state}: damaged, not JSON. Save the data set again."
    state.write_text('{"_data_files": []}')
    assert refused(DataSpec(file="splits/test"), tmp_path) == (
        f"{tmp_path}/splits/test: its state.json lists no data file. Save the data set again."
    )
    state.write_text('{"_data_files": [{"filename": "gone.arrow"}]}')
    assert refused(DataSpec(file="splits/test"), tmp_path).startswith(
        f"{tmp_path}/splits/test: damaged or not what its name says ("
    )


@pytest.fixture(scope="module")
def million(tmp_path_factory) -> Path:
    """A million rows in a Parquet file and in a JSONL file, about 200 MB once they are Python objects."""
    folder = tmp_path_factory.mktemp("million")
    texts = pa.array([f"What is {index} plus {index}?" for index in range(1000)])
    chunk = pa.table({"question": texts, "n": pa.array(range(1000))})
    with parquet.ParquetWriter(folder / "a.parquet", chunk.schema) as writer:
        writer.write_table(pa.concat_tables([chunk] * 1000))
    parquet.write_table(chunk, folder / "small.parquet")
    lines = "".join(json.dumps({"question": text.as_py(), "n": n}) + "\n" for n, text in enumerate(texts))
    with open(folder / "a.jsonl", "w") as file:
        for _ in range(1000):
            file.write(lines)
    return folder


MEASURE = """
import resource, sys
from pathlib import Path
from mixplan.domains import read_records
from mixplan.recipe import DataSpec
spec = DataSpec(file=sys.argv[1], limit=500)
list(read_records(DataSpec(file="small.parquet", limit=5), folder=Path(sys.argv[2]), seed=1, columns=["question"]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = list(read_records(spec, folder=Path(sys.argv[2]), seed=1, columns=["question"]))
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
print(len(rows), grown, "torch" in sys.modules)
"""


@pytest.mark.parametrize(("name", "bound"), [("a.parquet", 40), ("a.jsonl", 20)])
def test_a_million_rows_are_sampled_without_being_loaded(million, name, bound):
    command = [sys.executable, "-c", MEASURE, name, str(million)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    sampled, megabytes, torch = result.stdout.split()
    assert (sampled, torch) == ("500", "False")
    assert float(megabytes) < bound
