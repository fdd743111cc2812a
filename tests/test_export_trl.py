"""A mixture through TRL's own command: the rows and the supervised tokens that its optimiser reads are the plan's."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import trl
import yaml
from mixed_rows import ROWS, hand, lay_mixed
from small_jobs import GRPO_ARGS, lay_run
from trl.scripts import grpo, sft

from mixplan.export import trl as to_trl
from mixplan.export.make import FOR_GRPO
from mixplan.export.rendered import Rendered
from mixplan.mixture import read_mixture
from mixplan.train.rows_read import IGNORED

SHORT = {"max_length": 2048, "per_device_train_batch_size": 2, "max_steps": -1, "learning_rate": 1e-3}
QUIET = ["--use_cpu", "--bf16", "false", "--report_to", "none", "--save_strategy", "no", "--disable_tqdm", "true"]


@contextlib.contextmanager
def batches(patch: pytest.MonkeyPatch) -> Iterator[list[dict[str, torch.Tensor]]]:
    """What TRL's trainer gives the optimiser, batch by batch; the model itself is not asked."""
    found: list[dict[str, torch.Tensor]] = []

    def step(self: Any, model: Any, inputs: dict[str, torch.Tensor], *_: Any, **__: Any) -> torch.Tensor:
        found.append({name: inputs[name].clone() for name in ("input_ids", "labels", "attention_mask")})
        return torch.zeros(())

    patch.setattr(trl.SFTTrainer, "training_step", step)
    patch.setattr(trl.SFTTrainer, "save_model", lambda *_: None)
    yield found


def read_by_trl(folder: Path, patch: pytest.MonkeyPatch) -> list[tuple[list[int], list[int]]]:
    """Token ids and supervised ids of each row, in the order in which TRL's own script reads them."""
    patch.chdir(folder)
    parser = sft.make_parser()
    arguments = parser.parse_args_and_config(["--config", "sft.yaml", *QUIET])
    with batches(patch) as found:
        sft.main(*arguments)
    rows = []
    for batch in found:
        for ids, labels, there in zip(
            *(batch[name] for name in ("input_ids", "labels", "attention_mask")), strict=True
        ):
            kept = there.bool()
            rows.append((ids[kept].tolist(), [label for label in labels[kept].tolist() if label != IGNORED]))
    return rows


def planned(rows: list[Rendered]) -> list[tuple[list[int], list[int]]]:
    return [(list(row.ids), list(row.ids[row.trained_from :])) for row in rows]


def test_trl_reads_each_row_once_in_order_with_the_plans_loss(tmp_path, monkeypatch, own_cache):
    monkeypatch.setattr(logging.root.manager, "disable", logging.WARNING)
    loaded, mixture = lay_mixed(tmp_path, args=SHORT)
    handover = hand(loaded, mixture, tmp_path / "out")
    written = to_trl.write(handover)
    assert written.command == "trl sft --config sft.yaml --use_cpu --bf16 false"
    rows = list(hand(loaded, mixture, tmp_path).rendered())
    assert {row.row.domain for row in rows} == {"target.chats", "target.tools", "target.thoughts", *ROWS}
    assert len(rows) == mixture.rows
    assert read_by_trl(tmp_path / "out", monkeypatch) == planned(rows)


def test_an_adapter_and_packing_and_epochs(tmp_path, own_cache):
    train = {"args": {**SHORT, "packing": True, "num_train_epochs": 2}, "lora": {"r": 4, "target_modules": ["q_proj"]}}
    handover = hand(*lay_mixed(tmp_path, **train), tmp_path / "out")
    to_trl.write(handover)
    values = yaml.safe_load((tmp_path / "out" / "sft.yaml").read_text())
    assert "packing" not in values
    assert (values["num_train_epochs"], values["train_sampling_strategy"]) == (2, "sequential")
    assert (values["lora_r"], values["lora_alpha"], values["use_peft"]) == (4, 8, True)
    assert [note for note in handover.training.notes if "packing" in note]
    assert not [note for note in handover.training.notes if "read once" in note]


def test_grpo_goes_to_trl_in_order_and_to_no_other_trainer(tmp_path, tiny_model, own_cache, monkeypatch):
    run, loaded, _ = lay_run(tmp_path, tiny_model, method="grpo", args=GRPO_ARGS)
    mixture = read_mixture(run / "mixture")
    written = to_trl.write(hand(loaded, mixture, tmp_path / "out"))
    assert written.files == ("grpo.yaml", "mixture/")
    monkeypatch.chdir(tmp_path / "out")
    script, training, *_ = grpo.make_parser().parse_args_and_config(["--config", "grpo.yaml", *QUIET])
    assert (training.shuffle_dataset, training.num_generations, script.dataset_name) == (False, 2, "./mixture")
    assert FOR_GRPO == ("trl",)
