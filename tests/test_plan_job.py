"""A job trains with what arithmetic makes of a recipe's arguments and TRL's own defaults."""

import pytest
import trl
from datasets import Dataset
from trl.data_utils import pack_dataset

from mixplan.forecast import Job
from mixplan.plan.job import adapter_of, job_of, uncounted_steps
from mixplan.plan.make import unread

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


def test_steps_of_packed_rows_are_not_known_before_training():
    """TRL packs a hundred rows of ten tokens into ten of a hundred: no row count tells how often a step is made."""
    packed = pack_dataset(Dataset.from_dict({"input_ids": [[1] * 10] * 100}), seq_length=100)
    assert len(packed) == 10
    assert job_of(train(packing=True), 100) is None
    assert unread(train(packing=True), 100) == [uncounted_steps(train(packing=True))]
    assert "`train.args.packing`" in uncounted_steps(train(packing=True))
    assert "`train.args.packing`" in uncounted_steps(train(packing=True, max_steps=-1))
    # A number of steps that the recipe names is one, however many rows each reads; so is one of rows as they are.
    assert job_of(train(packing=True, max_steps=7), 100) == job_of(train(max_steps=7), 100)
    assert job_of(train(packing=False), 100).steps == 50
    for args in ({"packing": True, "max_steps": 7}, {"packing": False}, {}):
        assert uncounted_steps(train(**args)) is None
