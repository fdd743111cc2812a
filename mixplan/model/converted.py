"""Converts the embedded model from its GGUF file into an ordinary Hugging Face folder, whole or not at all."""

from __future__ import annotations

import contextlib
import functools
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf as gguf_package
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from mixplan import embedded
from mixplan.errors import ModelError, RunError
from mixplan.runs import set_aside, translated
from mixplan.temporary_files import affixes


def embedded_folder() -> Path:
    """The embedded model as an ordinary folder that transformers and TRL load, made once from its GGUF file.

    transformers refuses to save a model it read from GGUF, so the model is rebuilt from its config (without the
    quantisation entry) and its state dict.

    Raises:
        RunError: the cache cannot be written.
        ModelError: what was written there is not whole.
    """
    folder = embedded.converted_folder()
    if is_whole(folder):
        return folder
    gguf = embedded.gguf_file()
    transformers_logging.disable_progress_bar()
    # Its progress bars cannot be switched off otherwise.
    with contextlib.redirect_stderr(io.StringIO()), gguf_read_once():
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        lm = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    config = lm.config.to_dict()
    config.pop("quantization_config", None)
    rebuilt = AutoModelForCausalLM.from_config(type(lm.config).from_dict(config), dtype=torch.float32)
    rebuilt.load_state_dict(lm.state_dict())
    save_whole(rebuilt, tokenizer, folder)
    return folder


def is_whole(folder: Path) -> bool:
    """Whether a folder has a model's config and weights."""
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def save_whole(lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Save a model with its tokenizer, all at once; a folder that another process has put there meanwhile stands.

    Args:
        lm: The model.
        tokenizer: Its tokenizer.
        folder: Where; one that is not whole is set aside.

    Raises:
        RunError: the place cannot be written.
        ModelError: what is there is not whole.
    """
    saver: Any = lm
    # In a group of processes transformers (5.23) saves on the first alone, whatever it is asked for; this folder is
    # each process's own until it is put in place, and whose comes first is open.
    saver.should_save_on_this_rank = lambda is_main_process: is_main_process
    with translated(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        before, after = affixes(folder.name)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=before, suffix=after) as part:
            made = Path(part) / "model"
            lm.save_pretrained(made)
            tokenizer.save_pretrained(made)
            if folder.exists() and not is_whole(folder):
                with contextlib.suppress(RunError):  # another process may have done so
                    set_aside(folder)
            with contextlib.suppress(OSError):
                made.rename(folder)
    if not is_whole(folder):
        raise ModelError(f"{folder}: the model was not saved there whole. Remove it and run the same command again.")


@contextlib.contextmanager
def gguf_read_once() -> Iterator[None]:
    """Keep what transformers asks the package gguf for again and again, each time from the file's first byte.

    It opens the file three times and makes the table of all tensors' names for each module, three quarters of the time.
    """
    kept = {name: getattr(gguf_package, name) for name in ("GGUFReader", "get_tensor_name_map")}
    for name, asked in kept.items():
        setattr(gguf_package, name, functools.cache(asked))
    try:
        yield
    finally:
        for name, asked in kept.items():
            setattr(gguf_package, name, asked)
