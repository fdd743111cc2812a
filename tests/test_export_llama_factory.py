"""A config's keys are those of LLaMA-Factory's examples, with the job's numbers; what it has no key for is reported."""

import pytest
from small_training import LORA, VALUES, training

from mixplan.export.llama_factory import config, lora_notes

# examples/train_lora/llama3_lora_sft.yaml of hiyouga/LLaMA-Factory, and its hparams/*.py
JOB = {
    "model_name_or_path": "org/base", "model_revision": "v2", "stage": "sft", "do_train": True, "dataset_dir": ".",
    "dataset": "mixture", "template": "empty", "cutoff_len": 99, "packing": False, "disable_shuffling": True,
    "overwrite_cache": True, "output_dir": "model", "num_train_epochs": 2.0, "seed": 5, "bf16": True, "fp16": False,
    "report_to": "none", **VALUES,
}  # fmt: skip
ADAPTER = {
    "finetuning_type": "lora",
    "lora_rank": 4,
    "lora_alpha": 16,
    "lora_dropout": 0.05,
    "lora_target": "q_proj,v_proj",
}


def test_the_job_s_own_numbers_in_llama_factory_s_words_and_nothing_else():
    assert config(training(), 99) == JOB | ADAPTER
    assert config(training(lora=None), 99) == JOB | {"finetuning_type": "full"}
    assert config(training({"save_steps": 3, "report_to": "wandb"}, cpu=True, bf16=False), 99) == (
        JOB | ADAPTER | {"save_steps": 3, "report_to": "wandb", "use_cpu": True, "bf16": False}
    )


@pytest.mark.parametrize(("asked", "disabled"), [(True, None), (False, True), (None, None)])
def test_checkpointing_of_gradients_is_its_own_default_and_is_only_ever_disabled(asked, disabled):
    values = config(training({} if asked is None else {"gradient_checkpointing": asked}), 99)
    assert (values.get("disable_gradient_checkpointing"), "gradient_checkpointing" in values) == (disabled, False)


def test_layers_by_name_all_of_them_and_further_modules():
    assert config(training(lora=LORA | {"target_modules": "All-Linear"}), 9)["lora_target"] == "all"
    values = config(training(lora=LORA | {"modules_to_save": ["embed_tokens", "lm_head"]}), 9)
    assert values["additional_target"] == "embed_tokens,lm_head"


def test_what_has_no_key_is_reported():
    assert list(lora_notes(LORA | {"use_rslora": True})) == list(lora_notes(None)) == []
    pattern, bias = lora_notes(LORA | {"target_modules": ".*q_proj", "bias": "all"})
    assert pattern.startswith("`train.lora.target_modules: .*q_proj` is a pattern, which LLaMA-Factory does not take")
    assert bias == "`train.lora.bias` has no counterpart in LLaMA-Factory and is not handed over."
