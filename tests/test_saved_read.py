"""plan.json is read whole or refused in words that say what to do."""

import json
from pathlib import Path

import pytest
from saved_plan import sample, save

from mixplan.errors import RunError
from mixplan.runs import refuse_absent
from mixplan.saved import read_plan

AGAIN = "Plan again: `mixplan plan {run}/recipe.yaml --run {run}`."


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return save(tmp_path / "run", sample())


def refusal(run: Path) -> str:
    with pytest.raises(RunError) as caught:
        read_plan(run)
    return str(caught.value)


def refused(run: Path, *problems: str) -> str:
    listed = "\n".join(f"  {problem}" for problem in problems)
    return f"{run}/plan.json: not a plan that mixplan wrote, or changed or damaged since:\n{listed}\n" + AGAIN.format(
        run=run
    )


def test_a_saved_plan_is_read_back_whole(run: Path) -> None:
    saved, plan = sample(), read_plan(run)
    read = plan.model_dump(mode="json", exclude_unset=True)
    assert read["domains"].keys() == saved["domains"].keys()
    assert read["domains"]["law"]["sts_icl"] == saved["domains"]["law"]["sts_icl"]
    assert read["drift"] == saved["drift"]
    assert read["allocation"] == saved["allocation"]
    assert read["hashes"] == saved["hashes"]


def test_keys_of_a_later_addition_are_passed_over(run: Path) -> None:
    save(run, {**sample(), "colour": "blue"})
    other = read_plan(save(run.parent / "other", sample()))
    assert read_plan(run).model_copy(update={"hashes": other.hashes}) == other


def test_no_folder(tmp_path: Path) -> None:
    run = tmp_path / "nowhere"
    assert refusal(run) == f"{run}: no such run folder. `mixplan ls` lists the runs there are."


def test_a_file_instead_of_a_folder(run: Path) -> None:
    path = run / "plan.json"
    assert refusal(path) == (f"{path}: found a file, expected a run folder. Give its folder: `mixplan report {run}`.")
    recipe = run.parent / "mine.yaml"
    recipe.write_text("model: embedded\n")
    assert refusal(recipe).startswith(f"{recipe}: found a recipe, expected a run folder. `mixplan plan {recipe}` ")


def test_no_plan_yet_with_a_name_that_needs_quotes(tmp_path: Path) -> None:
    run = tmp_path / "my run"
    run.mkdir()
    assert refusal(run) == f"{run}: no plan.json here yet. Plan first: `mixplan plan RECIPE --run '{run}'`."


def test_a_folder_that_compares_two_models_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "diff.json").write_text("{}")
    assert refusal(tmp_path) == (
        f"{tmp_path}: found what `mixplan diff` wrote of two models, expected a run folder. `mixplan ls` lists the "
        "runs."
    )


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not JSON: EOF while parsing a value at line 1 column 0"),
        (b'{"version": 1,', "not JSON: EOF while parsing a value at line 1 column 14"),
        (b"# a note\n", "not JSON: expected value at line 1 column 1"),
        (b'{"version": 1, "name": "\xff"}', "not JSON: invalid unicode code point at line 1 column 25"),
        (b"[" * 100_000, "not JSON: recursion limit exceeded at line 1 column 202"),
        (b"[]", "the file: expected an object, found []"),
        (b"{}", "`version` is missing"),
        (b'{"version": "1"}', '`version`: expected a valid integer, found "1"'),
    ],
)
def test_damaged_or_foreign(run: Path, data: bytes, problem: str) -> None:
    (run / "plan.json").write_bytes(data)
    assert refusal(run) == refused(run, problem)


def test_another_version(run: Path) -> None:
    save(run, {"version": 2, "mixplan": "9.1.0"})
    assert refusal(run) == (
        f"{run}/plan.json: found plan version 2, written by mixplan '9.1.0'; expected version 1. "
        f"Use that mixplan. Plan again: `mixplan plan {run}/recipe.yaml --run {run}`."
    )


def test_every_problem_at_once(run: Path) -> None:
    plan = sample()
    del plan["ranking"]
    plan["score"] = "best"
    plan["allocation"]["unit"] = "pounds"
    plan["domains"]["law"]["sts_icl"]["low"] = float("nan")
    plan["drift"]["features"][3] = [1, "x" * 100, 0.5]
    save(run, plan)
    assert refusal(run) == refused(
        run,
        f'`drift.features.3.1`: expected a valid number, found "{"x" * 39}...',
        "`score`: expected 'icl', 'act', 'preview' or 'stream', found \"best\"",
        "`domains.law.sts_icl.low`: expected a finite number, found NaN",
        "`ranking` is missing",
        "`allocation.unit`: expected 'rows' or 'tokens', found \"pounds\"",
    )


def test_a_long_list_of_problems_is_cut(run: Path) -> None:
    save(run, {"version": 1, "mixplan": "0.1.0"})
    missing = ("name", "hashes", "libraries", "model", "sae", "warnings", "target", "drift")
    assert refusal(run) == refused(run, *(f"`{key}` is missing" for key in missing), "and 8 more")


def test_domains_that_the_allocation_leaves_out(run: Path) -> None:
    plan = sample()
    del plan["allocation"]["rows"]["law"]
    del plan["allocation"]["uniform"]["logic"]
    del plan["allocation"]["curve"][2]["rows"]["law"]
    save(run, plan)
    assert refusal(run) == refused(
        run,
        '`allocation.rows` lacks domain "law"',
        '`allocation.uniform` lacks domain "logic"',
        '`allocation.curve.2.rows` lacks domain "law"',
    )


def test_no_domains(run: Path) -> None:
    save(run, {**sample(), "domains": {}})
    assert refusal(run) == refused(
        run, "`domains`: dictionary should have at least 1 item after validation, not 0, found {}"
    )


def test_the_sample_is_what_json_says_it_is() -> None:
    assert json.loads(json.dumps(sample())) == sample()


def test_a_recipe_in_the_place_of_a_run_folder_is_told_which_command_writes_one(tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("model: embedded\n")
    with pytest.raises(RunError) as caught:
        refuse_absent(recipe)
    assert str(caught.value) == (
        f"{recipe}: found a recipe, expected a run folder. `mixplan plan {recipe}` writes it: runs/mine, or what "
        "`--run` names."
    )
    refuse_absent(recipe, recipe=True)
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(RunError, match="there is no such run folder"):
        refuse_absent(recipe)
