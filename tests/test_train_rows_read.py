"""What the optimiser read, counted by domain over batches, epochs, packed rows and checkpoints."""

import json
from collections import Counter

from as_saved import plain
from hypothesis import given
from hypothesis import strategies as st

from mixplan.saved.outcome import Consumption
from mixplan.train.rows_read import Answered, Seen, packed_rows, whole_rows

DOMAINS = ["target", "law", "target", "law", "fox"]
LABELS = [[-100, 5, 5], [5], [-100, -100, 5], [5, 5, 5, 5], [-100, 5]]
ENTRY = {"planned_rows": 2, "rows": 2, "trainable_tokens": 0, "truncated_rows": 0, "dropped_rows": 0}
PREPARED = {name: Consumption(**ENTRY) for name in ("target", "law")}


def test_rows_count_as_often_as_they_are_read():
    holds = whole_rows(LABELS, [3, 1, 0, 2, 4])
    seen = Seen(DOMAINS)
    for number in (0, 1, 2, 0, 1):
        seen.read(holds[number])
    assert plain(seen.entries(PREPARED)) == {
        "target": ENTRY | {"rows": 1, "distinct_rows": 1, "trainable_tokens": 1},
        "law": ENTRY | {"rows": 4, "distinct_rows": 2, "trainable_tokens": 2 * (2 + 1)},
    }


def test_a_packed_row_holds_the_rows_that_are_packed_in_it_whole_or_in_pieces():
    labels, origins = [[-100, 5, 5, 5], [5, 5, -100, 5]], [[0, 0, 0, 1], [1, 1, 4, 4]]
    assert packed_rows(labels, origins) == [[(0, 2, True), (1, 1, True)], [(1, 2, False), (4, 1, True)]]
    seen = Seen(DOMAINS)
    for row in packed_rows(labels, origins):
        seen.read(row)
    assert seen.readings == Counter(target=1, law=1, fox=1)
    assert seen.tokens == Counter(target=2, law=3, fox=1)


@given(st.lists(st.integers(0, 4), max_size=30), st.integers(0, 30))
def test_counting_goes_on_from_a_checkpoint(numbers, stopped):
    holds = whole_rows(LABELS, range(5))
    whole, first, second = Seen(DOMAINS), Seen(DOMAINS), Seen(DOMAINS)
    for number in numbers:
        whole.read(holds[number])
    for number in numbers[:stopped]:
        first.read(holds[number])
    second.resume(json.loads(json.dumps(first.as_json())))
    for number in numbers[stopped:]:
        second.read(holds[number])
    assert second == whole
    assert whole.together() == whole


def test_a_prompt_counts_once_whatever_the_number_of_its_answers():
    seen = Answered(DOMAINS, answers=2)
    seen.read([(0, 3, True), (0, 4, True), (1, 5, True), (1, 6, True)])
    found = seen.together().entries(PREPARED)
    assert [(entry.rows, entry.distinct_rows, entry.trainable_tokens) for entry in found.values()] == [
        (1, 1, 7),
        (1, 1, 11),
    ]
