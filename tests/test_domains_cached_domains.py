"""Keeps opened domains by the state of their data: the same again, and read again once a file has changed."""

import json
import os
import shutil

import pytest
import yaml

from mixplan.domains import cached_domains
from mixplan.domains.cached_domains import as_kept, at_hand, kept_place, opened
from mixplan.errors import DataError
from mixplan.recipe import load_recipe


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "cache"))
    section = {
        "format": "question_answer",
        "columns": {"question": "q", "answer": "a"},
        "split": {"evaluation": 2, "query": 2, "demonstration": 2},
    }
    for name in ("one", "two"):
        rows = [{"q": f"{name} {number}?", "a": f"{number}", "why": "so"} for number in range(9)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    value = {
        "model": {"name": "embedded", "sae": {"embedded": True}},
        "target": {"data": {"file": "one.jsonl"}, **section},
        "domains": {"other": {"data": {"file": "two.jsonl"}, **section}},
        "drift": {"demonstrations": 1},
        "sts": {"demonstrations": 1},
        "budget": {"rows": 4},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(value))
    return tmp_path / "recipe.yaml"


def test_what_is_kept_is_what_was_opened_and_the_data_is_not_read_again(recipe, monkeypatch):
    loaded = load_recipe(recipe)
    assert as_kept(loaded) is None
    first = opened(loaded)
    monkeypatch.setattr(cached_domains, "open_domains", None)
    assert opened(load_recipe(recipe, ["budget.rows=3"])) == first
    found, problems = at_hand(loaded)
    assert (found, problems) == ({"target": first[0], "other": first[1]["other"]}, [])


@pytest.mark.parametrize("override", ["seed=7", "drift.demonstrations=2", "target.split.query=3"])
def test_what_changes_the_rows_is_another_key(recipe, override):
    assert kept_place(load_recipe(recipe)) != kept_place(load_recipe(recipe, [override]))


def test_a_file_that_is_not_there_is_told_with_the_recipe_s_line(recipe):
    opened(load_recipe(recipe))
    (recipe.parent / "two.jsonl").rename(recipe.parent / "too.jsonl")
    with pytest.raises(DataError) as caught:
        opened(load_recipe(recipe))
    assert str(caught.value) == (
        f"{recipe}:8: domain 'other': {recipe.parent / 'two.jsonl'}: not there. Did you mean 'too.jsonl'?"
    )


def test_a_file_that_changed_is_read_again(recipe):
    opened(load_recipe(recipe))
    file = recipe.parent / "two.jsonl"
    before = file.stat()
    file.write_text(file.read_text().replace("two 0?", "new 0?"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert file.stat().st_size == before.st_size
    _, domains = opened(load_recipe(recipe))
    assert "new 0?" in [row.prompt[-1][1] for row in domains["other"].pool + domains["other"].evaluation]


def answers(recipe):
    _, domains = opened(load_recipe(recipe))
    return {row.answer for row in domains["other"].rows}


def test_files_of_one_name_size_and_time_in_two_places_are_two(recipe, tmp_path):
    """As an archive leaves them, which gives all its files one time."""
    assert "8" in answers(recipe)
    for folder, file in ((tmp_path / "again", "two.jsonl"), (tmp_path / "other", "one.jsonl")):
        shutil.copytree(recipe.parent, folder, ignore=shutil.ignore_patterns("cache", "again", "other"))
        state = (recipe.parent / file).stat()
        (folder / file).write_text((folder / file).read_text().replace('"a": "8"', '"a": "9"'))
        os.utime(folder / file, ns=(state.st_atime_ns, state.st_mtime_ns))
        assert (folder / file).stat().st_size == state.st_size
    assert "8" not in answers(tmp_path / "again" / "recipe.yaml")
    target, _ = opened(load_recipe(tmp_path / "other" / "recipe.yaml"))
    assert "8" not in {row.answer for row in target.rows}


def test_a_file_whose_content_was_replaced_under_its_own_time_is_read_again(recipe):
    assert "8" in answers(recipe)
    file = recipe.parent / "two.jsonl"
    state = file.stat()
    file.write_text(file.read_text().replace('"a": "8"', '"a": "9"'))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert "8" not in answers(recipe)


def test_a_damaged_file_of_the_cache_is_read_past(recipe):
    first = opened(load_recipe(recipe))
    place = kept_place(load_recipe(recipe))
    place.write_bytes(place.read_bytes()[:-5])
    assert as_kept(load_recipe(recipe)) is None
    assert opened(load_recipe(recipe)) == first
