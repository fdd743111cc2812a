"""How many rows each part of a split has, where the recipe says so and where it does not."""

import pytest

from mixplan.domains.split_sizes import demonstration_rows, evaluation_rows, query_rows, smaller
from mixplan.recipe import SplitSpec


@pytest.mark.parametrize(
    ("rows", "held_out", "shown", "read"),
    [(271, 40, 40, 191), (817, 100, 40, 677), (25_000, 100, 40, 1000), (20, 3, 5, 12), (7, 1, 5, 1), (6, 0, 5, 1)],
)
def test_sizes_follow_the_rows(rows, held_out, shown, read):
    split = SplitSpec()
    assert evaluation_rows(split, rows, shown=5, elsewhere=False) == held_out
    assert demonstration_rows(split, rows - held_out, shown=5) == shown
    assert query_rows(split, rows - held_out - shown) == read


def test_what_is_given_is_kept_and_the_rest_gives_way():
    split = SplitSpec(query=200, demonstration=20)
    assert evaluation_rows(split, 231, shown=5, elsewhere=False) == 11
    assert demonstration_rows(split, 220, shown=5) == 20
    assert query_rows(split, 200) == 200
    assert evaluation_rows(SplitSpec(evaluation=0), 817, shown=5, elsewhere=False) == 0
    assert evaluation_rows(SplitSpec(query=3), 10, shown=5, elsewhere=True) == 1


def test_a_pool_of_its_own_gets_its_share():
    assert query_rows(SplitSpec(apart=True), 100) == 70
    assert smaller({"evaluation": 100, "query": 100}, {"evaluation": 1, "query": 1}, 100, pool=True) == {
        "evaluation": 35,
        "query": 35,
    }
    assert smaller({"evaluation": 100, "query": 100}, {"evaluation": 1, "query": 1}, 100, pool=False) == {
        "evaluation": 50,
        "query": 50,
    }
