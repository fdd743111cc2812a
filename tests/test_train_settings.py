"""What TRL and peft are given: the recipe's values, defaults for any length of job, types that keep small updates."""

from pathlib import Path

import pytest
import torch

from mixplan.train import grpo, sft
from mixplan.train.job import Job
from mixplan.train.settings import defaults, model_arguments


def job(model: Path, *, method: str = "sft", lora: dict | None = None, dtype: str = "auto", **args: object) -> Job:
    return Job(
        model={"name": str(model), "revision": None, "trust_remote_code": False, "dtype": dtype, "device": "cpu"},
        train={"method": method, "args": args, "lora": lora, "rewards": {"graded": 1.0, "format": -0.5}},
        mixture="mixture",
        planned_rows={},
        hashes={},
    )


def test_a_silent_recipe_logs_and_saves_by_share_and_reports_nowhere(tiny_model, tmp_path):
    config = sft.trl_config(job(tiny_model), tmp_path)
    assert (config.logging_steps, config.save_steps, config.save_total_limit) == (0.01, 0.1, 2)
    assert config.report_to == []
    assert (config.bf16, config.fp16, config.use_cpu, config.disable_tqdm) == (False, False, True, True)
    assert config.output_dir == str(tmp_path / "training" / "checkpoints")
    assert config.completion_only_loss is True
    assert config.max_length == 512  # the model's window is shorter than TRL's 1,024


def test_the_recipe_wins(tiny_model, tmp_path):
    args = {"save_steps": 7, "learning_rate": 3e-4, "max_length": None, "report_to": "tensorboard", "bf16": True,
            "seed": 11}  # fmt: skip
    config = sft.trl_config(job(tiny_model, **args), tmp_path)
    assert (config.save_steps, config.learning_rate, config.max_length) == (7, 3e-4, None)
    assert (config.report_to, config.bf16, config.seed) == (["tensorboard"], True, 11)


def test_a_long_window_leaves_trl_s_own_length(build_model, tmp_path):
    folder = build_model("llama", tmp_path / "model", max_position_embeddings=4096)
    assert sft.trl_config(job(folder), tmp_path).max_length == 1024


@pytest.mark.parametrize(("dtype", "bf16"), [("auto", False), ("float32", False), ("bfloat16", True)])
def test_on_a_cpu_bfloat16_is_computed_only_where_it_is_asked_for(tiny_model, tmp_path, dtype, bf16):
    assert defaults(job(tiny_model, dtype=dtype), tmp_path)["bf16"] is bf16


def test_bf16_null_is_as_if_it_were_not_said(tiny_model, tmp_path):
    """TRL takes it for true, where nothing else is asked for."""
    assert sft.trl_config(job(tiny_model, bf16=None), tmp_path).bf16 is False


@pytest.mark.parametrize(
    ("able", "dtype", "bf16", "fp16"),
    [
        (True, "auto", True, False),
        (True, "float32", False, False),
        (True, "float16", False, True),
        (False, "auto", False, True),
        (False, "bfloat16", True, False),
    ],
)
def test_on_a_gpu_it_is_what_the_gpu_has(tiny_model, tmp_path, monkeypatch, able, dtype, bf16, fp16):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: able)
    made = job(tiny_model, dtype=dtype)
    made.model["device"] = "auto"
    values = defaults(made, tmp_path)
    assert (values["bf16"], values["fp16"], values["use_cpu"]) == (bf16, fp16, False)
    # Weights that are trained are float32; those under an adapter need not be.
    assert values["model_init_kwargs"]["dtype"] == "float32"
    made.train["lora"] = {"r": 4}
    assert model_arguments(made)["dtype"] == ("bfloat16" if bf16 else "float32")


def test_how_the_model_is_loaded_is_the_recipe_s_to_add_to(tiny_model):
    made = job(tiny_model, model_init_kwargs={"dtype": "bfloat16", "attn_implementation": "eager"})
    assert model_arguments(made) == {
        "dtype": "bfloat16",
        "revision": None,
        "trust_remote_code": False,
        "use_safetensors": True,
        "attn_implementation": "eager",
    }


@pytest.mark.parametrize(
    ("args", "steps"),
    [
        ({}, 1),
        ({"gradient_accumulation_steps": 4}, 1),
        ({"gradient_accumulation_steps": 2, "steps_per_generation": 6}, 3),
        ({"num_iterations": 3}, 3),
    ],
)
def test_grpo_s_rewards_and_the_steps_that_share_answers(tiny_model, tmp_path, args, steps):
    made = job(tiny_model, method="grpo", num_generations=2, per_device_train_batch_size=4, **args)
    config = grpo.trl_config(made, tmp_path)
    assert config.reward_weights == [1.0, -0.5]
    assert grpo.cycle_steps(config) == steps
