"""A config's keys are those that axolotl's documentation gives, with the job's numbers; what has none is reported."""

from small_training import LORA, VALUES, training

from mixplan.export.axolotl import config, notes

# https://docs.axolotl.ai/docs/config-reference.html
JOB = {
    "base_model": "org/base", "revision_of_model": "v2", "sequence_len": 99, "micro_batch_size": 2,
    "gradient_accumulation_steps": 3, "num_epochs": 2.0, "learning_rate": 3e-4, "lr_scheduler": "cosine",
    "warmup_ratio": 0.1, "weight_decay": 0.01, "max_grad_norm": 0.5, "adam_beta1": 0.8, "adam_beta2": 0.95,
    "adam_epsilon": 1e-7, "optimizer": "adamw_torch_fused", "seed": 5, "bf16": True,
}  # fmt: skip
AS_PLANNED = {
    "datasets": [{"path": "rows.jsonl", "ds_type": "json", "type": "input_output"}], "shuffle_merged_datasets": False,
    "curriculum_sampling": True, "val_set_size": 0, "excess_length_strategy": "raise", "sample_packing": False,
    "pad_to_sequence_len": False, "train_on_inputs": False, "output_dir": "model",
}  # fmt: skip
ADAPTER = {
    "adapter": "lora",
    "lora_r": 4,
    "lora_alpha": 16,
    "lora_dropout": 0.05,
    "lora_target_modules": ["q_proj", "v_proj"],
}


def test_the_job_s_own_numbers_in_axolotl_s_words_and_nothing_else():
    assert config(training(), 99) == JOB | AS_PLANNED | ADAPTER
    assert config(training(lora=None), 99) == JOB | AS_PLANNED


def test_warm_up_in_steps_another_optimizer_and_all_linear_layers():
    values = config(
        training({"warmup_steps": 7, "optim": "adafactor"}, lora=LORA | {"target_modules": "all-linear"}), 99
    )
    assert (values["warmup_steps"], "warmup_ratio" in values, values["optimizer"]) == (7, False, "adafactor")
    assert (values["lora_target_linear"], "lora_target_modules" in values) == (True, False)
    assert config(training(lora=LORA | {"target_modules": ".*q_proj"}), 9)["lora_target_modules"] == ".*q_proj"


def test_each_key_goes_into_the_config_or_is_reported():
    """A key that nobody handles would be lost without a word."""
    extra = {"optim": "adafactor", "save_steps": 3, "group_by_length": True, "report_to": "none"}
    told = list(notes(training(extra, lora=LORA | {"use_rslora": True, "bias": "all"})))
    assert told == [
        "`train.lora.bias` has no counterpart that is written for axolotl and is not handed over.",
        "No counterpart is written for axolotl of `train.args.group_by_length`.",
    ]
    assert list(notes(training())) == []
    marked = {key: f"<{key}>" for key in (*VALUES, "optim", "save_steps") if key != "warmup_steps"}
    assert set(marked.values()) <= {value for value in config(training(marked), 9).values() if isinstance(value, str)}


def test_weights_that_are_rounded_after_each_update_are_reported():
    (told,) = notes(training(lora=None))
    assert told.startswith("axolotl loads the weights that it trains in bfloat16")
    assert told.endswith("and `bf16: false` in its config, which computes in float32 too.")
    assert list(notes(training(lora=None, bf16=False))) == []
