"""Files of a handover hold what they were given, whole or not at all, and a trainer's own places are refused."""

import json
from collections import Counter
from types import SimpleNamespace

import pytest
import yaml
from small_training import training

from mixplan.errors import RunError
from mixplan.export.handover import Handover, settled, write_lines, write_yaml


def test_lines_are_read_back_as_they_were(tmp_path):
    rows = [{"text": "a\n\u2028b\u00e9\x00", "n": 1, "none": None}, {"text": "", "n": 2**60}]
    write_lines(tmp_path / "deep" / "rows.jsonl", iter(rows))
    data = (tmp_path / "deep" / "rows.jsonl").read_bytes()
    assert [json.loads(line) for line in data.decode().split("\n")[:-1]] == rows
    assert data.endswith(b"}\n")


def test_a_file_that_cannot_be_finished_leaves_the_former_one(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_lines(path, [{"n": 1}])
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_lines(path, iter([{"n": 2}, {"n": float("nan")}]))
    assert path.read_text() == '{"n": 1}\n'


def test_a_config_is_yaml_below_its_comments(tmp_path):
    values = {"b": [1, {"c": None}], "a": "é: #", "rate": 3e-4}
    write_yaml(tmp_path / "job.yaml", values, ("How to: start", "it"))
    text = (tmp_path / "job.yaml").read_text(encoding="utf-8")
    assert text.startswith("# How to: start\n# it\nb:")
    assert yaml.safe_load(text) == values
    assert settled(values | {"x": None, "y": False}) == values | {"y": False}


def handover(folder, **counts):
    counters = {name: Counter(counts.get(name, {})) for name in ("rows", "cut", "left_out", "inexact")}
    mixture = SimpleNamespace(folder=folder)
    recipe = SimpleNamespace(model=SimpleNamespace(chat_template_kwargs={}))
    return Handover(recipe, mixture, training(), SimpleNamespace(**counters), folder)


def test_a_row_with_a_trainer_s_place_is_named(tmp_path):
    row = SimpleNamespace(provenance={"row_id": "law:3"}, domain="law")
    made = SimpleNamespace(question="What is <image>?", answer="a", row=row)
    with pytest.raises(RunError) as caught:
        handover(tmp_path).refuse_places(made, ("<video>", "<image>"), "swift")
    assert str(caught.value) == (
        f"{tmp_path}: row law:3 of 'law' holds <image>, which swift takes for a place of its own and replaces. Leave "
        "such rows out of the data and plan again, or export to trl."
    )
    handover(tmp_path).refuse_places(made, ("<video>",), "swift")


def test_what_became_of_rows_is_said_with_its_numbers(tmp_path):
    told = list(
        handover(
            tmp_path, rows={"law": 9, "code": 4}, cut={"law": 2, "code": 0}, left_out={"code": 1}, inexact={"law": 3}
        ).told()
    )
    assert [text.split(", where")[0].split(", as TRL")[0].split(" where the")[0] for text in told] == [
        "2 of 9 rows of 'law' are cut at 64 tokens",
        "1 rows of 'code' are left out",
        "3 of 9 rows of 'law' have other tokens",
    ]
    assert list(handover(tmp_path, rows={"law": 9}).told()) == []
