"""Trains with another trainer's own command on an exported mixture, and writes what its optimiser reads as JSON lines.

Runs in the trainer's environment, without mixplan: python export_probe.py TRAINER CONFIG SEEN.jsonl
"""

from __future__ import annotations

import importlib
import json
import shlex
import sys
import types
from pathlib import Path
from typing import Any

import torch
import transformers

IGNORED = -100


def record(seen: Path) -> None:
    """Have transformers' trainer write each batch down, and take it as trained."""
    file = seen.open("w", encoding="utf-8")

    def training_step(_self: Any, _model: Any, inputs: Any, *_: Any, **__: Any) -> torch.Tensor:
        batch = (inputs[name] for name in ("input_ids", "labels", "attention_mask"))
        for ids, labels, mask in zip(*batch, strict=True):
            there = mask.bool()
            kept = labels[there].tolist()
            line = {"ids": ids[there].tolist(), "trained": [label for label in kept if label != IGNORED],
                    "mask": [label != IGNORED for label in kept]}  # fmt: skip
            file.write(json.dumps(line) + "\n")
        file.flush()
        return torch.zeros((), requires_grad=False)

    for name, done in (("training_step", training_step), ("save_model", nothing), ("_save_checkpoint", nothing)):
        setattr(transformers.Trainer, name, done)


def nothing(*_: Any, **__: Any) -> None:
    """Save nothing: nothing was trained."""


def llamafactory(config: str) -> None:
    """LLaMA-Factory: `llamafactory-cli train CONFIG`."""
    import yaml

    # The builds of PyPI need CUDA; rows of text need no audio.
    sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
    tuner = importlib.import_module("llamafactory.train.tuner")
    tuner.run_exp(yaml.safe_load(Path(config).read_text()))


def swift(config: str) -> None:
    """ms-swift: `swift sft CONFIG`."""
    words = [config]
    importlib.import_module("swift.cli.main").parse_yaml_args(words)
    importlib.import_module("swift.pipelines").sft_main(words)


def axolotl(config: str) -> None:
    """axolotl: `axolotl train CONFIG`."""
    importlib.import_module("axolotl.cli.train").do_cli(config)


def verl(config: str, seen: Path) -> None:
    """verl: its SFT trainer's data set, with the settings of the script; the trainer itself needs a GPU."""
    words = [word for word in shlex.split(Path(config).read_text().split("sft_trainer", 2)[-1]) if "=" in word]
    settings = importlib.import_module("omegaconf").OmegaConf.from_dotlist([quoted(word) for word in words])
    tokenizer = transformers.AutoTokenizer.from_pretrained(settings.model.path)
    tokenizer.chat_template = settings.model.custom_chat_template
    module = importlib.import_module("verl.utils.dataset.multiturn_sft_dataset")
    settings.data.pad_mode = "no_padding"
    rows = module.MultiTurnSFTDataset(settings.data.train_files, tokenizer, settings.data)
    with seen.open("w", encoding="utf-8") as file:
        for number in range(len(rows)):
            row = rows[number]
            ids, mask = row["input_ids"].tolist(), row["loss_mask"].tolist()
            trained = [one for one, with_loss in zip(ids, mask, strict=True) if with_loss]
            file.write(json.dumps({"ids": ids, "trained": trained}) + "\n")


def quoted(word: str) -> str:
    """A setting as YAML reads it, of one as Hydra's command line reads it: text between single quotes."""
    key, _, value = word.partition("=")
    escaped = value.replace("\\'", "''") if value.startswith("'") else value
    return f"{key}={escaped}"


def main() -> None:
    """Run one trainer."""
    trainer, config, seen = sys.argv[1:]
    if trainer == "verl":
        verl(config, Path(seen))
        return
    record(Path(seen))
    {"llamafactory": llamafactory, "ms-swift": swift, "axolotl": axolotl}[trainer](config)


if __name__ == "__main__":
    main()
