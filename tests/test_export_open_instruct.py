"""A config's keys are arguments of open-instruct's finetune.py, with the job's numbers; what it lacks is reported."""

from mixed_rows import hand, lay_mixed
from small_training import LORA, training

from mixplan.export.open_instruct import config, notes, write

# `FlatArguments` of open_instruct/finetune.py
JOB = {
    "model_name_or_path": "org/base", "model_revision": "v2", "tokenizer_name_or_path": "tokenizer",
    "max_seq_length": 99, "learning_rate": 3e-4, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 3,
    "lr_scheduler_type": "cosine", "warmup_ratio": 0.1, "weight_decay": 0.01, "clip_grad_norm": 0.5,
    "num_train_epochs": 2, "seed": 5, "output_dir": "model",
}  # fmt: skip
USUAL = {"adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8}
"""What PyTorch's AdamW and TRL have where nothing is said."""
ADAPTER = {"use_lora": True, "lora_rank": 4, "lora_alpha": 16, "lora_dropout": 0.05}


def test_the_job_s_own_numbers():
    values = config(training(), 99, "tokenizer")
    assert {key: values[key] for key in (*JOB, *ADAPTER)} == JOB | ADAPTER
    assert values["dataset_mixer_list"] == ["rows.jsonl", "1.0"]
    full = config(training({"max_steps": 3, "gradient_checkpointing": True}, lora=None), 99, "tokenizer")
    assert not set(full) & set(ADAPTER)
    assert (full["max_train_steps"], full["gradient_checkpointing"]) == (3, True)
    assert "max_train_steps" not in values


def test_nothing_leaves_the_machine_and_nothing_is_packed():
    values = config(training(), 99, "tokenizer")
    for key in ("push_to_hub", "with_tracking", "try_launch_beaker_eval_jobs", "try_auto_save_to_beaker", "packing"):
        assert values[key] is False


def test_what_it_does_otherwise_is_reported():
    job = training({"warmup_steps": 7} | USUAL, lora=LORA | {"bias": "all"})
    shuffled, steps, layers, bias = notes(job)
    assert shuffled.startswith("open-instruct shuffles")
    assert steps == "open-instruct has no key for `train.args.warmup_steps`. Use `warmup_ratio` in its place."
    assert "chooses an adapter's layers by itself" in layers
    assert bias == "`train.lora.bias` has no counterpart in open-instruct and is not handed over."
    _, rounded = notes(training(USUAL, lora=None))
    assert rounded.startswith("open-instruct loads the weights that it trains in bfloat16")


def test_arguments_without_a_key_and_another_precision_are_reported():
    _, lost, kind = notes(training({"optim": "adafactor", "gradient_checkpointing": True}, lora=None, bf16=False))
    assert lost == (
        "No counterpart is written for open-instruct of `train.args.adam_beta1`, `train.args.adam_beta2`, "
        "`train.args.adam_epsilon`, `train.args.optim`."
    )
    assert kind == (
        "The recipe trains in float32, which is not handed over: open-instruct computes in a type of its own choice."
    )


def test_a_part_of_an_epoch_is_reported():
    told = "open-instruct takes whole epochs alone: each row is read 2 times, not 1.5."
    assert told in list(notes(training(epochs=1.5, lora=None)))
    assert config(training(epochs=1.5), 99, "tokenizer")["num_train_epochs"] == 2
    for whole in (training(USUAL, epochs=2.0, lora=None), training({"max_steps": 9} | USUAL, epochs=1.5, lora=None)):
        assert not any("whole epochs" in note for note in notes(whole))


def test_rows_that_are_cut_at_the_other_end_are_counted(tmp_path, own_cache):
    for mode, told in (("keep_end", True), ("keep_start", False)):
        laid = lay_mixed(tmp_path / mode, args={"max_length": 150, "truncation_mode": mode})
        handover = hand(*laid, tmp_path / mode / "out")
        notes = [note for note in write(handover).notes if "at their end" in note]
        cut = handover.renderer.cut.total()
        assert cut
        assert [f"cuts {cut} rows at their end" in note for note in notes] == [True] * told
