"""Readings in parts: what is read at each look, and sums of parts against sums of the whole."""

from dataclasses import fields

import numpy as np
import pytest

from mixplan.features.in_parts import divided, row_end, together, up_to
from mixplan.features.queries import Query, Reading, Unit
from mixplan.features.statistics import EXAMPLES, Statistics

LOOKS = (0.1, 0.5, 1.0)


def unit(counts, draw=0):
    """Questions that share two tokens, of given lengths behind them."""
    own = [tuple(range(10 * n + 10, 10 * n + 10 + count)) for n, count in enumerate(counts)]
    queries = tuple(Query(n, (1, 2, *ids), (1, 2, 3, *ids), len(ids)) for n, ids in enumerate(own))
    return Unit(draw, ("d",), 0, queries, 2, 3)


def reading(*units):
    return Reading(tuple(units), (), 100, 0)


def test_parts_are_the_rows_in_their_order_and_each_once():
    whole = reading(unit([3, 4, 5, 2, 6, 1, 4]), unit([2, 2], draw=1))
    for own, all_of_it in zip(divided(whole, LOOKS, least_rows=2), whole.units, strict=True):
        assert tuple(query for part in own for query in part.queries) == all_of_it.queries
        assert {part.draw for part in own} == {all_of_it.draw}
        assert own[0].alone_prefix == 2
        assert own[0].context_prefix == 3


@pytest.mark.parametrize("least", [1, 3, 50])
def test_a_look_holds_its_part_of_the_tokens_and_the_least_rows(least):
    counts = [3, 4, 5, 2, 6, 1, 4]
    for part in LOOKS:
        end = row_end(unit(counts), part, least=least)
        assert sum(counts[:end]) >= part * sum(counts) or end == len(counts)
        assert end >= min(least, len(counts))
        assert end == min(least, len(counts)) or sum(counts[: end - 1]) < part * sum(counts)


def test_up_to_the_last_look_is_the_whole_reading():
    whole = reading(unit([3, 4, 5, 2, 6]), unit([2, 2], draw=1))
    parts = divided(whole, LOOKS, least_rows=2)
    assert [one.queries for one in up_to(whole, parts, 2).units] == [one.queries for one in whole.units]
    first = up_to(whole, parts, 0)
    assert [len(one.queries) for one in first.units] == [2, 2]
    assert first.units[0].mark == parts[0][0].mark


def statistics(rows, values, places):
    """Sums over rows of 3 features and 2 chosen ones, with the places of their largest activations."""
    rng = np.random.default_rng(len(rows))
    return Statistics(
        tokens=np.array(rows),
        shift=rng.random(3),
        act=rng.random(3),
        fired=np.arange(3),
        raw_shift=rng.random(2),
        replicas=rng.random((4, 3)),
        rows={"drift_shift": rng.random(len(rows))},
        by_column={"drift_shift": rng.random(2)},
        example_values=np.array(values, dtype=np.float32),
        example_places=np.array(places, dtype=np.int64),
    )


def test_sums_add_up_and_places_count_on():
    left = statistics([4, 5], [[3, 1, 0], [2, 0, 0]], [[[0, 1], [1, 2], [-1, -1]], [[1, 0], [-1, -1], [-1, -1]]])
    right = statistics([6], [[3, 2, 0.5], [0, 0, 0]], [[[0, 4], [0, 5], [0, 0]], [[-1, -1]] * 3])
    whole = together([left, right])
    assert whole.tokens.tolist() == [4, 5, 6]
    for name in ("shift", "act", "fired", "raw_shift", "replicas"):
        assert getattr(whole, name) == pytest.approx(getattr(left, name) + getattr(right, name))
    assert whole.rows["drift_shift"].tolist() == [*left.rows["drift_shift"], *right.rows["drift_shift"]]
    assert whole.by_column["drift_shift"] == pytest.approx(
        left.by_column["drift_shift"] + right.by_column["drift_shift"]
    )
    # The earlier token wins a tie, and the second part's only row is the third of all.
    assert whole.example_values.tolist() == [[3, 3, 2], [2, 0, 0]]
    assert whole.example_places.tolist() == [[[0, 1], [2, 4], [2, 5]], [[1, 0], [-1, -1], [-1, -1]]]
    assert whole.example_values.shape == (2, EXAMPLES)


def test_one_part_is_itself():
    alone = statistics([4], [[1, 0, 0]], [[[0, 1], [-1, -1], [-1, -1]]])
    assert all(getattr(together([alone]), one.name) is getattr(alone, one.name) for one in fields(Statistics))
