"""Sources pooled into the target as a whole: every item once, under its source's name, in what all have."""

import numpy as np
import pytest

from mixplan.evaluate import Measured
from mixplan.evaluate.pooled import pooled


def measured(measure: str, rows: int, start: float, **more: tuple[float, ...]) -> Measured:
    values = {"correct": tuple(start + n for n in range(rows)), **more}
    texts = {"outcome": tuple(f"{start} {n}" for n in range(rows))}
    return Measured(measure, tuple(f"r:{n}" for n in range(rows)), values, texts)


def test_items_keep_their_values_and_are_told_apart():
    code, chat = measured("exact", 3, 0.0), measured("exact", 2, 10.0)
    values = {
        "target.code": {"exact": code},
        "target.chat": {"exact": chat},
        "law": {"exact": measured("exact", 4, 9.0)},
    }
    names = ["target.code", "target.chat", "target.never"]
    found, headline = pooled(values, dict.fromkeys(values, "exact"), names)
    assert headline == "exact"
    one = found["exact"]
    assert one.rows == ("target.code/r:0", "target.code/r:1", "target.code/r:2", "target.chat/r:0", "target.chat/r:1")
    assert len(set(one.rows)) == 5
    assert one.values == {"correct": (0.0, 1.0, 2.0, 10.0, 11.0)}
    assert one.texts["outcome"] == (*code.texts["outcome"], *chat.texts["outcome"])
    # The mean over items is the sources' means weighted by their items.
    weighted = np.average([np.mean(code.values["correct"]), np.mean(chat.values["correct"])], weights=[3, 2])
    assert np.mean(one.values["correct"]) == weighted


def test_only_what_every_source_has_is_pooled():
    code = {"exact": measured("exact", 2, 0.0, extra=(1.0, 2.0)), "behaviour": measured("behaviour", 2, 5.0)}
    chat = {"exact": measured("exact", 1, 3.0), "likelihood": measured("likelihood", 1, 4.0)}
    found, _ = pooled({"a": code, "b": chat}, {"a": "exact", "b": "exact"}, ["a", "b"])
    assert list(found) == ["exact"]
    assert list(found["exact"].values) == ["correct"]


def test_headlines_that_differ_are_not_pooled():
    one = {"exact": measured("exact", 1, 0.0), "behaviour": measured("behaviour", 1, 0.0)}
    other = {"likelihood": measured("likelihood", 1, 0.0), "behaviour": measured("behaviour", 1, 0.0)}
    assert pooled({"a": one, "b": other}, {"a": "exact", "b": "likelihood"}, ["a", "b"]) is None


def test_headlines_without_a_quantity_in_common_are_not_pooled():
    tasks = [Measured("lm_eval", ("r:0",), {name: (1.0,)}, {}) for name in ("acc", "ter")]
    sources = {name: {"lm_eval": task} for name, task in zip("ab", tasks, strict=True)}
    assert pooled(sources, {"a": "lm_eval", "b": "lm_eval"}, ["a", "b"]) is None


def test_a_target_of_one_source_is_not_pooled():
    assert pooled({"target": {"exact": measured("exact", 1, 0.0)}}, {"target": "exact"}, []) is None


@pytest.mark.parametrize(
    ("ways", "pooled_way"), [((-1, -1), -1), ((-1, 0), -1), ((1, -1), 0), ((0, 0), 0), ((1, 1), 1)]
)
def test_which_way_is_better_stays_what_the_tasks_say(ways, pooled_way):
    """Less of an error rate is better; a quantity of no known name is taken for better only where nothing is said."""
    tasks = [Measured("lm_eval", ("r:0",), {"error_rate": (1.0,)}, {}, {"error_rate": way}) for way in ways]
    found, _ = pooled({name: {"lm_eval": one} for name, one in zip("ab", tasks, strict=True)},
                      dict.fromkeys("ab", "lm_eval"), ["a", "b"])  # fmt: skip
    assert found["lm_eval"].quality("error_rate") == pooled_way
