"""How a column names right options: decided once over the column, refused where it leaves that open."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixplan.domains.choice import LETTERS, Options
from mixplan.domains.labels import FEWEST_IN_PLACE, Named, decide, fitting, in_one_place, no_option
from mixplan.errors import DataError

COLOURS = ("red", "blue", "green", "grey")
WRITE = {
    "letter": lambda gold, texts: LETTERS[gold],
    "text": lambda gold, texts: texts[gold],
    "index0": lambda gold, texts: gold,
    "index1": lambda gold, texts: gold + 1,
    "one_hot": lambda gold, texts: [int(number == gold) for number in range(len(texts))],
}
"""A second formulation of each way: from the right option's index to what a data set writes."""


def column(answers, texts=COLOURS, labels=()) -> list[Named]:
    return [
        Named.of(f"d.jsonl, line {number}", one, Options(tuple(texts), labels)) for number, one in enumerate(answers, 1)
    ]


def decided(answers, texts=COLOURS, labels=(), allowed=0) -> str:
    return decide(column(answers, texts, labels), source="d.jsonl", allowed=allowed)


def refused(answers, texts=COLOURS, labels=(), allowed=0) -> str:
    with pytest.raises(DataError) as caught:
        decided(answers, texts, labels, allowed)
    return str(caught.value)


@pytest.mark.parametrize("way", WRITE)
@pytest.mark.parametrize("count", [2, 4, 11, 26])
def test_a_column_with_every_option_is_read_back(way, count):
    texts = [f"option {number}" for number in range(count)]
    answers = column([WRITE[way](gold, texts) for gold in range(count)], texts)
    assert decide(answers, source="d.jsonl", allowed=0) == way
    assert [answer.index(way) for answer in answers] == list(range(count))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(WRITE)), st.lists(st.integers(0, 3), min_size=1, max_size=30), st.randoms())
def test_no_column_is_read_another_way_without_a_word(way, golds, random):
    """Whatever options occur, in any order: the right ones are found, or the column is refused."""
    answers = [WRITE[way](gold, COLOURS) for gold in golds]
    random.shuffle(answers)
    indices = ("index0", "index1")
    if way in indices and all(answer.index(one) is not None for answer in column(answers) for one in indices):
        assert f"labels: {way}" in refused(answers)
        return
    found = decided(answers)
    assert [answer.index(found) for answer in column(answers)] == [answer.index(way) for answer in column(answers)]


@pytest.mark.parametrize("written", ["B", "b", "(B)", "B.", "B)", " B ", "B. blue", "B) Blue", "(B) blue"])
def test_letters_as_people_write_them(written):
    assert decided([written, "C", "D"]) == "letter"
    assert column([written])[0].index("letter") == 1


@pytest.mark.parametrize("written", ["1.0", 1.0, "1", 1])
def test_an_index_that_became_a_float(written):
    assert decided([0.0, written, 3.0]) == "index0"
    assert column([written])[0].index("index0") == 1


def test_a_column_that_never_names_an_end_is_left_open():
    assert refused([1, 2, 3, 2]) == (
        "d.jsonl: the column of answers can be read in 2 ways. Line 1: the answer '1' is A. 'red' (index1) or B. "
        "'blue' (index0). Set `labels: index1` or `labels: index0` in this section of the recipe."
    )
    assert decided([1, 2, 3, 4]) == "index1"
    assert decided([0, 1, 2, 3]) == "index0"


def test_a_few_rows_do_not_decide_against_all_others():
    """One 4 in 200 may be the last of four from 1 or a slip from 0: that is for the person to say."""
    assert "labels: index0" in refused([*[1, 2, 3] * 67, 4], allowed=2)


def test_an_index_beside_numbers_is_a_position():
    assert decided([0, 1, 2, 1], texts=("3", "2", "1")) == "index0"
    assert decided(["15", "12", "18"], texts=("12", "15", "18")) == "text"
    message = refused([1, 2, 1], texts=("2", "1", "0"))
    assert "A. '2' (index1) or B. '1' (text, index0)" in message
    assert "Set `labels: index1` or `labels: text` or `labels: index0` in" in message


def test_the_datas_own_labels_name_the_option():
    """ARC: most rows are labelled A to D, some 1 to 4, each by its own row."""
    rows = [("ABCD", gold) for gold in "ABCD" * 20] + [("1234", gold) for gold in "1234"]
    answers = [
        Named.of(f"line {number}", gold, Options(COLOURS, tuple(labels))) for number, (labels, gold) in enumerate(rows)
    ]
    assert decide(answers, source="d", allowed=0) == "label"
    assert [answer.index("label") for answer in answers] == [*[0, 1, 2, 3] * 20, 0, 1, 2, 3]


def test_letters_and_numbers_without_labels_are_refused():
    assert refused(["A", "B", "C", "D"] * 24 + ["1", "2", "3", "4"], allowed=1) == (
        "d.jsonl: the column of answers holds a letter in 96 of 100 rows, but an index from 1 in others, such as "
        "line 97: '1'. Write it one way in every row; or set `labels: letter` and `data.faulty_share: 0.04`, which "
        "leaves the 4 other rows out."
    )
    assert decided(["A", "B", "C", "D"] * 24 + ["1", "2", "3", "4"], allowed=4) == "letter"


@pytest.mark.parametrize(
    ("labels", "gold"),
    [([1, 0, 0], 0), ([0, 0, 1], 2), ([False, True, False], 1), ([0.0, 1.0, 0.0], 1), ("[0, 1, 0]", 1)],
)
def test_one_hot(labels, gold):
    assert decided([labels], texts=("a", "b", "c")) == "one_hot"
    assert column([labels], texts=("a", "b", "c"))[0].index("one_hot") == gold


@pytest.mark.parametrize("labels", [[1, 1, 0], [0, 0, 0], [1, 0], ["B"], [2, 0, 0], [1, 0, 0, 1]])
def test_another_list_is_refused(labels):
    shown = "[" + ", ".join(map(str, labels)) + "]"
    assert refused([labels], texts=("a", "b", "c")) == (
        f"d.jsonl, line 1: the answer is the list {shown}, not one letter, index or text. Name one item of it, as in "
        "`answer: COLUMN.0`; a list of a 0 or 1 for each option is read where exactly one is 1."
    )


@pytest.mark.parametrize("written", ["E", -1, "yellow", "B. red", True, 7])
def test_an_answer_that_is_no_option(written):
    shown = "true" if written is True else str(written)
    assert refused([written]) == (
        f"d.jsonl, line 1: the answer {shown!r} is not among the options A to D. "
        "Expected a letter A to D, an index from 0 or 1, or an option's text."
    )


def test_what_is_expected_is_named_for_the_way_that_was_set():
    [answer] = column(["9"], labels=("p", "q", "r", "s"))
    expected = {
        "label": "one of p, q, r, s",
        "letter": "a letter A to D",
        "index0": "an index 0 to 3",
        "index1": "an index 1 to 4",
        "text": "an option's text",
        "one_hot": "a list of 4 numbers, one of them 1 and the others 0",
    }
    for way, words in expected.items():
        assert str(no_option(answer, way)).endswith(f"is not among the options A to D. Expected {words}.")


@pytest.mark.parametrize("given", [None, "", "  ", float("nan"), [], ()])
def test_no_answer(given):
    assert Named.empty(given)
    assert not any(map(Named.empty, (0, 0.0, False, "0", [0])))


def test_another_source_of_the_same_domain_is_read_alike_where_that_fits():
    assert fitting("index0", column([1, 2]))
    assert not fitting("index0", column([1, 4]))


def test_the_order_of_rows_changes_nothing():
    for order in itertools.permutations([1, 2, 3, 4]):
        assert decided(order) == "index1"


@pytest.mark.parametrize("way", WRITE)
@pytest.mark.parametrize(("place", "last"), [(0, False), (2, False), (0, True)])
def test_right_options_in_one_place_are_seen_however_they_are_named(way, place, last):
    def answers(count, places=None):
        made = []
        for number in range(count):
            texts = [f"{number}.{other}" for other in range(3 + number % 2 * last)]
            gold = places[number] if places else len(texts) - 1 - place if last else place
            made.append(Named.of(f"line {number}", WRITE[way](gold, texts), Options(tuple(texts))))
        return made

    assert in_one_place(way, answers(FEWEST_IN_PLACE))
    assert not in_one_place(way, answers(FEWEST_IN_PLACE - 1))
    assert not in_one_place(way, answers(FEWEST_IN_PLACE, [1, *[0] * (FEWEST_IN_PLACE - 1)]))


def test_rows_of_one_class_are_no_right_options_in_one_place():
    assert not in_one_place("text", column(["red"] * 40))
