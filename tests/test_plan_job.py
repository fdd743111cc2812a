"""What a job trains with, by arithmetic from a recipe's arguments and TRL's own defaults."""

import pytest
import trl
from trl import GRPOConfig
from trl.trainer.utils import RepeatSampler

from mixplan.forecast import Job
from mixplan.plan.job import adapter_of, job_of, left_unread, too_short

ARGS = {"num_train_epochs": 2, "per_device_train_batch_size": 4, "learning_rate": 1e-4}


def train(method="sft", lora=None, **args):
    return {"method": method, "args": {**ARGS, **args}, "lora": lora}


@pytest.mark.parametrize(
    ("args", "steps"),
    [
        ({}, 50.0),
        ({"gradient_accumulation_steps": 5}, 10.0),
        ({"max_steps": 7}, 7.0),
        ({"num_train_epochs": 0.5}, 12.5),
    ],
)
def test_steps_are_epochs_over_rows_a_step(args, steps):
    assert job_of(train(**args), 100) == Job(target_rows=100, steps=steps, learning_rate=1e-4, adapter="full")


def test_with_grpo_a_step_holds_answers():
    found = job_of(train("grpo", num_generations=8, per_device_train_batch_size=16), 100)
    assert found.steps == 100 * 2 * 8 / 16
    assert job_of(train("grpo", num_generations=8, num_iterations=3), 100).steps == 3 * 100 * 2 * 8 / 4


def test_what_the_recipe_leaves_out_is_as_trl_has_it(tmp_path):
    for method, config in (("sft", trl.SFTConfig), ("grpo", trl.GRPOConfig)):
        known = config(output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to=[])
        found = job_of({"method": method, "args": {}, "lora": None}, 96)
        assert found.learning_rate == known.learning_rate
        answers = 1 if method == "sft" else known.num_generations * known.num_iterations
        a_step = known.per_device_train_batch_size * known.gradient_accumulation_steps
        assert found.steps == known.num_train_epochs * 96 * answers / a_step


def test_adapters_are_equal_where_the_same_is_trained():
    assert adapter_of(None) == "full"
    assert adapter_of({"r": 16, "lora_alpha": 32, "target_modules": ["v", "q"], "lora_dropout": 0.1}) == adapter_of(
        {"lora_alpha": 32, "r": 16, "target_modules": ["q", "v"]}
    )
    assert adapter_of({"r": 16}) != adapter_of({"r": 8})
    assert adapter_of({}) == "LoRA r 8 alpha 8 on default modules"  # peft's own defaults


def test_what_is_not_known_before_training_is_none():
    assert job_of(train(learning_rate="fast"), 100) is None
    assert job_of(train(per_device_train_batch_size=0), 100) is None


@pytest.mark.parametrize(
    ("method", "args", "processes", "told"),
    [
        ("sft", {"max_steps": 4, "per_device_train_batch_size": 2}, 1,
         "The job is too short for its mixture: 4 steps of 2 rows read 8 of 138 rows. "
         "Set `train.args.max_steps: 69` to read each once."),
        ("sft", {"num_train_epochs": 0.5}, 1,
         "The job is too short for its mixture: 0.5 epochs read 69 of 138 rows. "
         "Set `train.args.num_train_epochs: 1` to read each once."),
        ("grpo", {"max_steps": 10, "per_device_train_batch_size": 8, "num_generations": 4}, 3,
         "The job is too short for its mixture: 10 steps of 6 rows read 60 of 138 rows. "
         "Set `train.args.max_steps: 23` to read each once."),
        ("sft", {"max_steps": 69, "per_device_train_batch_size": 2}, 1, None),
        ("sft", {"max_steps": 35, "per_device_train_batch_size": 2}, 2, None),
        ("sft", {"max_steps": 4, "packing": True}, 1, None),
        ("sft", {"max_steps": "few"}, 1, None),
        ("sft", {}, 1, None),
    ],
)  # fmt: skip
def test_a_job_too_short_for_its_mixture_is_told(method, args, processes, told):
    assert too_short({"method": method, "args": args, "lora": None}, 138, processes=processes) == told


@pytest.mark.parametrize(
    ("method", "args", "processes", "left", "batch"),
    [
        ("sft", {"per_device_train_batch_size": 4}, 1, 0, 4),
        ("sft", {"per_device_train_batch_size": 4, "dataloader_drop_last": True}, 1, 2, 4),
        ("sft", {"per_device_train_batch_size": 4, "dataloader_drop_last": True}, 2, 2, 8),
        ("sft", {"per_device_train_batch_size": 200, "dataloader_drop_last": True}, 1, 138, 200),
        ("grpo", {"per_device_train_batch_size": 8, "num_generations": 4}, 1, 0, 2),
        ("grpo", {"per_device_train_batch_size": 8, "num_generations": 2, "gradient_accumulation_steps": 2}, 1, 2, 8),
        ("grpo", {"per_device_train_batch_size": 8, "num_generations": 2, "steps_per_generation": 4}, 1, 10, 16),
        ("grpo", {"generation_batch_size": 80, "num_generations": 8}, 1, 8, 10),
        ("grpo", {"num_generations": "few"}, 1, 0, 1),
    ],
)
def test_rows_that_fill_no_batch_are_told(method, args, processes, left, batch):
    sentence = left_unread({"method": method, "args": args, "lora": None}, 138, processes=processes)
    if not left:
        assert sentence is None
        return
    trained = f"{138 - left}" if left < 138 else "none"
    assert sentence.startswith(f"The job leaves {left} of 138 rows unread in each epoch and trains on {trained}: ")
    assert f"a batch of fewer than {batch}. " in sentence
    assert ("dataloader_drop_last: false" in sentence) == (method == "sft")


@pytest.mark.parametrize("settings", [{}, {"gradient_accumulation_steps": 2}, {"steps_per_generation": 3}])
def test_grpo_s_rows_are_counted_as_trl_s_sampler_draws_them(tmp_path, settings):
    args = GRPOConfig(str(tmp_path), per_device_train_batch_size=4, num_generations=2, use_cpu=True, **settings)
    drawn = RepeatSampler(
        range(21), 2, args.generation_batch_size // 2, args.num_iterations * args.steps_per_generation
    )
    given = {"per_device_train_batch_size": 4, "num_generations": 2, **settings}
    sentence = left_unread({"method": "grpo", "args": given, "lora": None}, 21)
    assert sentence.startswith(f"The job leaves {21 - len(set(drawn))} of 21 rows unread")
