"""Runs `mixplan plan` from end to end on a tiny random model: resuming, reuse without torch, the same bytes."""

import errno
import json
import os
import re
import shutil
import signal
import textwrap
import time
from pathlib import Path

import pytest
import yaml
from small_plan import HOOK, plan, recipe, write_rows  # noqa: F401 - a fixture is used by its name
from started_commands import fresh_process, plan_by_processes

from mixplan.errors import MixplanError, RunError
from mixplan.plan import PlanRequest, make_plan
from mixplan.plan.make import recipe_text
from mixplan.reading import standalone
from mixplan.reading.progress import Silent
from mixplan.recipe import load_recipe
from mixplan.saved import plan_hash
from mixplan.saved.evidence import Evidence


def plan_in_child(recipe: Path, run: Path) -> int:
    """Plan in a process forked from this one, which spares the seconds that loading the libraries takes; its id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            plan(recipe, run)
            code = 0
        finally:
            os._exit(code)
    return child


def test_the_run_folder_holds_the_plan(recipe, tmp_path):
    made, watcher = plan(recipe, tmp_path / "run")
    assert sum(made["allocation"]["rows"].values()) == 20
    assert made["mixture"]["rows"] == 12 + 20
    assert made["mixture"]["target_rows"] == 12
    assert sum(made["allocation"]["ratios"].values()) == pytest.approx(1)
    assert made["target"]["query_tokens"] == 120
    assert {entry["query_tokens"] for entry in made["domains"].values()} == {90}
    assert len(made["drift"]["features"]) == 10
    assert set(made["hashes"]) == {"recipe", "data", "model", "sae", "mixture", "plan"}
    assert ("reading the target", 120, "tokens") in watcher.stages
    # Each drift dimension has the passage where it fires most of all that the domains' own reasons show of it.
    best = {one["feature"]: one for one in made["drift"]["examples"]}
    assert set(best) <= {feature for feature, *_ in made["drift"]["features"]}
    shown = [
        (name, reason["feature"], reason["contexts"][0])
        for name, entry in made["domains"].items()
        for reason in entry["why"]
        if reason["contexts"]
    ]
    assert shown
    for name, feature, context in shown:
        assert context["activation"] <= best[feature]["context"]["activation"]
        assert name != best[feature]["domain"] or context == best[feature]["context"]
    import datasets

    rows = datasets.load_dataset(str(tmp_path / "run" / "mixture"), split="train", cache_dir=str(tmp_path / "hf"))
    counts = {name: rows["domain"].count(name) for name in set(rows["domain"])}
    assert counts == {"target": 12, **{k: v for k, v in made["allocation"]["rows"].items() if v}}


def test_a_second_run_gives_the_same_bytes_from_nothing_and_from_the_cache(recipe, tmp_path, monkeypatch):
    plan(recipe, tmp_path / "first")
    plan(recipe, tmp_path / "second")
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "empty"))
    plan(recipe, tmp_path / "third")
    for name in ("plan.json", "recipe.yaml", "mixture/train-00000.parquet", "mixture/README.md", "mixture/sft.yaml"):
        first = content(tmp_path / "first" / name)
        assert first == content(tmp_path / "second" / name), name
        assert first == content(tmp_path / "third" / name), name


def content(path: Path) -> bytes:
    """A file's bytes; of a plan without the times when it was made and how long that took."""
    if path.name != "plan.json":
        return path.read_bytes()
    value = json.loads(path.read_bytes())
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", value.pop("created"))
    assert list(value["seconds"]) == ["data", "scores", "forecast", "allocation", "mixture"]
    assert all(seconds >= 0 for seconds in value.pop("seconds").values())
    return json.dumps(value).encode()


def test_the_same_plan_in_its_own_folder_keeps_the_time_when_it_was_made(recipe, tmp_path):
    plan(recipe, tmp_path / "run")
    first = (tmp_path / "run" / "plan.json").read_bytes()
    plan(recipe, tmp_path / "run")
    assert (tmp_path / "run" / "plan.json").read_bytes() == first
    plan(recipe, tmp_path / "run", budget="7")
    assert (tmp_path / "run" / "plan.json").read_bytes() != first


def test_the_saved_recipe_plans_the_same(recipe, tmp_path):
    first, _ = plan(recipe, tmp_path / "first")
    again, _ = plan(tmp_path / "first" / "recipe.yaml", tmp_path / "again")
    assert again["domains"] == first["domains"]
    assert again["allocation"] == first["allocation"]
    assert again["hashes"]["recipe"] == first["hashes"]["recipe"]


def test_text_that_looks_like_a_number_is_still_text_in_the_saved_recipe(recipe, tmp_path):
    where = ["target.data.where={month: '08', build: '1e5', day: 'off', at: '12:30', n: 8, x: 1e5}"]
    named = "domains.1e3={data: {file: fox.jsonl}, format: messages, columns: {messages: q}}"
    loaded = load_recipe(recipe, [*where, named])
    (tmp_path / "saved.yaml").write_text(recipe_text(loaded))
    again = load_recipe(tmp_path / "saved.yaml")
    assert again.recipe.target.data.where == {
        "month": "08", "build": "1e5", "day": "off", "at": "12:30", "n": 8, "x": 1e5,
    }  # fmt: skip
    assert standalone(again) == standalone(loaded)


def test_the_same_recipe_again_and_a_new_budget_read_nothing_and_load_no_torch(recipe, tmp_path):
    plan(recipe, tmp_path / "run")
    first = (tmp_path / "run" / "plan.json").read_bytes()
    program = """
    def loaded(*names):
        return [name for name in names if name in sys.modules]

    import mixplan.mixture.tokens

    class Unread:
        @staticmethod
        def from_str(text):
            raise AssertionError("tokens are counted again")

    tokenizer, mixplan.mixture.tokens.Tokenizer = mixplan.mixture.tokens.Tokenizer, Unread
    command = ["plan", *sys.argv[1:]]
    app(command, standalone_mode=False)
    mixplan.mixture.tokens.Tokenizer = tokenizer
    again = open(sys.argv[3] + "/plan.json", "rb").read()
    heavy = ("torch", "transformers", "cvxpy", "scipy", "trl", "datasets", "huggingface_hub.utils", "httpx")
    assert not loaded(*heavy), sorted(sys.modules)
    app([*command, "--budget", "0,10,30"], standalone_mode=False)
    assert not loaded("torch", "transformers"), sorted(sys.modules)
    sys.stdout.write("AGAIN" + again.decode())
    """
    again = fresh_process(textwrap.dedent(program), recipe, "--run", tmp_path / "run").rpartition("AGAIN")[2]
    assert again.encode() == first
    made = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert [point["budget"] for point in made["allocation"]["curve"]] == [0, 10, 30]
    assert sum(made["allocation"]["rows"].values()) == 30
    losses = [point["remaining_loss"] for point in made["allocation"]["curve"]]
    assert losses == sorted(losses, reverse=True)


def test_killed_at_any_moment_it_resumes_to_the_same_bytes(recipe, tmp_path, monkeypatch):
    undisturbed = tmp_path / "undisturbed"
    plan(recipe, undisturbed)
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "fresh"))
    kept = tmp_path / "fresh" / "statistics"
    child = plan_in_child(recipe, tmp_path / "run")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(kept.rglob("*.safetensors")):
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert list(kept.rglob("*.safetensors")), "killed before the first unit was kept"
    assert not (tmp_path / "run" / "plan.json").exists()
    assert os.waitpid(plan_in_child(recipe, tmp_path / "run"), 0)[1] == 0
    for name in ("plan.json", "mixture/train-00000.parquet"):
        assert content(tmp_path / "run" / name) == content(undisturbed / name)


def test_damaged_cache_files_are_set_aside_and_made_again(recipe, tmp_path, own_cache):
    first, _ = plan(recipe, tmp_path / "run")
    kinds = ("scores", "opened", "allocations", "grader-checks", "sketches")
    damaged = [*own_cache.rglob("*.safetensors"), *(path for kind in kinds for path in (own_cache / kind).iterdir())]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-7] + b"garbage")
    again, _ = plan(recipe, tmp_path / "run")
    assert again == first
    assert all(path.with_name(path.name + ".aside").exists() for path in damaged)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.9, 0.99])
def test_a_disk_that_fills_up_on_the_way_is_one_message_and_the_rerun_ends_the_same(
    recipe, tmp_path, monkeypatch, part
):
    written, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: written.append(handle) or fsync(handle))
    plan(recipe, tmp_path / "undisturbed")
    full_at, done = int(part * len(written)), []

    def full_disk(handle):
        done.append(handle)
        if len(done) > full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full_disk)
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "cache"))
    with pytest.raises(RunError) as caught:
        plan(recipe, tmp_path / "run")
    place, _, text = str(caught.value).partition(": ")
    elsewhere = ", or set MIXPLAN_CACHE to a folder on another disk,"
    cached = Path(place).is_relative_to(tmp_path / "cache")
    assert (
        text
        == f"the disk is full. Free some space{elsewhere if cached else ''} and run the same command again: it resumes."
    )
    assert Path(place).is_relative_to(tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("cache/**/*") if path.is_file()}
    assert not [path for path in kept if path.name.startswith(".")]
    monkeypatch.setattr(os, "fsync", fsync)
    plan(recipe, tmp_path / "run")
    for name in ("plan.json", "recipe.yaml", "mixture/train-00000.parquet", "mixture/README.md", "mixture/sft.yaml"):
        assert content(tmp_path / "run" / name) == content(tmp_path / "undisturbed" / name), name
    # What was read before the disk was full is not read again.
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_second_run_on_the_same_folder_is_refused(recipe, tmp_path):
    from mixplan.runs import locked

    run = tmp_path / "run"
    with locked(run), pytest.raises(MixplanError) as caught:
        make_plan(PlanRequest(recipe, (), None, run), watcher=Silent())
    assert str(caught.value) == (
        f"{run}: another mixplan run (process {os.getpid()}) is using this folder. "
        "Wait for it to end, or choose another folder with --run FOLDER."
    )


def test_two_cold_runs_at_once_on_one_cache_give_the_bytes_of_one(recipe, tmp_path, monkeypatch):
    plan(recipe, tmp_path / "alone")
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "empty"))
    children = [plan_in_child(recipe, tmp_path / f"run{number}") for number in range(2)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    for name in ("plan.json", "mixture/train-00000.parquet", "mixture/README.md", "mixture/sft.yaml"):
        alone = content(tmp_path / "alone" / name)
        assert {content(tmp_path / f"run{number}" / name) for number in range(2)} == {alone}, name


def test_two_processes_give_the_bytes_of_one(recipe, tmp_path, monkeypatch):
    plan(recipe, tmp_path / "one")
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "shared"))
    plan_by_processes(2, recipe, tmp_path / "two")
    assert content(tmp_path / "two" / "plan.json") == content(tmp_path / "one" / "plan.json")


def test_a_runs_own_recipe_planned_again_gives_the_same_mixture_and_keeps_its_name(recipe, tmp_path):
    """Its paths are absolute and it is called recipe.yaml; the mixture named both, so that it was trained again."""

    def counted(hashes):  # that of the plan counts paths as the recipe writes them
        return {name: value for name, value in hashes.items() if name != "plan"}

    run = tmp_path / "run"
    first, _ = plan(recipe, run)
    written = (run / "recipe.yaml").read_bytes()
    again, _ = plan(run / "recipe.yaml", run)
    assert counted(again["hashes"]) == counted(first["hashes"])
    assert again["name"] == first["name"] == "tiny"
    assert (run / "recipe.yaml").read_bytes() == written
    elsewhere, _ = plan(run / "recipe.yaml", tmp_path / "elsewhere")
    assert counted(elsewhere["hashes"]) == counted(first["hashes"])


def test_changed_data_is_read_again(recipe, tmp_path):
    first, _ = plan(recipe, tmp_path / "run")
    write_rows(tmp_path / "fox.jsonl", 59, "lazy dog")
    again, _ = plan(recipe, tmp_path / "run")
    assert again["hashes"]["data"] != first["hashes"]["data"]
    assert again["domains"]["doctor"]["sts_icl"] == first["domains"]["doctor"]["sts_icl"]


def test_a_domain_without_query_rows_is_refused(recipe, tmp_path):
    with pytest.raises(MixplanError) as caught:
        plan(recipe, tmp_path / "run", "domains.fox.split.query=0")
    assert str(caught.value) == (
        "--set domains.fox.split.query=0: domains.fox.split.query: found the number 0, but features are read from "
        "query rows. Set at least 1."
    )


def test_a_target_too_small_for_its_mixture_is_refused_before_anything_is_read(recipe, tmp_path):
    with pytest.raises(MixplanError) as caught:
        plan(recipe, tmp_path / "run", "mixture.target_rows=53")
    assert str(caught.value) == (
        "mixture.target_rows is 53, but the target has 52 pool rows. Lower it to 52, or leave it out to take them all."
    )
    assert not (tmp_path / "run").exists()


def test_a_reward_that_is_not_there_is_refused_before_the_rows_are_read(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("mixplan.plan.make.opened", lambda _: pytest.fail("the rows were read"))
    given = ("train.method=grpo", "train.rewards={my_rewards_of_old:short: 1.0}")
    with pytest.raises(MixplanError, match=r"train\.rewards\.my_rewards_of_old:short: no module 'my_rewards_of_old'"):
        plan(recipe, tmp_path / "run", *given)
    assert not (tmp_path / "run").exists()


def test_too_few_query_tokens_are_told(recipe, tmp_path):
    made, _ = plan(recipe, tmp_path / "run", "sts.query_tokens=100000")
    warnings = [text for text in made["warnings"] if text.startswith("fox: its query rows hold ")]
    assert len(warnings) == 1
    assert warnings[0].endswith(
        " of the 100000 query tokens asked for; raise its `split.query`, or give it more rows, for narrower intervals."
    )


def test_self_answers_are_the_models_own(recipe, tmp_path):
    made, _ = plan(recipe, tmp_path / "run", "mixture.answers=self", "mixture.answer_tokens=8",
                   "mixture.cut_answers=keep", "budget.rows=6")  # fmt: skip
    assert made["mixture"]["rows"] == 18
    parts = {part["name"]: part["answers"] for part in made["mixture"]["parts"]}
    assert sum(answers.get("self", 0) for name, answers in parts.items() if name != "target") == 6


def test_the_run_folder_alone_is_written(recipe, tmp_path):
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    plan(recipe, tmp_path / "run")
    after = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert all(path.is_relative_to(tmp_path / "run") for path in after)
    shutil.rmtree(tmp_path / "run")


def test_arms_compared_earlier_say_how_many_rows_halve_a_loss(recipe, tmp_path):
    asked = ("allocate.objective=diminishing", "allocate.half_rows=null")
    usual, _ = plan(recipe, tmp_path / "runs" / "first", *asked)
    assert usual["forecast"]["evidence"][-1].startswith("100 rows are taken to halve a domain's loss: no arms")
    column = {"without": [0.3, 0.2, 0.4], "after": [0.1, 0.1, 0.1], "rows": [14.0, 7.0, 21.0]}
    column |= {"total": [42.0] * 3, "unit": "accuracy"}
    evidence = {
        "version": 1, "title": "Arms", "hashes": {part: usual["hashes"][part] for part in ("model", "sae")},
        "settings": {"method": "sft", "features": 8, "drift_demonstrations": 2, "sts_demonstrations": 2}, "seeds": [0],
        "told": {}, "targets": {}, "compared": {"a": column, "b": column, "c": column},
    }  # fmt: skip
    (tmp_path / "runs" / "arms").mkdir()
    written = Evidence.model_validate(evidence).values()
    (tmp_path / "runs" / "arms" / "evidence.json").write_text(json.dumps(written))
    learned, _ = plan(recipe, tmp_path / "runs" / "second", *asked)
    said = learned["forecast"]["evidence"]
    assert len(said) == 1
    assert said[0].startswith("7 [7, 7] rows of its own halve a domain's loss, learned from arms of 3 targets with ")
    told, _ = plan(recipe, tmp_path / "apart" / "third", asked[0], "allocate.half_rows=7")
    for key in ("rows", "pays_until", "expected_loss"):
        assert learned["allocation"][key] == pytest.approx(told["allocation"][key], rel=1e-3)
    assert learned["allocation"]["pays_until"] < usual["allocation"]["pays_until"]
    # A budget in tokens takes the rows at the domains' mean length.
    tokens, _ = plan(recipe, tmp_path / "runs" / "fourth", *asked, "budget.rows=null", "budget.tokens=400")
    each = sum(entry["row_tokens_mean"] for entry in tokens["domains"].values()) / len(tokens["domains"])
    (halves,) = re.findall(r"if ([\d.]+) tokens halve", " ".join(tokens["allocation"]["notes"]))
    assert float(halves) == pytest.approx(7 * each, rel=1e-3)


def test_the_hash_of_a_plan_is_what_determines_it(recipe, tmp_path, monkeypatch):
    """Nothing of where it was made, when, or how fast the machine was that day; everything else."""
    first, _ = plan(recipe, tmp_path / "first")
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr("mixplan.model.device.time_matmul", lambda *_: 1.0)
    other, _ = plan(recipe, tmp_path / "other", "model.dtype=float32")
    assert other["hashes"]["plan"] == first["hashes"]["plan"] == plan_hash(first)
    moved = json.loads(json.dumps(first))
    moved["created"], moved["seconds"] = "2031-01-01", {"reading": 3.0}
    moved["model"]["why_dtype"] = "another day"
    moved["mixture"]["files"]["sft.yaml"] = moved["hashes"]["recipe"] = "0" * 64
    assert plan_hash(moved) == first["hashes"]["plan"]
    for path in (("allocation", "rows", "fox"), ("model", "hash"), ("model", "dtype"), ("mixture", "hash"), ("name",)):
        changed = json.loads(json.dumps(first))
        section = changed
        for key in path[:-1]:
            section = section[key]
        section[path[-1]] = 99
        assert plan_hash(changed) != first["hashes"]["plan"], path
    another, _ = plan(recipe, tmp_path / "third", "seed=1")
    assert another["hashes"]["plan"] != first["hashes"]["plan"]


def test_two_copies_of_a_recipe_s_folder_plan_to_one_hash(recipe, tmp_path, tiny_model):
    values = yaml.safe_load(recipe.read_text())
    values["model"]["name"] = "model"
    marks = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        shutil.copytree(tiny_model, tmp_path / name / "model")
        shutil.copytree(tmp_path / "sae", tmp_path / name / "sae")
        for file in tmp_path.glob("*.jsonl"):
            shutil.copy(file, tmp_path / name)
        (tmp_path / name / "tiny.yaml").write_text(yaml.safe_dump(values))
        made, _ = plan(tmp_path / name / "tiny.yaml", tmp_path / name / "run")
        marks.append(made["hashes"]["plan"])
    assert marks[0] == marks[1]
