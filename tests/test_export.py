"""What each trainer is given: configs that say the recipe's job, rows as the plan has them, and refusals in full.

`bin/export-check` trains by the trainers' own commands; here their configs are held against what was read of them.
"""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from mixed_rows import hand, lay_mixed
from small_plan import plan, recipe  # noqa: F401 - a fixture

from mixplan.errors import RunError
from mixplan.export import TRAINERS, export_run
from mixplan.export.make import RECORD
from mixplan.export.verl import PLAIN
from mixplan.mixture.trl_config import TEMPLATE

LORA = {"r": 4, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"], "use_rslora": True, "bias": "none"}
ARGS = {
    "max_length": 2048, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 3, "learning_rate": 3e-4,
    "lr_scheduler_type": "cosine", "warmup_steps": 0.1, "weight_decay": 0.01, "num_train_epochs": 2, "seed": 5,
}  # fmt: skip
CONFIGS = {"llamafactory": "llamafactory.yaml", "ms-swift": "swift.yaml", "axolotl": "axolotl.yaml",
           "open-instruct": "open-instruct.yaml", "nemo-rl": "nemo-rl.yaml"}  # fmt: skip


@pytest.fixture(scope="module")
def laid(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("laid")
        patch.setenv("MIXPLAN_CACHE", str(folder / "cache"))
        return lay_mixed(folder, args=ARGS, lora=LORA)


def given(laid, to: str, folder: Path):
    handover = hand(*laid, folder)
    return TRAINERS[to](handover), handover


def config(laid, to: str, folder: Path) -> dict:
    given(laid, to, folder)
    return yaml.safe_load((folder / CONFIGS[to]).read_text())


def jsonl(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def texts(laid, folder: Path) -> list[tuple[str, str]]:
    return [(row.question, row.answer) for row in hand(*laid, folder).rendered()]


def test_rendered_rows_are_each_trainers_rows_in_order(laid, tmp_path):
    planned = texts(laid, tmp_path)
    assert planned
    forms = {
        "llamafactory": lambda row: (row["question"], row["answer"]),
        "ms-swift": lambda row: tuple(turn["content"] for turn in row["messages"]),
        "axolotl": lambda row: tuple(segment["text"] for segment in row["segments"]),
        "nemo-rl": lambda row: (row["input"], row["output"]),
    }
    for to, form in forms.items():
        given(laid, to, tmp_path / to)
        assert [form(row) for row in jsonl(tmp_path / to / "rows.jsonl")] == planned, to
    given(laid, "verl", tmp_path / "verl")
    rows = pq.read_table(tmp_path / "verl" / "rows.parquet").to_pylist()
    assert [tuple(turn["content"] for turn in row["messages"]) for row in rows] == planned


def test_llama_factory_neither_shuffles_nor_writes_a_template(laid, tmp_path):
    values = config(laid, "llamafactory", tmp_path)
    assert (values["disable_shuffling"], values["template"], values["packing"]) == (True, "empty", False)
    assert (values["cutoff_len"], values["num_train_epochs"], values["seed"]) == (2048, 2, 5)
    assert (values["lora_rank"], values["lora_alpha"], values["lora_target"]) == (4, 16, "q_proj,v_proj")
    assert (values["learning_rate"], values["warmup_steps"], values["use_rslora"]) == (3e-4, 0.1, True)
    info = json.loads((tmp_path / "dataset_info.json").read_text())
    assert info["mixture"]["columns"] == {"prompt": "question", "response": "answer"}


def test_ms_swift_shuffles_neither_rows_nor_batches_and_replaces_no_faulty_row(laid, tmp_path):
    values = config(laid, "ms-swift", tmp_path)
    assert not values["dataset_shuffle"]
    assert not values["train_dataloader_shuffle"]
    assert values["strict"]
    assert (values["model_type"], values["template"]) == ("llama", "mixplan_plain")
    assert (values["tuner_type"], values["target_modules"]) == ("lora", ["q_proj", "v_proj"])
    assert "register_template" in (tmp_path / values["external_plugins"][0]).read_text()


def test_axolotl_reads_in_order_and_never_rows_that_it_prepared_of_another_file(laid, tmp_path):
    values = config(laid, "axolotl", tmp_path / "one")
    assert (values["shuffle_merged_datasets"], values["curriculum_sampling"], values["sample_packing"]) == (
        False, True, False,
    )  # fmt: skip
    assert values["excess_length_strategy"] == "raise"
    assert (values["micro_batch_size"], values["gradient_accumulation_steps"]) == (2, 3)
    assert (values["warmup_ratio"], values["lora_r"], values["peft_use_rslora"]) == (0.1, 4, True)
    rows = tmp_path / "one" / "rows.jsonl"
    again = config(laid, "axolotl", tmp_path / "two")["dataset_prepared_path"]
    assert again == values["dataset_prepared_path"]
    assert again.removeprefix("prepared-") in __import__("hashlib").sha256(rows.read_bytes()).hexdigest()


def test_what_verl_nemo_rl_and_open_instruct_do_otherwise_is_told(laid, tmp_path):
    verl, _ = given(laid, "verl", tmp_path / "verl")
    script = (tmp_path / "verl" / "verl.sh").read_text()
    assert "model.custom_chat_template='\"'\"'" + PLAIN.split("'")[0] in script.replace("\\", "")
    assert "optim.lr_warmup_steps_ratio=0.1" in script
    rows = len(pq.read_table(tmp_path / "verl" / "rows.parquet"))
    assert rows % 6
    assert any(f"of {rows} rows the last {rows % 6} do not fill one of 6" in note for note in verl.notes)
    assert any("shuffles" in note for note in verl.notes)
    nemo, _ = given(laid, "nemo-rl", tmp_path / "nemo")
    values = yaml.safe_load((tmp_path / "nemo" / "nemo-rl.yaml").read_text())
    assert values["data"]["shuffle"] is False
    assert values["policy"]["tokenizer"]["chat_template"] is None
    assert values["policy"]["max_total_sequence_length"] == 2049
    assert values["sft"]["max_num_steps"] == rows // 6 * 2
    assert any(f"of {rows} rows the last {rows % 6}" in note for note in nemo.notes)
    told, _ = given(laid, "open-instruct", tmp_path / "open")
    values = yaml.safe_load((tmp_path / "open" / "open-instruct.yaml").read_text())
    assert values["dataset_transform_fn"][0] == "last_turn_tulu_tokenize_and_truncate_v1"
    assert not values["push_to_hub"]
    assert not values["try_launch_beaker_eval_jobs"]
    assert any("shuffles" in note for note in told.notes)
    assert any("chooses an adapter's layers by itself" in note for note in told.notes)


def test_open_instruct_is_given_conversations_and_a_template_that_is_held(laid, tmp_path):
    loaded, mixture = laid
    given(laid, "open-instruct", tmp_path)
    rows = jsonl(tmp_path / "rows.jsonl")
    assert [row["messages"][-1]["role"] for row in rows] == ["assistant"] * mixture.rows
    tools = [json.loads(row["tools"]) for row in rows if row["tools"]]
    assert tools
    held = (mixture.folder / TEMPLATE).is_file()
    assert (tmp_path / "tokenizer").is_dir() is held
    assert held is not (yaml.safe_load((tmp_path / "open-instruct.yaml").read_text())["tokenizer_name_or_path"]
                        == str(loaded.path.parent / "model"))  # fmt: skip


def test_a_text_that_a_trainer_would_replace_is_refused(tmp_path, own_cache, monkeypatch):
    import mixed_rows

    odd = mixed_rows.chats()
    odd[2]["messages"][1]["content"] = "What is {{idx}} and <image>?"
    monkeypatch.setattr(mixed_rows, "chats", lambda: odd)
    laid = lay_mixed(tmp_path)
    for to, place in (("llamafactory", "{{idx}}"), ("ms-swift", "<image>")):
        with pytest.raises(RunError, match="takes for a place of its own") as refused:
            given(laid, to, tmp_path / to)
        assert place in str(refused.value)
        assert "'target.chats'" in str(refused.value)
    given(laid, "axolotl", tmp_path / "axolotl")


def test_an_adapter_without_named_layers_is_given_those_that_mixplan_would_train(tmp_path, own_cache):
    laid = lay_mixed(tmp_path, lora={"r": 2})
    assert config(laid, "llamafactory", tmp_path / "out")["lora_target"] == "q_proj,v_proj"  # peft's for a Llama


def test_an_adapter_by_pattern_is_told_where_layers_go_by_name(tmp_path, own_cache):
    laid = lay_mixed(tmp_path, lora={"r": 2, "target_modules": ".*q_proj"})
    told, _ = given(laid, "llamafactory", tmp_path / "lf")
    assert "is a pattern, which LLaMA-Factory does not take" in told.notes[0]
    assert config(laid, "ms-swift", tmp_path / "swift")["target_regex"] == ".*q_proj"
    assert config(laid, "axolotl", tmp_path / "axolotl")["lora_target_modules"] == ".*q_proj"


def test_a_planned_run_is_exported_whole_and_not_over_a_trained_model(loop, tmp_path, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "cache"))
    run = loop[0] / "run"
    done = export_run(run, "llamafactory", tmp_path / "out")
    assert sum(done.rows.values()) == json.loads((run / "plan.json").read_text())["mixture"]["rows"]
    assert sum(done.trained_tokens.values()) > 0
    record = json.loads((tmp_path / "out" / RECORD).read_text())
    assert (record["to"], record["rows"]) == ("llamafactory", dict(done.rows))
    export_run(run, "llamafactory", tmp_path / "out")
    (tmp_path / "out" / "model").mkdir()
    with pytest.raises(RunError, match="a model was trained here"):
        export_run(run, "llamafactory", tmp_path / "out")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.tex").touch()
    with pytest.raises(RunError, match="holds files that no export wrote, such as thesis"):
        export_run(run, "trl", tmp_path / "own")
    with pytest.raises(RunError, match="--to: found 'keras', expected one of trl"):
        export_run(run, "keras", tmp_path / "x")


def test_a_mixture_that_is_not_the_planned_one_is_refused(loop, tmp_path, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "cache"))
    run = Path(shutil.copytree(loop[0] / "run", tmp_path / "run"))
    shard = next((run / "mixture").glob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    with pytest.raises(RunError, match="the mixture is missing, or a file in it was changed"):
        export_run(run, "trl")


def test_a_loss_term_that_no_other_trainer_has_is_refused(recipe, tmp_path):
    run = tmp_path / "run"
    plan(recipe, run, "train.replay_kl={weight: 0.5}")
    assert "`train.replay_kl` is left out; `mixplan train` trains with it" in (run / "mixture" / "sft.yaml").read_text()
    with pytest.raises(
        RunError, match=r"train\.replay_kl: no other trainer adds .*--set train\.replay_kl=null"
    ) as refused:
        export_run(run, "messages")
    assert f"Train with `mixplan train {run}`" in str(refused.value)
    plan(recipe, run, "train.replay_kl={weight: 0.0}")
    assert export_run(run, "messages").rows["target"] == 12


def test_a_model_that_renders_rows_otherwise_than_planned_is_refused(recipe, tiny_model, tmp_path):
    model, run = Path(shutil.copytree(tiny_model, tmp_path / "model")), tmp_path / "run"
    plan(recipe, run, f"model.name={model}")
    assert export_run(run, "axolotl").rows["target"] == 12
    template = model / "chat_template.jinja"
    template.write_text(template.read_text() + "{# of another version #}")
    for to in ("axolotl", "trl", "messages"):
        with pytest.raises(RunError, match=r"the chat template of the model .* is not the one that was planned with"):
            export_run(run, to)
