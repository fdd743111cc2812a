"""Holds what sketches say of two domains against the rows themselves, for every size, order, split, limit and name."""

import hashlib
import random
from dataclasses import replace

import pytest

from mixplan.domains.content_sketch import SAME_SHARE, SKETCH_KEYS, Content, same_content, shared, sketch, sketches
from mixplan.domains.rows import Row
from mixplan.domains.split import Domain
from mixplan.recipe import DomainSpec

FILE = {"data": {"file": "law.jsonl"}, "format": "question_answer", "columns": {"question": "q", "answer": "a"}}
MADE = {"data": {"generator": "gsm_symbolic"}, "format": "question_answer", "columns": {"question": "q", "answer": "a"}}


def row(number, answer="yes"):
    return Row(f"file:{number}", hashlib.md5(str(number).encode()).hexdigest(), (("user", str(number)),), answer)


def domain(rows, name="law", spec=FILE, cut=(0.2, 0.5, 0.6), seed=0):
    rows = random.Random(seed).sample(list(rows), len(rows))
    a, b, c = (int(len(rows) * part) for part in cut)
    parts = (tuple(rows[:a]), tuple(rows[a:b]), tuple(rows[b:c]), tuple(rows[c:]))
    return Domain(name, DomainSpec.model_validate(spec), "exact", *parts, read_rows=len(rows))


def rows(first, last):
    return [row(number) for number in range(first, last)]


@pytest.mark.parametrize("size", [1, 10, SKETCH_KEYS, SKETCH_KEYS + 1, 5000])
def test_split_order_name_and_file_do_not_count(size):
    one = sketch(domain(rows(0, size)))
    other = sketch(domain(rows(0, size), "justice", FILE | {"data": {"file": "b.csv"}}, (0.1, 0.2, 0.9), seed=5))
    assert one == other
    assert (one.rows, len(one.keys), shared(one, other)) == (size, min(size, SKETCH_KEYS), 1.0)
    assert Content.from_json(one.as_json()) == one


def test_kept_sketches_are_those_of_the_same_rows_sources_and_target(monkeypatch, tmp_path):
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path))
    made = []
    monkeypatch.setattr("mixplan.domains.content_sketch.sketch", lambda one: made.append(one.name) or sketch(one))
    law, code = (
        replace(domain(rows(*ends), name), fingerprint=name) for name, ends in (("law", (0, 90)), ("code", (50, 70)))
    )
    expected = [sketch(law), sketch(code)]
    assert [sketches([law, code]), sketches([law, code])] == [expected, expected]
    assert made == ["law", "code"]
    for other in (
        [replace(law, name="target"), code],
        [replace(law, fingerprint="other rows"), code],
        [replace(law, spec=DomainSpec.model_validate(MADE)), code],
        [code, law],
        [replace(law, fingerprint=""), code],
    ):
        made.clear()
        assert sketches(other) == [sketch(one) for one in other]
        assert made == [one.name for one in other]


@pytest.mark.parametrize(("first", "size"), [(0, 600), (100, 600), (300, 600), (550, 600), (900, 1000), (600, 600)])
def test_the_shared_part_is_that_of_the_rows(first, size):
    one, other = rows(0, 600), rows(first, first + size)
    truth = len({r.key for r in one} & {r.key for r in other}) / 600
    found = shared(sketch(domain(one)), sketch(domain(other)))
    assert found == pytest.approx(truth, abs=0.2)  # three standard errors of a share of some 60
    assert (found == 0) == (truth == 0)


def test_a_part_lies_in_the_whole_though_it_is_much_smaller_and_rows_apart_are_apart():
    whole = sketch(domain(rows(0, 4000)))
    assert same_content(sketch(domain(rows(1000, 1800))), whole) is True
    assert same_content(whole, sketch(domain(rows(9000, 9800)))) is False
    # Of 30 rows, some 0.06 are below the 64th of 30,000: nothing can be told.
    assert same_content(sketch(domain(rows(0, 30))), sketch(domain(rows(0, 30_000)))) is None


def test_small_domains_are_compared_row_by_row():
    few = sketch(domain(rows(0, 4)))
    assert shared(few, sketch(domain(rows(3, 9)))) == 0.25
    assert same_content(few, sketch(domain(rows(2, 9)))) is (SAME_SHARE <= 0.5)
    assert same_content(few, sketch(domain(rows(5, 9)))) is False
    assert same_content(few, sketch(domain([]))) is None
    assert same_content(few, None) is None


def test_one_generator_with_other_seeds_and_limits_is_one_domain_and_with_other_options_another():
    one = sketch(domain(rows(0, 800), spec=MADE))
    limited = MADE | {"data": {"generator": "gsm_symbolic", "limit": 50}}
    assert same_content(one, sketch(domain(rows(5000, 5050), "sums", limited))) is True
    harder = MADE | {"data": {"generator": "gsm_symbolic", "options": {"difficulty": 2.0}}}
    assert same_content(one, sketch(domain(rows(5000, 5800), spec=harder))) is False
    assert sketch(domain(rows(0, 9))).source is None  # a file's name says nothing of what is in it


def test_a_target_is_what_it_teaches_and_a_domain_what_it_asks():
    asked = [row(number) for number in range(50)]
    answered = [row(number, "no") for number in range(50)]
    assert same_content(sketch(domain(asked)), sketch(domain(answered))) is True
    assert same_content(sketch(domain(asked, "target")), sketch(domain(answered, "target"))) is False


@pytest.mark.parametrize("change", [{"keys": "12"}, {"keys": "z" * 12}, {"keys": "b" * 12 + "a" * 12}, {"rows": 0}])
def test_a_damaged_sketch_is_refused(change):
    with pytest.raises(ValueError, match="keys"):
        Content.from_json(sketch(domain(rows(0, 5))).as_json() | change)
