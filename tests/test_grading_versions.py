"""What was graded is kept apart by the grader's package and by a user's own code."""

import importlib.metadata

from small_plan import recipe  # noqa: F401 - a fixture is used by its name

from mixplan.domains.cached_domains import opened
from mixplan.grading import VERSION
from mixplan.grading.versions import grading_state, own_sources, source_hash
from mixplan.reading.identity import scores_key
from mixplan.recipe import load_recipe
from mixplan.runs import file_hash


def test_a_grade_is_of_the_packages_of_its_graders_alone():
    known = {name: importlib.metadata.version(name) for name in ("math-verify", "reasoning-gym")}
    assert grading_state(["number"]) == [VERSION, {}, {}]
    assert grading_state(["math", "choice"]) == [VERSION, {"math-verify": known["math-verify"]}, {}]
    assert grading_state(["generator"], ["math"]) == [VERSION, known, {}]


def test_a_users_code_is_found_without_running_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alone_here.py").write_text("raise RuntimeError('run')\n")
    assert source_hash("alone_here") == file_hash(tmp_path / "alone_here.py")
    (tmp_path / "package_here").mkdir()
    (tmp_path / "package_here" / "one.py").write_text("a = 1\n")
    first = source_hash("package_here.two")
    (tmp_path / "package_here" / "one.py").write_text("a = 2\n")
    assert first not in (None, source_hash("package_here.two"))
    assert source_hash("nowhere_at_all") is None


def test_a_folder_of_data_beside_a_module_of_its_name_is_not_taken_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "named_twice").mkdir()
    (tmp_path / "named_twice" / "rows.jsonl").write_text("{}\n")
    (tmp_path / "named_twice.py").write_text("def reward(completions, **columns): ...\n")
    assert source_hash("named_twice") == file_hash(tmp_path / "named_twice.py")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "further_back").mkdir()
    (elsewhere / "further_back.py").write_text("a = 1\n")
    monkeypatch.syspath_prepend(str(elsewhere))
    assert source_hash("further_back") == file_hash(elsewhere / "further_back.py")


def test_code_of_the_user_s_own_is_told_from_an_installed_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_alone.py").write_text("a = 1\n")
    found = own_sources(["graded", "trl.rewards:think_format_reward", "mine_alone:a", "nowhere_at_all:a"])
    assert found == {"mine_alone:a": file_hash(tmp_path / "mine_alone.py"), "nowhere_at_all:a": None}


def test_scores_by_rewarded_answers_are_measured_again_when_the_rewards_code_changes(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = tmp_path / "mine_here.py"
    code.write_text("def reward(completions, **columns):\n    return [1.0 for _ in completions]\n")
    loaded = load_recipe(recipe, ("drift.from=rollouts", "train.rewards={'mine_here:reward': 1.0}"))
    first = scores_key(loaded, *opened(loaded))
    assert scores_key(loaded, *opened(loaded)) == first
    code.write_text(code.read_text().replace("1.0", "0.0"))
    assert scores_key(loaded, *opened(loaded)) != first
