"""A study's file: what it means, what it is registered as, and every problem at once with its line."""

import re
from functools import partial
from pathlib import Path

import pytest
from small_study import SHIPPED_STUDY
from study_text import lay as lay_text

from mixplan.errors import RecipeError
from mixplan.study.asked.spec import as_registered, load_study

STUDY = """\
title: A small study
questions: [Does it hold]
recipe:
  model: {name: model, sae: {path: sae}}
  domains:
    sums: &sums
      data: {file: sums.jsonl}
      format: question_answer
      columns: {question: q, answer: a}
    poems:
      data: {file: poems.jsonl}
      format: question_answer
      columns: {question: q, answer: a}
    law:
      data: {generator: word_sorting}
      format: question_answer
      columns: {question: question, answer: answer}
  evaluate: {measures: {sums: likelihood, poems: likelihood}, tasks: {sums: arc_easy}}
targets:
  math:
    data: {file: ./sums.jsonl}
    format: question_answer
    columns: {question: q, answer: a}
  words:
    data: {generator: word_sorting, limit: 100}
    format: question_answer
    columns: {question: question, answer: answer}
development: [math]
kinds:
  short: [sums, law]
  text: [poems]
seeds: [4, 5]
marks:
  - {text: It holds., quantity: chosen/kl/pearson/held_out, at_least: 0.7}
"""


lay = partial(lay_text, STUDY)


def refused(path: Path) -> str:
    with pytest.raises(RecipeError) as caught:
        load_study(path)
    return str(caught.value)


def test_a_target_s_recipe_is_the_study_s_with_nothing_to_spend(tmp_path):
    study = load_study(lay(tmp_path))
    assert list(study.recipes) == ["math", "words"]
    for loaded in (*study.recipes.values(), study.whole):
        assert loaded.resolved["budget"]["rows"] == 0
        assert loaded.resolved["forecast"]["runs"] == []
        assert loaded.recipe.seed == 4
    assert study.recipes["math"].recipe.target.data.file == "./sums.jsonl"
    assert study.recipes["words"].recipe.target.data.generator == "word_sorting"
    assert study.recipes["words"].folder(("target", "data", "file")) == tmp_path
    assert (study.spec.reading.query_tokens, study.spec.preview.rows) == (1000, 24)


def test_domains_of_a_target_s_own_data_are_left_out_of_its_recipe(tmp_path):
    study = load_study(lay(tmp_path))
    assert study.domains == ("sums", "poems", "law")
    assert list(study.recipes["math"].recipe.domains) == ["poems", "law"]
    assert study.recipes["math"].recipe.evaluate.measures == {"poems": "likelihood"}
    assert study.recipes["math"].recipe.evaluate.tasks == {}
    assert list(study.recipes["words"].recipe.domains) == ["sums", "poems"]
    assert study.recipes["words"].recipe.evaluate.tasks == {"sums": "arc_easy"}


def test_equal_names_in_other_folders_or_packages_are_other_data(tmp_path):
    same = load_study(lay(tmp_path, ("{file: ./sums.jsonl}", "{file: sums.jsonl, limit: 5}")))
    assert "sums" not in same.recipes["math"].recipe.domains
    other = load_study(lay(tmp_path, ("{file: ./sums.jsonl}", "{file: more/sums.jsonl}")))
    assert "sums" in other.recipes["math"].recipe.domains
    packed = load_study(lay(tmp_path, ("{file: ./sums.jsonl}", "{package: scipy, file: sums.jsonl}")))
    assert "sums" in packed.recipes["math"].recipe.domains


def test_a_target_of_several_sources_is_refused_with_what_a_study_takes(tmp_path):
    sums = "    data: {file: ./sums.jsonl}\n    format: question_answer\n    columns: {question: q, answer: a}\n"
    source = "{data: {file: sums.jsonl}, format: question_answer, columns: {question: q, answer: a}}"
    path = lay(tmp_path, (sums, f"    sources: {{one: {source}, two: {source}}}\n"))
    line = 1 + path.read_text().split("sources:")[0].count("\n")
    assert refused(path) == (
        f"{path}:{line}: targets.math.sources: a study compares targets of one source each. Give every source as a "
        "target of its own, or plan the whole with `mixplan plan`."
    )


def test_the_hash_is_over_meaning_not_over_wording(tmp_path):
    first = load_study(lay(tmp_path)).hash
    worded = lay(tmp_path, ("title:", "# a comment\ntitle:"), ("seeds: [4, 5]", "seeds:\n- 4\n- 5"))
    assert load_study(worded).hash == first
    assert load_study(lay(tmp_path, ("kinds:", "reading: {draws: 3}\nkinds:"))).hash == first  # the default
    for change in (
        ("at_least: 0.7", "at_least: 0.6"),
        ("seeds: [4, 5]", "seeds: [5, 4]"),
        ("limit: 100", "limit: 101"),
        ("development: [math]", "development: [words]"),
        ("kinds:", "reading: {draws: 2}\nkinds:"),
    ):
        assert load_study(lay(tmp_path, change)).hash != first, change


def test_every_problem_of_the_study_is_told_at_once(tmp_path):
    path = lay(
        tmp_path,
        ("title: A small study", "titel: A small study"),
        ("questions: [Does it hold]", "questions: []"),
        ("development: [math]", "development: math"),
        ("seeds: [4, 5]", "seeds: [4, -1]\npreview: {rows: 0}"),
        ("at_least: 0.7", "at_last: 0.7"),
    )
    assert refused(path) == (
        f"{path}:1: title: missing. Expected text.\n"
        f"{path}:1: titel: unknown key. Did you mean 'title'?\n"
        f"{path}:2: questions: found a list, expected a list of at least 1, each item text.\n"
        f"{path}:28: development: found the text 'math', expected a list of at least 1, each item at most 100 letters, "
        "digits, `_`, `.` or `-`, the first a letter or digit.\n"
        f"{path}:32: seeds.1: found the number -1, expected a whole number from 0 to 2147483647.\n"
        f"{path}:33: preview.rows: found the number 0, expected a whole number of at least 1.\n"
        f"{path}:35: marks.0.at_least: missing. Expected a number.\n"
        f"{path}:35: marks.0.at_last: unknown key. Did you mean 'at_least'?"
    )


def test_one_target_alone_leaves_none_to_judge_by(tmp_path):
    words = STUDY[STUDY.index("  words:\n") : STUDY.index("development:")]
    path = lay(tmp_path, (words, ""))
    assert refused(path) == f"{path}:19: targets: found a mapping, expected a mapping with at least 2 entries."


def test_every_problem_of_all_its_recipes_is_told_at_once(tmp_path):
    path = lay(
        tmp_path,
        ("  evaluate: {measures", "  budget: {rows: 3}\n  seed: 1\n  trian: {}\n  evaluate: {measures"),
        ("{generator: word_sorting, limit: 100}", "{generator: word_sorting, limit: 0}"),
        ("    data: {file: ./sums.jsonl}\n", ""),
        ("development: [math]", "development: [maths]"),
    )
    assert refused(path) == (
        f"{path}:18: recipe.budget: a study settles this itself. Leave the key out.\n"
        f"{path}:19: recipe.seed: a study settles this itself. Leave the key out.\n"
        f"{path}:20: recipe.trian: unknown key. Did you mean 'train'?\n"
        f"{path}:23: targets.math.data: missing. Expected a mapping.\n"
        f"{path}:27: targets.words.data.limit: found the number 0, expected a whole number of at least 1.\n"
        f"{path}:30: development: there is no target 'maths'. Did you mean 'math'?"
    )


def test_each_section_that_the_study_settles_is_refused(tmp_path):
    sections = ("target: {}", "budget: {rows: 3}", "allocate: {}", "forecast: {}", "seed: 1")
    path = lay(tmp_path, ("  domains:", "".join(f"  {one}\n" for one in sections) + "  domains:"))
    assert refused(path).splitlines() == [
        f"{path}:{5 + number}: recipe.{one.split(':')[0]}: a study settles this itself. Leave the key out."
        for number, one in enumerate(sections)
    ]


def test_a_problem_in_a_config_keeps_the_config_s_place(tmp_path):
    (tmp_path / "configs" / "domains").mkdir(parents=True)
    suite = tmp_path / "configs" / "domains" / "mine.yaml"
    suite.write_text("odd:\n  format: question_answer\n")
    path = lay(
        tmp_path, ("  domains:\n", "  domains:\n    config: mine\n"), ("  text: [poems]", "  text: [poems, odd]")
    )
    lines = refused(path).splitlines()
    assert f"{suite}:1: domains.odd.data: missing. Expected a mapping." in lines
    assert all(line.startswith(f"{suite}:1: domains.odd.") for line in lines)


def test_a_config_that_is_not_there_hides_no_other_problem(tmp_path):
    path = lay(tmp_path, ("  domains:\n", "  domains:\n    config: nowhere-at-all\n"), ("[math]", "[math, words]"))
    missing, development = refused(path).splitlines()
    assert missing.startswith(f"{path}:6: recipe.domains: no domain suite is named 'nowhere-at-all'.")
    assert development == (
        f"{path}:29: development: every target is named, so none is left to judge by. Take some out."
    )


def test_names_that_name_nothing_or_stand_twice(tmp_path):
    path = lay(
        tmp_path,
        ("development: [math]", "development: [math, math]"),
        ("  short: [sums, law]", "  short: [sums, lav, sums]"),
        ("  text: [poems]", "  text:\n  - poems\n  - sums"),
        ("seeds: [4, 5]", "seeds: [4, 5, 4]"),
    )
    assert refused(path) == (
        f"{path}:28: development: target 'math' is named twice. Take it out once.\n"
        f"{path}:29: kinds: domain 'law' stands under none. Put it under one.\n"
        f"{path}:30: kinds.short: there is no domain 'lav'. Did you mean 'law'?\n"
        f"{path}:30: kinds.short: domain 'sums' stands under short already. Take it out of one.\n"
        f"{path}:33: kinds.text: domain 'sums' stands under short already. Take it out of one.\n"
        f"{path}:34: seeds: 4 is given twice, which would count one training twice. Take it out once."
    )


def test_data_that_leaves_nothing_to_measure(tmp_path):
    path = lay(
        tmp_path,
        ("{generator: word_sorting, limit: 100}", "{file: sums.jsonl}"),
        ("{file: poems.jsonl}", "{file: sums.jsonl}"),
        ("data: {generator: word_sorting}", "data: {file: sums.jsonl}"),
    )
    alone = "reads every target's data, so it can be measured for none. Take it out."
    own = "every domain reads this target's data, so none can be measured. Add a domain of other data."
    assert refused(path) == (
        f"{path}:6: recipe.domains: domain 'sums' {alone}\n"
        f"{path}:10: recipe.domains: domain 'poems' {alone}\n"
        f"{path}:14: recipe.domains: domain 'law' {alone}\n"
        f"{path}:20: targets.math: {own}\n"
        f"{path}:24: targets.words: {own}"
    )


def test_what_is_no_study_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused(tmp_path / "none.yaml") == "none.yaml: there is no such study. Studies are in recipes/studies/."
    (tmp_path / "empty.yaml").write_text("")
    assert refused(tmp_path / "empty.yaml") == "empty.yaml: the file is empty."
    (tmp_path / "plan.yaml").write_text("model: embedded\ntarget: {name: sums}\n")
    assert refused(tmp_path / "plan.yaml") == "plan.yaml: this is a recipe, not a study. Give it to `mixplan plan`."
    (tmp_path / "slip.yaml").write_text("recipe: {model: embedded}\ntarget: {one: {}}\n")
    assert "slip.yaml:2: target: unknown key. Did you mean 'targets'?" in refused(tmp_path / "slip.yaml")


def test_the_shipped_study_leaves_out_each_target_s_own_data():
    study = load_study(SHIPPED_STUDY)
    assert len(study.recipes) == 8
    assert len(study.domains) == 21
    left_out = {name: set(study.domains) - set(loaded.recipe.domains) for name, loaded in study.recipes.items()}
    assert {name: names for name, names in left_out.items() if names} == {
        "worked_math": {"worked_math"},
        "law": {"privacy"},
        "commonsense": {"commonsense"},
        "summaries": {"summaries"},
        "puzzles": {"sorting"},
    }


@pytest.mark.parametrize("name", ["smollm2-135m", "smollm2-135m-arms", "smollm2-135m-grpo", "smollm2-135m-response"])
def test_a_shipped_study_is_still_the_one_that_was_registered(name):
    folder = Path(__file__).resolve().parent.parent / "recipes" / "studies" / name
    registered = re.search(r"registered before the first training as \| `(\w+)`", (folder / "RESULTS.md").read_text())
    assert load_study(folder / "study.yaml").hash == registered[1]


def test_whether_cut_answers_are_kept_counts_only_where_the_model_answers():
    kept = {"mixture": {"answers": "self", "cut_answers": "keep"}}
    dropped, gold = {"mixture": {"answers": "self"}}, {"mixture": {"answers": "gold", "cut_answers": "keep"}}
    assert as_registered(kept) == {"mixture": {"answers": "self"}}
    assert as_registered(dropped) == {"mixture": {"answers": "self", "cut_answers": "drop"}}
    assert as_registered(gold) == {"mixture": {"answers": "gold"}}
