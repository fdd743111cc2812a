"""TRL configs: read by TRL's own parsers, trained on by its own trainers and command line."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from sample_mixtures import build, make_domain
from trl.scripts import grpo
from trl_templates import TEMPLATES

from mixplan.chat.template import ChatTemplate
from mixplan.chat.template_settings import hold
from mixplan.errors import RunError
from mixplan.grading.rewards import reward_functions
from mixplan.mixture import Mixture
from mixplan.mixture.trl_config import (
    SFT_LENGTH,
    WITHOUT_GPU,
    WITHOUT_TEMPLATE,
    Job,
    default_of,
    trl_job,
    within_window,
)
from mixplan.recipe import ModelSpec, SaeSpec, TrainSpec

MODEL = ModelSpec(name="org/model", sae=SaeSpec(embedded=True))
TRL = Path(sys.executable).with_name("trl")
SHORT: dict[str, Any] = {
    "max_steps": 2,
    "per_device_train_batch_size": 2,
    "bf16": False,
    "use_cpu": True,
    "save_strategy": "no",
    "report_to": "none",
}


def job(train: TrainSpec, model: ModelSpec = MODEL) -> Job:
    return trl_job(train, model=model, model_path="models/tiny", seed=7, folder_name="mixture")


def parse(train: TrainSpec, folder: Path, model: ModelSpec = MODEL, flags: Sequence[str] = ()) -> tuple[Any, ...]:
    """What TRL's command line makes of the config; a key it does not know raises."""
    from trl.scripts import grpo, sft

    made = job(train, model)
    (folder / made.name).write_text(made.text)
    parser = (sft if train.method == "sft" else grpo).make_parser()
    return tuple(parser.parse_args_and_config(["--config", str(folder / made.name), *flags]))


def test_trl_reads_the_sft_config(tmp_path: Path) -> None:
    train = TrainSpec(args={"learning_rate": 2e-5, "max_length": 512, "use_cpu": True, "bf16": False, "seed": 3})
    script, training, model, _ = parse(train, tmp_path)
    assert (script.dataset_name, script.dataset_train_split) == ("./mixture", "train")
    assert (training.learning_rate, training.max_length, training.seed) == (2e-5, 512, 3)
    assert training.completion_only_loss is True
    assert training.output_dir == "model"
    assert (model.model_name_or_path, model.use_peft) == ("models/tiny", False)


def test_without_a_gpu_trl_is_told_so_on_its_command_line(tmp_path: Path) -> None:
    training = parse(TrainSpec(), tmp_path, flags=WITHOUT_GPU.split())[1]
    assert (training.use_cpu, training.bf16) == (True, False)


def test_trl_reads_the_grpo_config_and_its_reward(tmp_path: Path) -> None:
    import importlib

    args = {"num_generations": 2, "per_device_train_batch_size": 2, "use_cpu": True, "bf16": False}
    script, training, _, _ = parse(TrainSpec(method="grpo", args=args), tmp_path)
    assert (training.num_generations, training.seed, training.output_dir) == (2, 7, "model")
    assert training.remove_unused_columns is False
    (reward,) = script.reward_funcs
    module, name = reward.rsplit(".", 1)
    assert callable(getattr(importlib.import_module(module), name))


def as_trl_finds_them(script: Any) -> list[Any]:
    """The functions behind `reward_funcs`, looked up as trl/scripts/grpo.py does."""
    import importlib

    return [getattr(importlib.import_module(name.rsplit(".", 1)[0]), name.rsplit(".", 1)[1])
            for name in script.reward_funcs]  # fmt: skip


@pytest.mark.parametrize("template", [None, "qwen3_5_think"])
def test_trls_command_line_rewards_as_mixplan_train_does(tmp_path: Path, monkeypatch: Any, template: Any) -> None:
    """The second formulation is what `mixplan train` gives TRL's trainer for the same recipe."""
    (tmp_path / "own_scores.py").write_text(
        "def length(completions, **columns):\n    return [float(len(one[-1]['content'])) for one in completions]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    rewards = {"graded": 1.0, "format": 0.25, "number": 2.0, "own_scores:length": -0.5}
    args = {"num_generations": 2, "per_device_train_batch_size": 2, "use_cpu": True, "bf16": False}
    train = TrainSpec(method="grpo", args=args, rewards=rewards)
    known = held(template) if template else None
    made = trl_job(train, model=MODEL, model_path="m", seed=7, folder_name="mixture", template=known)
    (tmp_path / "grpo.yaml").write_text(made.text)
    script, training, *_ = grpo.make_parser().parse_args_and_config(["--config", "grpo.yaml"])
    assert training.reward_weights == list(rewards.values())
    said = ["7", "it is 7", "<answer>7</answer>", "so 7", "hm</think>\n\n7"]
    columns: dict[str, Any] = {
        "prompts": [[{"role": "user", "content": "?"}]] * len(said),
        "completions": [[{"role": "assistant", "content": text}] for text in said],
        "reference": ["7"] * len(said),
        "grader": ["exact"] * len(said),
        "entry": [None] * len(said),
    }
    expected, _ = reward_functions(train, tally=tmp_path / "t.json", opened=known.opened_reasoning if known else "")
    given = [function(**columns) for function in as_trl_finds_them(script)]
    assert given == [function(**columns) for function in expected]
    assert given[2][3] == (0.0 if template else 1.0)  # `so 7` has not ended its reasoning where the prompt opens it


def test_a_reward_s_settings_that_trl_cannot_be_told_are_said() -> None:
    usual = job(TrainSpec(method="grpo"))
    assert "reward_weights" not in usual.text
    assert "mixplan.train.rewards.graded\n" in usual.text
    made = job(TrainSpec(method="grpo", rewards={"format": 1.0}, answer_format="[0-9]", grader_seconds=3))
    assert [warning for warning in made.warnings if "`train.answer_format`" in warning]
    assert [warning for warning in made.warnings if "`train.grader_seconds`" in warning]
    assert not job(TrainSpec(method="grpo", answer_format="[0-9]")).warnings


@pytest.mark.parametrize(
    ("dtype", "device", "args", "expected"),
    [
        ("auto", "auto", {}, (None, None)),
        ("float32", "auto", {}, (False, None)),
        ("float16", "cuda:1", {}, (False, True)),
        ("float32", "auto", {"bf16": True}, (True, None)),
        ("float32", "cpu", {}, (None, None)),
    ],
)
def test_the_recipe_s_precision_is_not_left_to_trls_default(
    dtype: Any, device: str, args: dict[str, Any], expected: Any
) -> None:
    """TRL computes in bfloat16 where nothing is said, and `mixplan train` in the type that the recipe names."""
    text = job(TrainSpec(args=args), MODEL.model_copy(update={"dtype": dtype, "device": device})).text
    values = yaml.safe_load(text)
    assert (values.get("bf16"), values.get("fp16")) == expected


def held(name: str, **settings: Any) -> ChatTemplate:
    made = hold(TEMPLATES[name], settings=settings, date=None, special={}, name="tiny")
    return ChatTemplate(made.source, {}, "tiny")


def test_trls_command_line_is_given_the_template_that_was_read(tmp_path: Path) -> None:
    """Settings go into the rows, what TRL has no key for into a template file; TRL itself is asked what it reads."""
    settings = {"reasoning_effort": "low"}
    model = MODEL.model_copy(update={"chat_template_kwargs": settings})
    made = trl_job(
        TrainSpec(), model=model, model_path="m", seed=7, folder_name="mixture", template=held("gptoss", **settings)
    )
    assert made.settings == settings
    assert made.template == held("gptoss", **settings).source
    assert yaml.safe_load(made.text)["chat_template_path"] == "mixture/chat_template.jinja"
    model = MODEL.model_copy(update={"chat_template_kwargs": {"enable_thinking": False}})
    template = held("qwen3", enable_thinking=False)
    plain = trl_job(TrainSpec(), model=model, model_path="m", seed=7, folder_name="mixture", template=template)
    assert (plain.settings, plain.template) == ({"enable_thinking": False}, None)
    assert "chat_template" not in plain.text


def test_trls_grpo_is_given_settings_in_its_config_and_told_of_what_it_cannot_take(tmp_path: Path) -> None:
    model = MODEL.model_copy(update={"chat_template_kwargs": {"reasoning_effort": "low"}})
    train = TrainSpec(method="grpo", args={"num_generations": 2, "per_device_train_batch_size": 2, "use_cpu": True,
                                           "bf16": False})  # fmt: skip
    _, training, _, _ = parse(train, tmp_path, model)
    assert training.chat_template_kwargs == {"reasoning_effort": "low"}
    made = trl_job(train, model=model, model_path="m", seed=7, folder_name="mixture", template=held("gptoss"))
    assert (made.settings, made.template) == ({}, None)
    assert made.warnings == (WITHOUT_TEMPLATE,)


@pytest.mark.parametrize(
    "lora",
    [
        {},
        {"r": 4},
        {"r": 4, "lora_alpha": 4, "lora_dropout": 0.1, "target_modules": "all-linear", "use_rslora": True},
        {"target_modules": ["q_proj", "v_proj"], "modules_to_save": ["lm_head"], "use_dora": True},
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
        {"target_modules": r".*\.(q|k)_proj"},
    ],
)
def test_lora_is_the_same_through_trl_as_through_peft(tmp_path: Path, lora: dict[str, Any]) -> None:
    from peft import LoraConfig
    from trl import get_peft_config

    train = TrainSpec(args={"use_cpu": True, "bf16": False}, lora=lora)
    found = get_peft_config(parse(train, tmp_path)[2])
    expected = LoraConfig(task_type="CAUSAL_LM", **lora)
    assert found is not None
    assert found.to_dict() == expected.to_dict()


def test_revision_and_code_of_the_model_are_passed_on(tmp_path: Path) -> None:
    spec = MODEL.model_copy(update={"revision": "abc", "trust_remote_code": True})
    _, training, model, _ = parse(TrainSpec(args={"use_cpu": True, "bf16": False}), tmp_path, spec)
    assert (model.model_revision, training.trust_remote_code) == ("abc", True)


def test_what_trl_cannot_be_told_is_said() -> None:
    made = job(TrainSpec(lora={"r": 4, "init_lora_weights": "pissa", "bias": "all"}))
    assert made.warnings == (
        "`train.lora.bias` has no counterpart in TRL's command line, so sft.yaml leaves it out.",
        "`train.lora.init_lora_weights` has no counterpart in TRL's command line, so sft.yaml leaves it out.",
    )
    assert made.text.splitlines()[:4] == [
        "# In the run folder: trl sft --config mixture/sft.yaml",
        "# On a machine without a GPU add --use_cpu --bf16 false.",
        *(f"# {warning}" for warning in made.warnings),
    ]


def test_where_trl_cuts_rows() -> None:
    from trl import SFTConfig

    default = SFTConfig.__dataclass_fields__["max_length"].default
    assert job(TrainSpec()).max_length_tokens == default
    assert job(TrainSpec(args={"max_length": None})).max_length_tokens is None
    assert job(TrainSpec(args={"max_length": 8192})).max_length_tokens == 8192
    assert job(TrainSpec(method="grpo")).max_length_tokens is None
    assert default == SFT_LENGTH


@pytest.mark.parametrize(
    ("train", "window", "expected"),
    [(TrainSpec(), 512, 512), (TrainSpec(), None, 1024), (TrainSpec(), 2048, 1024), (TrainSpec(), 1024, 1024),
     (TrainSpec(args={"max_length": 2000}), 512, 2000), (TrainSpec(args={"max_length": None}), 512, None),
     (TrainSpec(method="grpo"), 512, None)],
)  # fmt: skip
def test_rows_are_cut_at_a_short_window_as_mixplan_train_cuts_them(train, window, expected, tmp_path) -> None:
    made = job(within_window(train, window))
    assert made.max_length_tokens == expected
    if train.method == "sft":
        args = {"use_cpu": True, "bf16": False}
        _, training, _, _ = parse(within_window(train.model_copy(update={"args": train.args | args}), window), tmp_path)
        assert training.max_length == expected


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (
            ("no_such_package", "a.py", "A"),
            "the Python package 'no_such_package' is not installed. Install it with `pip install no_such_package`.",
        ),
        (
            ("peft", "tuners/lora/elsewhere.py", "LoraConfig"),
            "the installed peft has no default for LoraConfig.r where it is expected (tuners/lora/elsewhere.py). "
            "Install the versions that mixplan names in pyproject.toml.",
        ),
    ],
)
def test_messages_of_other_installations(place: tuple[str, str, str], message: str) -> None:
    with pytest.raises(RunError) as caught:
        default_of(place, "r")
    assert str(caught.value) == message


def run_folder(folder: Path, model: Path, train: TrainSpec) -> Mixture:
    """A run folder with a mixture for this model."""
    sums = make_domain("sums", 6)
    return build(
        folder / "mixture",
        {"sums": 6},
        target=make_domain("target", 6),
        domains={"sums": sums},
        train=train,
        model_path=str(model),
    )


def test_sft_trainer_takes_the_mixture_and_its_loss_falls_on_completions(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets
    from transformers import AutoTokenizer
    from trl import SFTTrainer
    from trl.scripts import sft

    mixture = run_folder(tmp_path, tiny_model, TrainSpec(args=SHORT))
    monkeypatch.chdir(tmp_path)
    script, training, model, _ = sft.make_parser().parse_args_and_config(["--config", "mixture/sft.yaml"])
    rows = datasets.load_dataset(script.dataset_name, cache_dir=str(tmp_path / "cache"))[script.dataset_train_split]
    trainer = SFTTrainer(model=model.model_name_or_path, args=training, train_dataset=rows)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    assert len(trainer.train_dataset) == mixture.rows == 12
    for row, made in zip(rows, trainer.train_dataset, strict=True):
        taught = [token for token in made["labels"] if token != -100]
        # The template ends a turn with </s> and a line break; both belong to the answer.
        assert tokenizer.decode(taught) == f"{row['completion'][0]['content']}</s>\n"
    trainer.train()
    assert trainer.state.global_step == 2


@pytest.mark.real
@pytest.mark.parametrize("method", ["sft", "grpo"])
def test_trl_command_line_trains_from_the_run_folder_as_it_is(tmp_path: Path, tiny_model: Path, method: Any) -> None:
    args = SHORT | {"max_steps": 1}
    if method == "grpo":
        args |= {"num_generations": 2, "max_completion_length": 4}
    shutil.copytree(tiny_model, tmp_path / "tiny")
    train = TrainSpec(method=method, args=args, lora={"r": 2}, rewards={"graded": 1.0, "number": 0.5})
    run_folder(tmp_path, Path("tiny"), train)
    environment = os.environ | {"HF_DATASETS_CACHE": str(tmp_path / "cache"), "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [TRL, method, "--config", f"mixture/{method}.yaml"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    settings = yaml.safe_load((tmp_path / "mixture" / f"{method}.yaml").read_text())
    assert (tmp_path / settings["output_dir"] / "adapter_model.safetensors").is_file()
