"""A table of a study: what it refuses, and that it comes back from its file as it was."""

import json
import re
from dataclasses import fields, replace

import numpy as np
import pytest
from random_table import small_table

from mixplan.errors import RunError
from mixplan.study.judged.table import Table, read_table, write_table

AGAIN = "Run the study again, `mixplan study run STUDY --run FOLDER`: it makes the table from the cells that are kept."


def test_a_table_comes_back_as_it_was_written(tmp_path):
    table, path = small_table(), tmp_path / "table.json"
    write_table(table, path)
    back = read_table(path)
    for part in fields(Table):
        one, other = getattr(table, part.name), getattr(back, part.name)
        if part.name in ("measures", "noise", "predictors", "overlaps", "signs"):
            assert list(one) == list(other)
            for name in one:
                np.testing.assert_array_equal(one[name], other[name])
        else:
            assert one == other
    assert json.loads(path.read_text())["measures"]["kl"][1][2] == [None, None]


def test_forecasts_and_held_out_targets_are_the_rest():
    assert small_table().forecasts == ("sts",)
    assert small_table().held_out == ("code",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"predictors": {"sts": np.zeros((2, 4))}}, "predictors.sts: found 2 x 4 numbers, expected 2 x 3"),
        ({"overlaps": {"icl": np.zeros(2)}}, "overlaps.icl: found 2 numbers, expected 2 x 2"),
        ({"kinds": {"law": "short", "sums": "short"}}, "kinds: 'poems' is missing"),
        ({"live": {}}, "live: 'icl' is missing"),
        ({"noise": {}}, "noise: 'kl' is missing"),
        ({"drift_features": {"icl": 9, "raw": 9}}, "drift_features: 'raw' is not expected"),
        ({"development": ("maths",)}, "development: found 'maths', expected one of math, code"),
        ({"competitors": ("length",)}, "competitors: found 'length', expected one of sts, size, actual"),
        ({"bounds": ("length",)}, "bounds: found 'length', expected one of sts, size, actual"),
        ({"items": {"kl": (1, 2)}}, "items.kl: found 2 entries, expected 3"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        replace(small_table(), **changes)


NOT_ONE = "not a table.json that mixplan wrote, or changed or damaged since:\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v.pop("kinds"), f"{NOT_ONE}  `kinds` is missing\n"),
        (
            lambda v: v.update(version=2),
            "found table.json version 2, written by mixplan 'unknown'; expected version 1. Use that mixplan. ",
        ),
        (
            lambda v: v["measures"]["kl"].pop(),
            "this is not a whole table of a study: measures.kl: found 1 x 3 x 2 numbers, expected 2 x 3 x 2. ",
        ),
        (
            lambda v: v["predictors"].update(sts="many"),
            f'{NOT_ONE}  `predictors.sts`: expected a valid array, found "many"\n',
        ),
    ],
)
def test_a_damaged_table_says_where(tmp_path, change, said):
    path = tmp_path / "table.json"
    write_table(small_table(), path)
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    with pytest.raises(RunError) as caught:
        read_table(path)
    assert str(caught.value) == f"{path}: {said}{AGAIN}"


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(RunError) as caught:
        read_table(tmp_path / "table.json")
    assert str(caught.value) == f"{tmp_path / 'table.json'}: there is no such file. {AGAIN}"
