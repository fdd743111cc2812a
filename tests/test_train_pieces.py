"""Batches read in pieces train as TRL's own batches do: losses, curves and weights."""

from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig
from transformers.training_args import OptimizerNames
from trl import SFTConfig, SFTTrainer

from mixplan.train.pieces import divisible, merge_means, only_predicting, pieces, predicted
from mixplan.train.sft import POSITION, CountedTrainer

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and", "a", "sum", "of", "it"]
ROWS = [
    {"prompt": " ".join(WORDS[: 2 + 3 * n % 11]), "completion": " " + " ".join(WORDS[: 1 + 5 * n % 7]), POSITION: n}
    for n in range(8)
]
LOGGED = ("loss", "grad_norm", "entropy", "mean_token_accuracy", "num_tokens")


def train(kind, folder, out, *, lora=False, **args):
    torch.manual_seed(0)
    rows = Dataset.from_list(ROWS)
    config = SFTConfig(
        output_dir=str(out), max_steps=2, per_device_train_batch_size=4, learning_rate=1e-2, logging_steps=1,
        report_to="none", use_cpu=True, bf16=False, save_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
        seed=3, completion_only_loss=True, **args,
    )  # fmt: skip
    trainer = kind(
        model=AutoModelForCausalLM.from_pretrained(folder),
        args=config,
        train_dataset=rows,
        processing_class=AutoTokenizer.from_pretrained(folder),
        peft_config=LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM") if lora else None,
    )
    if kind is CountedTrainer:
        trainer.number_rows(["law"] * len(ROWS))
    trainer.train()
    logs = [{name: entry[name] for name in LOGGED} for entry in trainer.state.log_history if "loss" in entry]
    weights = {name: value for name, value in trainer.model.named_parameters() if value.requires_grad}
    return logs, weights


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces of about two rows, and their shapes in `read`."""
    read = []

    def cut(inputs):
        for piece in pieces(inputs, 24):
            read.append(tuple(piece["input_ids"].shape))
            yield piece

    monkeypatch.setattr("mixplan.train.sft.pieces", cut)
    return read


@pytest.mark.parametrize("settings", [{}, {"lora": True, "gradient_accumulation_steps": 2, "loss_type": "dft"}])
def test_training_in_pieces_is_trls_training(tiny_model, tmp_path, small_pieces, settings):
    plain_logs, plain = train(SFTTrainer, tiny_model, tmp_path / "plain", **settings)
    logs, ours = train(CountedTrainer, tiny_model, tmp_path / "ours", **settings)
    assert len(small_pieces) > 2 * len(logs)
    assert len(logs) == 2
    for one, other in zip(logs, plain_logs, strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-5)
    assert plain.keys() == ours.keys()
    moved = max(float((value - plain[name]).detach().abs().max()) for name, value in ours.items())
    assert moved < 1e-3  # a step is of 1e-2


def test_what_depends_on_the_whole_batch_is_left_whole():
    args = {"device": torch.device("cpu"), "world_size": 1, "loss_type": "nll", "torch_compile": False,
            "neftune_noise_alpha": None, "optim": OptimizerNames.ADAMW_TORCH}  # fmt: skip
    plain = SimpleNamespace(config=LlamaConfig())
    own = {"model": plain, "label_smoother": None, "compute_loss_func": None, "aux_loss_enabled": False}
    batch = dict.fromkeys(("input_ids", "attention_mask", "labels"), torch.zeros(1, 1))

    def asked(items=4, inputs=batch, settings=args, **changes):
        trainer = SimpleNamespace(**own | changes, args=SimpleNamespace(**settings))
        return divisible(trainer, inputs, items)

    assert asked()
    assert not asked(items=None)
    assert not asked(inputs={"input_ids": batch["input_ids"], "position_ids": batch["labels"], "labels": None})
    assert not asked(label_smoother=object())
    assert not asked(compute_loss_func=object())
    assert not asked(aux_loss_enabled=True)
    # A row beyond the first length of such a rope turns the positions of the shorter rows beside it.
    for kind, longest in (("longrope", 32), ("dynamic", 64), ("default", 32)):
        factors = {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4} if kind == "longrope" else {"factor": 2.0}
        rope = {"rope_type": kind, "rope_theta": 1e4, **factors} | {"original_max_position_embeddings": 32}
        rope = rope if kind == "longrope" else {name: value for name, value in rope.items() if "original" not in name}
        turned = SimpleNamespace(config=LlamaConfig(max_position_embeddings=64, rope_parameters=rope))
        for length in (longest, longest + 1):
            rows = dict.fromkeys(batch, torch.zeros(1, length))
            assert asked(inputs=rows, model=turned) == (length == longest or kind == "default"), (kind, length)
    # These step as soon as a gradient is there: each piece would be a step of its own.
    whole = {optim.value for optim in OptimizerNames if not asked(settings=args | {"optim": optim})}
    galore = {f"galore_{kind}_layerwise" for kind in ("adamw", "adamw_8bit", "adafactor")}
    assert whole == {"lomo", "adalomo", "apollo_adamw_layerwise", *galore}
    assert not asked(settings=args | {"optim": "lomo"})
    for name, other in {"device": torch.device("cuda"), "world_size": 2, "loss_type": "chunked",
                        "torch_compile": True, "neftune_noise_alpha": 5.0}.items():  # fmt: skip
        assert not asked(settings=args | {name: other})


def test_pieces_hold_every_row_once_without_needless_padding():
    lengths = [3, 9, 4, 1]
    mask = torch.tensor([[1] * n + [0] * (10 - n) for n in lengths])
    ids = torch.arange(40).reshape(4, 10)
    found = list(pieces({"input_ids": ids, "attention_mask": mask, "labels": ids}, 9))
    assert [tuple(piece["input_ids"].shape) for piece in found] == [(1, 9), (2, 4), (1, 1)]
    assert sorted(piece["input_ids"][row, 0].item() for piece in found for row in range(len(piece["labels"]))) == [
        0, 10, 20, 30,
    ]  # fmt: skip
    left = {"input_ids": ids.flip(1), "attention_mask": mask.flip(1), "labels": ids.flip(1)}
    assert [tuple(piece["input_ids"].shape) for piece in pieces(left, 9)] == [(1, 9), (2, 4), (1, 1)]


def test_states_are_those_that_predict_a_trained_token():
    labels = torch.tensor([[-100, -100, 7, 8], [5, -100, -100, 6]])
    assert predicted(labels).tolist() == [[False, True, True, False], [False, False, True, False]]
    backbone = torch.nn.Identity()
    output = type("Output", (), {"last_hidden_state": torch.arange(8.0).reshape(2, 4, 1)})()
    with only_predicting(backbone, {"labels": labels}) as read:
        assert backbone(output).last_hidden_state.flatten().tolist() == [1, 2, 6]
    assert read["shift_labels"].tolist() == [[7, 8, 6]]
    with only_predicting(backbone, {"labels": torch.full((2, 4), -100)}) as read:
        pass
    assert read["shift_labels"].tolist() == [[-100]]


def test_means_of_pieces_are_weighed_by_their_trained_tokens():
    noted = {"entropy": [9.0, 1.0, 4.0], "mean_token_accuracy": [0.1, 0.5, 1.0]}
    merge_means(noted, [2, 1])
    assert noted == {"entropy": [9.0, 2.0], "mean_token_accuracy": [0.1, pytest.approx(2 / 3)]}
