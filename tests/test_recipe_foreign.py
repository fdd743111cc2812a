"""Other trainers' configs as recipes: each is valid as written, says the same job, and tells by key what it leaves."""

import json
from pathlib import Path

import pytest
import yaml

from mixplan.cli import check
from mixplan.errors import RecipeError
from mixplan.recipe.foreign import read_job, recipe_of
from mixplan.recipe.foreign.job import name_of

CHAT = {"messages": [{"role": "user", "content": "Say {}."}, {"role": "assistant", "content": "{}"}]}
ROWS = {
    "chat.jsonl": {"messages": "chat"},
    "share.jsonl": {"conversations": "share"},
    "alpaca.json": {"instruction": "Do {}", "input": "", "output": "done {}"},
    "pairs.jsonl": {"query": "What is {}?", "response": "It is {}."},
    "spoken.jsonl": {"turns": "spoken"},
}
TALK = {
    "chat": ("role", "content", "user", "assistant"),
    "share": ("from", "value", "human", "gpt"),
    "spoken": ("who", "said", "caller", "agent"),
}


def lay(folder: Path) -> None:
    for name, form in ROWS.items():
        rows = []
        for number in range(40):
            row = {}
            for key, value in form.items():
                if value in TALK:
                    role, content, user, assistant = TALK[value]
                    texts = (
                        (user, f"Say {number} {value}."),
                        (assistant, f"It is {number}."),
                        (user, "More?"),
                        (assistant, "No."),
                    )
                    row[key] = [{role: who, content: text} for who, text in texts]
                else:
                    row[key] = value.format(number)
            rows.append(row)
        path = folder / name
        text = json.dumps(rows) if name.endswith(".json") else "".join(json.dumps(row) + "\n" for row in rows)
        path.write_text(text)


def converted(folder: Path, *files: str, monkeypatch) -> tuple[dict, dict[str, str]]:
    """The recipe that configs become, found valid by `mixplan check`, and what was left."""
    monkeypatch.chdir(folder)
    job = read_job([Path(file) for file in files])
    text = recipe_of(job, name="mine.yaml", source=files[0], folder=Path())
    shorter = text.replace("domains: everyday", f"domains: {DOMAINS}").replace("rows: 200", "rows: 20")
    (folder / "mine.yaml").write_text(shorter)
    result, loaded = check.look(Path("mine.yaml"), [])
    assert loaded is not None, result.problems
    check._count(loaded, result, check.Already())
    assert result.problems == []
    return yaml.safe_load(text), job.left


DOMAINS = (
    "{other: {data: {file: pairs.jsonl}, format: prompt_completion, columns: {prompt: query, completion: response}, "
    "split: {evaluation: 4, query: 10, demonstration: 6}}}"
)
"""In the place of the suite, whose sixteen domains take seconds to read."""

AXOLOTL = """
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
datasets:
  - {path: chat.jsonl, type: chat_template}
  - path: spoken.jsonl
    type: chat_template
    field_messages: turns
    message_property_mappings: {role: who, content: said}
    roles: {user: [caller], assistant: [agent]}
  - {path: alpaca.json, type: alpaca}
  - {path: text.txt, type: completion}
sequence_len: 1024
micro_batch_size: 2
num_epochs: 2
learning_rate: 2e-4
warmup_ratio: 0.1
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_linear: true
sample_packing: true
val_set_size: 0.1
bf16: auto
unheard_of: 3
"""


def test_an_axolotl_config(tmp_path, monkeypatch):
    lay(tmp_path)
    (tmp_path / "ax.yaml").write_text(AXOLOTL)
    recipe, left = converted(tmp_path, "ax.yaml", monkeypatch=monkeypatch)
    assert recipe["model"] == "smollm2-135m"
    sources = recipe["target"]["sources"]
    assert list(sources) == ["chat", "spoken", "alpaca"]
    assert sources["chat"]["turns"] == "all"
    assert sources["spoken"]["columns"] == {"messages": "turns", "role": "who", "content": "said"}
    assert sources["spoken"]["roles"] == {"caller": "user", "agent": "assistant"}
    assert sources["alpaca"]["columns"] == {"prompt": "{instruction}\n\n{input}", "completion": "output"}
    assert recipe["train"]["lora"] == {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"}
    assert recipe["train"]["args"] == {
        "max_length": 1024, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 1, "num_train_epochs": 2,
        "learning_rate": 2e-4, "lr_scheduler_type": "cosine", "warmup_steps": 0.1,
    }  # fmt: skip
    assert set(left) == {
        *("datasets: text.txt: type", "datasets: alpaca.json: type", "sample_packing", "val_set_size", "unheard_of"),
    }


def test_a_llama_factory_config_with_its_data_sets(tmp_path, monkeypatch):
    lay(tmp_path)
    (tmp_path / "data").mkdir()
    info = {
        "alp": {"file_name": "../alpaca.json"},
        "share": {"file_name": "../share.jsonl", "formatting": "sharegpt", "num_samples": 12},
        "better": {"file_name": "x.json", "ranking": True},
    }
    (tmp_path / "data" / "dataset_info.json").write_text(json.dumps(info))
    values = {
        "model_name_or_path": "Qwen/Qwen2.5-7B-Instruct", "stage": "sft", "do_train": True,
        "dataset": "alp, share,better", "template": "qwen", "mask_history": True, "finetuning_type": "lora",
        "lora_rank": 4, "lora_target": "q_proj,v_proj",
    }  # fmt: skip
    (tmp_path / "lf.yaml").write_text(yaml.safe_dump(values))
    recipe, left = converted(tmp_path, "lf.yaml", monkeypatch=monkeypatch)
    assert recipe["model"] == "qwen2.5-7b-it"
    sources = recipe["target"]["sources"]
    assert sources["alp"]["columns"] == {"prompt": "{instruction}\n{input}", "completion": "output"}
    assert (sources["share"]["rows"], "turns" in sources["share"]) == (12, False)
    assert recipe["train"]["lora"] == {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}
    assert recipe["train"]["args"] == {"max_length": 2048, "learning_rate": 5e-5}
    assert set(left) == {"dataset: better", "template"}


def test_dataset_info_alone(tmp_path, monkeypatch):
    lay(tmp_path)
    info = {"spoken": {"file_name": "spoken.jsonl", "formatting": "sharegpt", "columns": {"messages": "turns"},
                       "tags": {"role_tag": "who", "content_tag": "said", "user_tag": "caller",
                                "assistant_tag": "agent"}}}  # fmt: skip
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    recipe, left = converted(tmp_path, "dataset_info.json", monkeypatch=monkeypatch)
    assert recipe["target"]["roles"] == {"caller": "user", "agent": "assistant"}
    assert set(left) == {"model"}
    info["spoken"]["formatting"] = "openai"
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    assert "'detailed thinking off'" in read_job([Path("dataset_info.json")]).left["dataset: spoken: formatting"]


def test_trls_command_line_in_a_script(tmp_path, monkeypatch):
    lay(tmp_path)
    (tmp_path / "go.sh").write_text(
        "#!/bin/bash\n# trl sft is below\naccelerate launch trl sft \\\n  --model_name_or_path Qwen/Qwen3-8B \\\n"
        "  --dataset_name chat.jsonl --learning_rate 1e-5 --use_peft --lora_r 8 \\\n"
        "  --lora_target_modules q_proj k_proj --max_length 512 --packing \\\n"
        "  --assistant_only_loss --output_dir out --load_in_4bit\n"
    )
    recipe, left = converted(tmp_path, "go.sh", monkeypatch=monkeypatch)
    assert recipe["model"] == "qwen3-8b"
    assert recipe["target"]["turns"] == "all"
    assert recipe["train"]["args"] == {"learning_rate": 1e-5, "max_length": 512, "packing": True}
    assert recipe["train"]["lora"] == {
        "r": 8, "lora_alpha": 32, "lora_dropout": 0.05, "target_modules": ["q_proj", "k_proj"]
    }  # fmt: skip
    assert set(left) == {"output_dir", "load_in_4bit"}


def test_trls_config_with_several_data_sets(tmp_path, monkeypatch):
    lay(tmp_path)
    values = {
        "model_name_or_path": "Qwen/Qwen3-8B", "completion_only_loss": True,
        "datasets": [
            {"path": "chat.jsonl", "fraction": 3},
            {"path": "json", "data_files": "pairs.jsonl", "fraction": 1},
            {"path": "org/hidden", "split": "train"},
        ],
    }  # fmt: skip
    (tmp_path / "sft.yaml").write_text(yaml.safe_dump(values))
    recipe, left = converted(tmp_path, "sft.yaml", monkeypatch=monkeypatch)
    sources = recipe["target"]["sources"]
    assert sources["json"]["columns"] == {"prompt": "query", "completion": "response"}
    assert sources["hidden"]["data"] == {"hub": "org/hidden", "split": "train"}
    assert "75%" in left["datasets: chat.jsonl: fraction"]
    assert "its columns are not known" in left["datasets: org/hidden"]


def test_every_data_file_is_a_source(tmp_path, monkeypatch):
    lay(tmp_path)
    entry = "{path: json, data_files: [chat.jsonl, spoken.jsonl], type: chat_template}"
    (tmp_path / "ax.yaml").write_text(f"base_model: HuggingFaceTB/SmolLM2-135M-Instruct\ndatasets: [{entry}]\n")
    job = read_job([tmp_path / "ax.yaml"])
    assert [(one.name, Path(one.section["data"]["file"]).name) for one in job.data] == [
        ("chat", "chat.jsonl"), ("spoken", "spoken.jsonl"),
    ]  # fmt: skip
    assert not any("data_files" in key for key in job.left)


def test_files_of_a_data_set_on_the_hub_are_told_and_make_one_source(tmp_path):
    entry = "{path: org/data, data_files: [a.jsonl, b.jsonl], type: chat_template}"
    (tmp_path / "ax.yaml").write_text(f"base_model: org/base\ndatasets: [{entry}]\n")
    job = read_job([tmp_path / "ax.yaml"])
    assert [(one.name, one.section["data"]) for one in job.data] == [("data", {"hub": "org/data"})]
    assert "datasets: org/data: data_files" in job.left


@pytest.mark.parametrize(("name", "text", "lost"), [
    ("sft.yaml", "model_name_or_path: org/base\ndatasets:\n  - {path: acme/chats, data_dir: german, split: train, "
     "data_files: x/one.jsonl, columns: [messages]}\n", {"data_dir", "data_files", "columns"}),
    ("ax.yaml", "base_model: org/base\ndatasets:\n  - {path: acme/chats, type: chat_template, data_files: x.jsonl, "
     "roles_to_train: [user], field_system: sys, train_on_eos: none}\n",
     {"data_files", "roles_to_train", "field_system", "train_on_eos"}),
    ("ax.yaml", "base_model: org/base\ndatasets:\n  - {path: acme/chats, type: chat_template, train_on_eos: turn, "
     "roles_to_train: [assistant], field_system: system, chat_template: tokenizer_default}\n", set()),
    ("dataset_info.json", json.dumps({"acme": {"hf_hub_url": "acme/x", "folder": "german", "split": "train"}}),
     {"folder"}),
    ("dataset_info.json", json.dumps({"acme": {"hf_hub_url": "acme/x", "columns": {"prompt": "q", "response": "a",
                                                                                  "history": "before"}}}),
     {"columns.history"}),
])  # fmt: skip
def test_what_narrows_or_changes_a_data_set_is_told_where_it_is_not_taken_over(name, text, lost, tmp_path):
    (tmp_path / name).write_text(text)
    left = read_job([tmp_path / name]).left
    found = {key.rpartition(": ")[2] for key in left if key.startswith("dataset") and key.count(": ") > 1}
    assert found == lost


def test_a_column_of_system_turns_is_taken_over(tmp_path):
    entry = {"hf_hub_url": "acme/x", "formatting": "sharegpt", "columns": {"messages": "turns", "system": "rule"}}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"acme": entry}))
    (one,) = read_job([tmp_path / "dataset_info.json"]).data
    assert one.section["columns"] == {"messages": "turns", "system": "rule"}


def test_ms_swifts_command_line(tmp_path, monkeypatch):
    lay(tmp_path)
    (tmp_path / "go.sh").write_text(
        "NPROC_PER_NODE=1 \\\nswift sft --model Qwen/Qwen3-8B --dataset 'pairs.jsonl#20' 'AI-ModelScope/x#5' "
        "--max_length 2048 --template qwen3 --tuner_type full --per_device_train_batch_size 4\n"
    )
    recipe, left = converted(tmp_path, "go.sh", monkeypatch=monkeypatch)
    assert recipe["target"]["sources"]["pairs"]["rows"] == 20
    assert recipe["target"]["sources"]["x"]["rows"] == 5
    assert "lora" not in recipe["train"]
    args = recipe["train"]["args"]
    assert (args["learning_rate"], args["gradient_accumulation_steps"], args["lr_scheduler_type"]) == (
        1e-5,
        4,
        "cosine",
    )
    assert "ModelScope" in left["dataset: AI-ModelScope/x"]


REFUSED = {
    "no config": ("x.yaml", "seed: 1\n", "is no config of axolotl"),
    "a list": ("x.yaml", "- 1\n", "holds no keys"),
    "broken": ("x.yaml", "a: [\n", "cannot be read"),
    "preferences": ("x.yaml", "base_model: a\nrl: dpo\n", "rl: dpo: a recipe plans supervised fine-tuning"),
    "rewards": ("x.yaml", "model_name_or_path: a\nstage: rm\n", "stage: rm: a recipe plans supervised"),
    "undescribed": ("x.yaml", "model_name_or_path: a\nstage: sft\ndataset: b\n", "there is no dataset_info.json"),
    "another script": ("x.sh", "python train.py\n", "calls neither `trl sft` nor `swift sft`"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case, tmp_path):
    name, text, message = REFUSED[case]
    (tmp_path / name).write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_job([tmp_path / name])


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RecipeError, match="there is no such file"):
        read_job([tmp_path / "none.yaml"])


def test_names_fit_a_recipe_and_differ():
    assert name_of("org/some data.v2", []) == "some-data"
    assert name_of("a/chat.jsonl", ["chat"]) == "chat-2"
