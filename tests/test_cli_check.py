"""`mixplan check` says what becomes of local rows and what to download, gathers every problem, and loads no torch."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mixplan.cli import main
from mixplan.domains import section

REPOSITORY = Path(__file__).resolve().parents[1]
RECIPE = """\
model:
  name: some/model
  sae: {release: gemma-scope-9b-it-res, id: layer_31/width_131k/average_l0_22}
target:
  data: {hub: some/data}
  format: question_answer
  columns: {question: q, answer: a}
domains:
  local:
    data: {file: rows.jsonl}
    format: question_answer
    columns: {question: q, answer: a}
    split: {evaluation: 1, query: 2, demonstration: 5}
  made:
    data: {generator: chain_sum, limit: 400}
    demonstrations: {file: shots.jsonl}
    format: question_answer
    columns: {question: question, answer: answer}
    split: {demonstration: 9}
budget: {rows: 10}
"""


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    rows = "".join(json.dumps({"q": f"{number}?", "a": str(number)}) + "\n" for number in range(9))
    (tmp_path / "rows.jsonl").write_text(rows)
    shots = "".join(json.dumps({"question": f"{number} - 1 =", "answer": "?"}) + "\n" for number in range(9))
    (tmp_path / "shots.jsonl").write_text(shots)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


def run(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mixplan", "check", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def snapshot(hub: Path, repository: str, file: str) -> None:
    place = hub / repository.replace("/", "--")
    path = place / "snapshots/abc" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x02\0\0\0\0\0\0\0{}" if path.suffix == ".safetensors" else b"{}")
    (place / "refs").mkdir(exist_ok=True)
    (place / "refs" / "main").write_text("abc")


def test_local_rows_are_counted_and_downloads_said(here, monkeypatch, capsys):
    assert run(monkeypatch, "recipe.yaml") == 0
    assert capsys.readouterr() == (
        "recipe.yaml: valid\n"
        "  local   9 rows: evaluation 1, pool 8, of which query 2 and demonstration 5\n"
        "  made    400 rows: evaluation 59, pool 339, of which query 339; demonstration 9 of their own data; "
        "2 left out: 2 duplicate\n"
        "  rows not read before a plan, their data being on the hub: target\n"
        "  a plan would download, for which HF_HUB_OFFLINE must be unset:\n"
        "    model some/model\n"
        "    SAE layer_31/width_131k/average_l0_22 of google/gemma-scope-9b-it-res\n"
        "    data set some/data\n",
        "",
    )


def test_what_the_hub_cache_holds_is_not_downloaded_again(here, monkeypatch, capsys):
    snapshot(here / "hub", "models--some/model", "config.json")
    snapshot(here / "hub", "models--some/model", "model.safetensors")
    sae = "layer_31/width_131k/average_l0_22/params.npz"
    snapshot(here / "hub", "models--google/gemma-scope-9b-it-res", sae)
    snapshot(here / "hub", "datasets--some/data", "data.parquet")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # or the rows would be read
    assert run(monkeypatch, "recipe.yaml") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "  a plan downloads nothing"


def test_json_says_the_same(here, monkeypatch, capsys):
    assert run(monkeypatch, "recipe.yaml", "--json", "--set", "target.data.hub=other/data") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found == {
        "recipe": "recipe.yaml",
        "rows": {"target": None, "local": 9, "made": 400},
        "told": {
            "target": None,
            "local": "9 rows: evaluation 1, pool 8, of which query 2 and demonstration 5",
            "made": "400 rows: evaluation 59, pool 339, of which query 339; demonstration 9 of their own data; "
            "2 left out: 2 duplicate",
        },
        "warnings": [],
        "reads": [],
        "download": [
            "model some/model",
            "SAE layer_31/width_131k/average_l0_22 of google/gemma-scope-9b-it-res",
            "data set other/data",
        ],
        "problems": [],
    }


def test_a_target_of_several_sources_has_a_line_a_source_and_amounts_are_checked(here, monkeypatch, capsys):
    for name, numbers in (("more", range(20, 27)), ("other", range(40, 49))):
        lines = (json.dumps({"q": f"{number}?", "a": str(number)}) + "\n" for number in numbers)
        (here / f"{name}.jsonl").write_text("".join(lines))
    read = "format: question_answer, columns: {question: q, answer: a}, split: {evaluation: 1}"
    sources = f"{{one: {{data: {{file: rows.jsonl}}, {read}, rows: 3}}, two: {{data: {{file: more.jsonl}}, {read}}}}}"
    sets = ["--set", f"target={{sources: {sources}}}", "--set", "domains.local.data.file=other.jsonl"]
    assert run(monkeypatch, "recipe.yaml", *sets) == 0
    assert capsys.readouterr().out.splitlines()[1:3] == [
        "  target.one  9 rows: evaluation 1, pool 8, of which query 6 and demonstration 2; 3 in the mixture",
        "  target.two  7 rows: evaluation 1, pool 6, of which query 4 and demonstration 2; 6 in the mixture",
    ]
    assert run(monkeypatch, "recipe.yaml", *sets, "--set", "target.sources.two.rows=9") == 1
    refused = (
        "recipe.yaml: target.sources.two.rows is 9, but target.two has 6 pool rows. Lower it to 6, "
        "or leave it out to take them all."
    )
    assert refused in " ".join(capsys.readouterr().err.split())


def test_a_local_model_and_sae_are_no_download(here, tiny_model, monkeypatch, capsys):
    shutil.copytree(tiny_model, here / "model")
    (here / "sae").mkdir()
    for file in ("cfg.json", "sae_weights.safetensors"):
        (here / "sae" / file).write_text("{}")
    split = "target.split={evaluation: 0, query: 3, demonstration: 2}"
    sets = ["model.name=model", "model.sae={path: sae}", "target.data={file: rows.jsonl}", split]
    assert run(monkeypatch, "recipe.yaml", *[word for text in sets for word in ("--set", text)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "  a plan downloads nothing"


def test_a_model_that_is_not_there_or_not_whole_is_a_problem(here, monkeypatch, capsys):
    for name in ("no/such/folder", "no-such"):
        assert run(monkeypatch, "recipe.yaml", "--set", f"model.name=./{name}") == 1
        found = " ".join(capsys.readouterr().err.split())
        assert f"model.name: there is no folder {here / name}, and './{name}' is no hub id." in found
    (here / "model").mkdir()
    assert run(monkeypatch, "recipe.yaml", "--set", "model.name=model") == 1
    assert "model has no config.json. Fetch the model again" in " ".join(capsys.readouterr().err.split())


PROBLEMS = {
    "domains.local.split.query=9": (
        "recipe.yaml:13: domain 'local' has 9 rows, but evaluation 1 + query 9 + demonstration 5 "
        "need 15. Set `domains.local.split` to {evaluation: 1, query: 3, demonstration: 5}, leave it out, or add data."
    ),
    "domains.local.columns.answer=b": ("recipe.yaml:10: domain 'local': rows.jsonl: no column 'b'; it has a, q."),
    "model.sae.release=gemma-scope-9b-it-rs": (
        "--set model.sae.release=gemma-scope-9b-it-rs: SAELens has no release 'gemma-scope-9b-it-rs'. "
        "Did you mean 'gemma-scope-9b-it-res'?"
    ),
    "model.sae={release: gemma-scope-9b-pt-mlp, id: layer_0/width_16k/average_l0_6}": (
        "--set model.sae={release: gemma-scope-9b-pt-mlp, id: layer_0/width_16k/average_l0_6}: SAE "
        "'gemma-scope-9b-pt-mlp/layer_0/width_16k/average_l0_6' does not sit between two blocks of the residual "
        "stream. `mixplan sae ls --model some/model` lists those that do."
    ),
    "model.name=meta-llama/Llama-3.1-8B-Instruct": (
        "recipe.yaml:3: SAE 'gemma-scope-9b-it-res/layer_31/width_131k/average_l0_22' was made for "
        "'google/gemma-2-9b-it', but the recipe's model is 'meta-llama/Llama-3.1-8B-Instruct', of architecture llama, "
        "not gemma2. Choose one made for this model: `mixplan sae ls --model meta-llama/Llama-3.1-8B-Instruct` lists "
        "them."
    ),
    "model.sae.id=layer_31/width_131k/average_l0_23": (
        "--set model.sae.id=layer_31/width_131k/average_l0_23: release 'gemma-scope-9b-it-res' has no SAE "
        "'layer_31/width_131k/average_l0_23'. Did you mean 'layer_31/width_131k/average_l0_63'?"
    ),
}


@pytest.mark.parametrize("override", PROBLEMS)
def test_what_only_the_data_shows(override, here, monkeypatch, capsys):
    assert run(monkeypatch, "recipe.yaml", "--set", override) == 1
    assert capsys.readouterr() == ("", PROBLEMS[override] + "\n")


def test_a_missing_file_is_said_with_its_line(here, monkeypatch, capsys):
    (here / "rows.jsonl").unlink()
    (here / "shots.jsonl").unlink()
    assert run(monkeypatch, "recipe.yaml") == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0] for line in lines] == ["recipe.yaml:10", "recipe.yaml:16"]


def test_every_recipe_s_problems_come_at_once(here, monkeypatch, capsys):
    (here / "bad.yaml").write_text(RECIPE.replace("rows: 10", "row: 10"))
    assert run(monkeypatch, "bad.yaml", "none.yaml", "recipe.yaml") == 1
    done = capsys.readouterr()
    assert done.out.startswith("recipe.yaml: valid\n")
    assert done.err.splitlines() == [
        "bad.yaml:20: budget.row: unknown key. Did you mean 'rows'?",
        "none.yaml: there is no such recipe. Did you mean 'recipe.yaml'?",
    ]


def test_no_recipe_is_wrong_usage(monkeypatch):
    assert run(monkeypatch) == 2


def test_rows_that_two_recipes_share_are_read_once_and_split_by_each(here, monkeypatch, capsys):
    other = RECIPE.replace("    split: {evaluation: 1, query: 2, demonstration: 5}", "    split: {evaluation: 2}")
    (here / "other.yaml").write_text(other.replace("limit: 400", "limit: 300"))
    alone = []
    for recipe in ("recipe.yaml", "other.yaml"):
        assert run(monkeypatch, recipe) == 0
        alone.append(capsys.readouterr().out)
    read = []
    known = section.open_source
    monkeypatch.setattr(section, "open_source", lambda data, **given: read.append(data.file) or known(data, **given))
    assert run(monkeypatch, "recipe.yaml", "other.yaml") == 0
    assert capsys.readouterr().out == "".join(alone)
    assert "9 rows: evaluation 1," in alone[0]
    assert "9 rows: evaluation 2," in alone[1]
    # The generator's 400 and 300 entries are two data sets, each with the demonstrations.
    assert read == ["rows.jsonl", None, "shots.jsonl", None, "shots.jsonl"]


def test_it_loads_no_torch(tmp_path):
    recipes = sorted(str(path) for path in (REPOSITORY / "recipes").glob("*.yaml"))
    code = (
        "import sys; from mixplan.cli import main\n"
        f"sys.argv = ['mixplan', 'check', '--json', *{recipes!r}]\n"
        "try: main()\n"
        "except SystemExit as ended: code = ended.code\n"
        "print(code, sorted({'torch', 'transformers', 'sae_lens', 'trl', 'peft'} & set(sys.modules)), file=sys.stderr)"
    )
    nothing_downloaded = os.environ | {"HF_HOME": str(tmp_path)}  # other tests lay down tiny rows under public names
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY, env=nothing_downloaded)
    assert done.stderr == "0 []\n"
    found = {Path(entry["recipe"]).stem: entry for entry in json.loads(done.stdout)}
    assert found["quickstart"]["download"] == []
    assert all(rows for rows in found["quickstart"]["rows"].values())


def test_what_the_model_s_small_files_forbid_is_said(here, monkeypatch, capsys):
    model = here / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "llama"}')
    (model / "tokenizer.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    (model / "chat_template.jinja").write_text("{% if enable_thinking %}a{% endif %}{{ messages[0].content }}")
    text = RECIPE.replace("name: some/model", "name: model\n  chat_template_kwargs: {enable_thinkin: true}")
    (here / "recipe.yaml").write_text(
        text.replace("{release: gemma-scope-9b-it-res, id: layer_31/width_131k/average_l0_22}", "{path: sae}")
    )
    assert run(monkeypatch, "recipe.yaml") == 1
    assert capsys.readouterr().err == (
        "recipe.yaml:3: model.chat_template_kwargs.enable_thinkin: the chat template of 'model' does not read "
        "`enable_thinkin`; it reads enable_thinking. Did you mean 'enable_thinking'? Remove the key.\n"
        "recipe.yaml:4: model.sae.path: sae: no SAE here: cfg.json is missing. `model.sae.path` is a folder in "
        "SAELens's layout, with cfg.json and sae_weights.safetensors.\n"
    )


def test_data_sets_on_the_hub_are_said_once_with_their_number(here, monkeypatch, capsys):
    hub = "{data: {hub: some/data}, format: question_answer, columns: {question: q, answer: a}}"
    others = [f"domains.d{number}={hub}" for number in range(29)]
    assert run(monkeypatch, "recipe.yaml", *[word for text in others for word in ("--set", text)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  rows not read before a plan, their data being on the hub: target, d0, d1, d2 and 26 more" in lines
    assert len(lines) == 8


def test_a_limit_that_bites_is_said(here, monkeypatch, capsys):
    data = "target.data={file: rows.jsonl, limit: 8}"
    assert run(monkeypatch, "recipe.yaml", "--set", data, "--set", "drift.demonstrations=1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "  target  8 of 9 rows (data.limit): evaluation 1, pool 7, of which query 6 and demonstration 1"
    assert lines[4] == (
        "  warning: target: 8 of its 9 rows were read, as `target.data.limit` has it; the others are not trained on. "
        "Set `target.data.limit: 9` to take them all."
    )


def test_what_no_plan_can_meet_is_said_before_a_model_is_loaded(here, monkeypatch, capsys):
    split = "target.split={evaluation: 0, query: 3, demonstration: 2}"
    sets = ["target.data={file: rows.jsonl}", split, "mixture.target_rows=10", "allocate.floors={local: 9}"]
    assert run(monkeypatch, "recipe.yaml", *[word for text in sets for word in ("--set", text)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "recipe.yaml: mixture.target_rows is 10, but the target has 8 pool rows. Lower it to 8, or leave it out to "
        "take them all.",
        "recipe.yaml: allocate.floors.local: domain 'local' has 8 pool rows, but its floor is 9.",
        "recipe.yaml: Lower `allocate.floors.local` to 8, or allow repeats with `budget.max_repeats: 2`.",
    ]


def test_licences_are_said_before_a_plan(here, monkeypatch, capsys):
    split = "target.split={evaluation: 0, query: 3, demonstration: 2}"
    sets = ["target.data={file: rows.jsonl}", split, "target.licence=cc-by-nc-4.0", "domains.local.licence=CC BY-NC"]
    assert run(monkeypatch, "recipe.yaml", *[word for text in sets for word in ("--set", text)]) == 0
    assert (
        "  warning: rows of the mixture have a licence that forbids commercial use: the target's 8, and as many of "
        "local as a plan takes. `mixture.licences.exclude: [non_commercial]` leaves such domains' rows out."
    ) in capsys.readouterr().out.splitlines()


def test_rows_that_the_job_would_not_read_are_said(here, monkeypatch, capsys):
    split = "target.split={evaluation: 0, query: 3, demonstration: 2}"
    sets = ["target.data={file: rows.jsonl}", split, "train.args={max_steps: 2, per_device_train_batch_size: 4}"]
    assert run(monkeypatch, "recipe.yaml", *[word for text in sets for word in ("--set", text)]) == 0
    assert (
        "  warning: The job is too short for its mixture: 2 steps of 4 rows read 8 of 18 rows. "
        "Set `train.args.max_steps: 5` to read each once."
    ) in capsys.readouterr().out.splitlines()


def test_reading_that_stops_by_itself_says_how_much_it_may_take(here, monkeypatch, capsys):
    sets = ("drift.query_tokens=auto", "sts.query_tokens=auto", "sts.most_tokens=1500")
    assert run(monkeypatch, "recipe.yaml", *[word for text in sets for word in ("--set", text)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  a plan reads at most 20,000 query tokens of the target, less where reading on changes nothing" in lines
    assert "  a plan reads at most 1,500 query tokens of each domain, less where reading on changes nothing" in lines


def test_what_a_pilot_costs_is_said_and_one_that_is_none_is_a_problem(here, monkeypatch, capsys):
    split = "target.split={evaluation: 0, query: 3, demonstration: 2}"
    sets = ["target.data={file: rows.jsonl}", split, "train.args={max_steps: 40}", "forecast.from=pilot"]
    words = [word for text in sets for word in ("--set", text)]
    assert run(monkeypatch, "recipe.yaml", *words) == 0
    assert (
        "  a plan trains a pilot first: 4 steps on the target alone, where the job takes 40 on its target's rows, and "
        "measures 2 domains before and after it, all their evaluation rows"
    ) in capsys.readouterr().out.splitlines()
    assert run(monkeypatch, "recipe.yaml", *words, "--set", "forecast.pilot.steps=40") == 1
    said = capsys.readouterr().err
    assert "--set forecast.pilot.steps=40: forecast.pilot.steps: a pilot of 40 steps is no shorter than the job" in said
    assert "Set `forecast.pilot.steps` below 40" in said


def test_limits_that_cannot_be_held_against_pools_yet_are_said(here, monkeypatch, capsys):
    assert run(monkeypatch, "recipe.yaml", "--set", "allocate.floors={local: 9}") == 0
    said = "  warning: floors, caps, shares and groups are not held against the pools before all rows are here"
    assert said in capsys.readouterr().out.splitlines()


def test_a_target_on_the_hub_whose_split_is_excluded_is_refused_before_a_download(monkeypatch, here, capsys):
    recipe = RECIPE.replace("hub: some/data", "hub: some/data, split: test")
    (here / "recipe.yaml").write_text(f"{recipe}mixture: {{licences: {{exclude: [test_split]}}}}\n")
    assert run(monkeypatch, "recipe.yaml") == 1
    assert capsys.readouterr().err == (
        "recipe.yaml:21: mixture.licences.exclude names test_split, but the target's own rows come from a public test "
        "split, on which the trained model can then not be compared with others. Choose another split for "
        "`target.data`, or other data, or take test_split out.\n"
    )


def test_a_terminal_is_told_what_a_check_waits_for(here, monkeypatch, capsys):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")  # nothing is drawn on a dumb terminal
    assert run(monkeypatch, "recipe.yaml", "--json") == 0
    shown = capsys.readouterr()
    assert "asking TRL whether it trains the job" in shown.err
    (only,) = json.loads(shown.out)
    assert only["problems"] == []
