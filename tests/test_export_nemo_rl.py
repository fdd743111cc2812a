"""The job's numbers stand where NeMo-RL's own SFT config has them; its schedules are those of transformers."""

import pytest
import torch
from small_training import LORA, training
from transformers import get_scheduler

from mixplan.export.nemo_rl import config, lora, notes, scheduler


def test_numbers_of_the_optimizer_batches_and_steps():
    """17 rows in steps of 2 x 3, the last five left out, twice: four steps."""
    values = config(training(), 65, 17)
    policy = values["policy"]
    assert policy["optimizer"] == {
        "name": "torch.optim.AdamW",
        "kwargs": {"lr": 3e-4, "weight_decay": 0.01, "betas": [0.8, 0.95], "eps": 1e-7},
    }
    assert (policy["train_global_batch_size"], policy["train_micro_batch_size"]) == (6, 2)
    assert (policy["max_total_sequence_length"], policy["precision"], policy["max_grad_norm"]) == (65, "bfloat16", 0.5)
    assert (values["sft"]["max_num_steps"], values["sft"]["max_num_epochs"], values["sft"]["seed"]) == (4, 2, 5)
    assert values["checkpointing"]["save_period"] == 4
    assert values["data"]["shuffle"] is False
    assert config(training({"max_steps": 3}), 65, 17)["sft"]["max_num_steps"] == 3


@pytest.mark.parametrize(
    ("bf16", "fp16", "precision"), [(True, False, "bfloat16"), (False, True, "float16"), (False, False, "float32")]
)
def test_precision(bf16, fp16, precision):
    assert config(training(bf16=bf16, fp16=fp16), 65, 17)["policy"]["precision"] == precision


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant"])
def test_a_schedule_is_that_of_transformers_at_each_step(kind):
    """Both are run, with PyTorch's class as the config names it."""
    steps, rates = 12, []
    made = scheduler(training({"lr_scheduler_type": kind}), steps)["scheduler"]
    named = getattr(torch.optim.lr_scheduler, made["name"].rpartition(".")[2])
    for build in (
        lambda optimizer: named(optimizer, **made["kwargs"]),
        lambda optimizer: get_scheduler(kind, optimizer, num_warmup_steps=0, num_training_steps=steps),
    ):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
        schedule = build(optimizer)
        rates.append([])
        for _ in range(steps):
            rates[-1].append(schedule.get_last_lr()[0])
            optimizer.step()
            schedule.step()
    assert rates[0] == pytest.approx(rates[1], abs=1e-12)


def test_an_adapter_by_names_and_on_all_layers():
    assert lora(None) == {"enabled": False}
    named = {"enabled": True, "dim": 4, "alpha": 16, "dropout": 0.05, "match_all_linear": False}
    assert lora(LORA) == named | {"target_modules": ["q_proj", "v_proj"]}
    assert lora(LORA | {"target_modules": "all-linear"}) == named | {"match_all_linear": True, "target_modules": []}


def test_what_it_does_otherwise_is_reported():
    told = list(
        notes(training({"lr_scheduler_type": "polynomial"}, lora=LORA | {"target_modules": ".*q", "bias": "all"}), 18)
    )
    assert [text for text in told if "schedule 'polynomial'; the rate is constant" in text]
    assert [text for text in told if "no pattern for an adapter's layers" in text]
    assert "`train.lora.bias` has no counterpart in NeMo-RL and is not handed over." in told
    assert "No counterpart is written for the warm-up of the learning rate." in told
    assert len(list(notes(training({"warmup_steps": 0}, revision=None), 18))) == 1  # of the tokenizer alone
    lost, revision = list(notes(training({"warmup_steps": 0, "optim": "adafactor", "report_to": "none"}), 18))[1:]
    assert lost == "No counterpart is written for NeMo-RL of `train.args.optim`."
    assert revision.startswith("NeMo-RL has no key for `model.revision` and would train the newest of 'org/base'. ")


@pytest.mark.parametrize(
    ("max_steps", "epochs", "read"),
    [(7, 1.0, (7, 4)), (3, 5.0, (3, 2)), (-1, 1.5, (3, 2)), (-1, 0.5, (1, 1)), (-1, 3.0, (6, 3)), (2, 1.0, (2, 1))],
)
def test_epochs_hold_the_steps_that_are_asked_for(max_steps, epochs, read):
    """It ends at whichever is reached first; 17 rows in steps of 6 are two steps an epoch, counted one by one."""
    found = config(training({"max_steps": max_steps}, epochs=epochs), 65, 17)["sft"]
    wanted = max_steps if max_steps > 0 else 2 * epochs
    steps = 0
    for _ in range(found["max_num_epochs"]):
        for _ in range(2):
            steps += steps < found["max_num_steps"]
    assert steps == max(1, wanted)
    assert (found["max_num_steps"], found["max_num_epochs"]) == read
