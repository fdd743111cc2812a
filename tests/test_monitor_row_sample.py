"""How many rows a training pays for, and in which order they are taken."""

import itertools

import pytest

from mixplan.monitor.row_sample import FEWEST, FIRST_BY, WANTED, Rates, affordable, fewest, only, order, said_rows
from mixplan.monitor.rows import Asked, Text

TOKENS = [30, 10, 20, 40, 25, 35, 15, 50]
RATES = Rates(answering=0.02, reading=0.01, opening=0.5)


def part(name: str, rows: int) -> Asked:
    text = Text((1, 2, 3), 1)
    ids = [str(number) for number in range(rows)]
    return Asked(
        name, "likelihood", "exact", (), dict.fromkeys(ids, text), dict.fromkeys(ids), dict.fromkeys(ids, (1, 2))
    )


@pytest.mark.parametrize(
    ("read", "room"), list(itertools.product((0, 2, 5), (0.5, 2.0, 4.0, 9.0, 15.0, 22.0, 30.0, 99.0)))
)
def test_as_many_rows_as_leave_room_for_measures_the_first_of_them_early(read, room):
    def fits(count: int) -> bool:
        more = sum(TOKENS[read:count])
        begins = 0.5 + 0.03 * more if more else 0.0
        measure = 0.01 * sum(TOKENS[:count])
        return begins + WANTED * measure <= room and begins + measure <= room / FIRST_BY

    count = affordable(TOKENS, 2, read, RATES, room)
    best = max((n for n in range(3, len(TOKENS) + 1) if fits(n)), default=None)
    if best is not None:
        assert count == best
    else:
        more = sum(TOKENS[read:2])
        once = (0.5 + 0.03 * more if more else 0.0) + 0.01 * sum(TOKENS[:2])
        assert count == (2 if once <= room else 0)


def test_each_part_comes_first_and_then_the_parts_by_their_sizes():
    asked = {"law": part("law", 2), "care": part("care", 4)}
    assert fewest(asked) == FEWEST * 2
    places = order(asked)
    assert [name for name, _ in places[:2]] == ["law", "care"]
    assert sorted(places) == [("care", "0"), ("care", "1"), ("care", "2"), ("care", "3"), ("law", "0"), ("law", "1")]
    for name, rows in (("law", 2), ("care", 4)):
        assert [row for own, row in places if own == name] == [str(number) for number in range(rows)]
    cut = only(asked, places[:3])
    assert {name: list(one.own) for name, one in cut.items()} == {"law": ["0"], "care": ["0", "1"]}
    assert said_rows(cut, asked) == "1 to 2 of 2 to 4"
