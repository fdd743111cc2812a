"""A section's rows are each once, the same in whatever order a source has them, with the grader that the data allow."""

import itertools
import json

import pytest
from small_domains import domain, save

from mixplan.domains.rows import Row
from mixplan.domains.section import read_section, unique
from mixplan.errors import DataError
from mixplan.recipe import ColumnsSpec, DataSpec


def row(key, answer="yes", place="a"):
    return Row(id=place, key=key, prompt=(("user", key),), answer=answer)


def section(spec, folder, seed=0):
    return read_section(spec, ("domains", "law"), [str(folder)] * 2, seed, lambda path: ".".join(map(str, path)), "law")


def test_of_rows_with_one_key_the_same_one_is_kept_in_every_order():
    rows = [row("x", "yes"), row("x", "no"), row("x", "maybe"), row("y")]
    found = {tuple((one.key, one.answer) for one in unique(order, 7)) for order in itertools.permutations(rows)}
    assert len(found) == 1
    assert sorted(key for key, _ in found.pop()) == ["x", "y"]


def test_the_order_of_rows_is_a_fair_draw_of_the_seed():
    """Over many seeds each of three rows comes first a third of the time, within five standard deviations."""
    first = [unique([row("x"), row("y"), row("z")], seed)[0].key for seed in range(900)]
    assert all(abs(first.count(key) - 300) < 5 * (900 * 2 / 9) ** 0.5 for key in "xyz")


def test_duplicates_are_counted_and_what_passed_is_the_source_s_own_number(tmp_path):
    save(tmp_path, "law", ["a", "b", "A", "c", "b"])
    found = section(domain("law"), tmp_path)
    assert sorted(row.prompt[-1][1].lower() for row in found.rows) == ["a", "b", "c"]
    assert (found.reader.causes.left_out["duplicate"], found.passed, found.apart) == (2, 5, None)


def test_demonstrations_of_their_own_are_read_apart(tmp_path):
    save(tmp_path, "law", ["a", "b"])
    save(tmp_path, "shots", ["c", "d", "C"])
    found = section(domain("law", demonstrations=DataSpec(file="shots.jsonl")), tmp_path)
    assert sorted(row.id.partition(":")[0] for row in found.apart) == ["shots.jsonl"] * 2
    assert (len(found.rows), found.passed) == (2, 2)


@pytest.mark.parametrize(("asked", "grader"), [("auto", "exact"), ("number", "number"), ("exact", "exact")])
def test_the_grader_of_a_file_is_the_recipe_s_or_equality(tmp_path, asked, grader):
    save(tmp_path, "law", ["a"])
    assert section(domain("law", grader=asked), tmp_path).grader == grader


def test_choices_are_graded_by_choice_and_entries_by_their_generator(tmp_path):
    (tmp_path / "law.jsonl").write_text(json.dumps({"q": "a", "o": ["x", "y"], "a": "A"}) + "\n")
    choice = domain("law", format="choice", columns=ColumnsSpec(question="q", options="o", answer="a"))
    assert section(choice, tmp_path).grader == "choice"
    columns = ColumnsSpec(question="question", answer="answer")
    made = domain("law", data=DataSpec(generator="chain_sum", limit=5), columns=columns)
    assert section(made, tmp_path).grader == "generator"


def test_a_message_opens_with_the_key_and_the_section(tmp_path):
    with pytest.raises(DataError, match=r"^domains\.law\.data: law: .*/law\.jsonl: not there"):
        section(domain("law"), tmp_path)
    save(tmp_path, "law", ["a"])
    with pytest.raises(DataError, match=r"^domains\.law\.demonstrations: law: .*/shots\.jsonl: not there"):
        section(domain("law", demonstrations=DataSpec(file="shots.jsonl")), tmp_path)
