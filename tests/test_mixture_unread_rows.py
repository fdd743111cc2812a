"""Rows that a job would not read are told, by arithmetic from its arguments and as TRL draws them."""

import pytest
from trl import GRPOConfig
from trl.trainer.utils import RepeatSampler

from mixplan.mixture.unread_rows import left_unread, too_short


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
