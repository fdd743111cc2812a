"""Loads the tokenizer of a job's model, with a chat template that gives the text which planning and evaluation read."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from mixplan.chat.template import PLAIN
from mixplan.model import embedded_folder, give_back_template, hold_template
from mixplan.train.job import Job


def model_place(job: Job) -> str:
    """From where transformers loads the untrained model."""
    name = str(job.model["name"])
    return str(embedded_folder()) if name == "embedded" else name


def load_tokenizer(job: Job) -> PreTrainedTokenizerBase:
    """Load the model's tokenizer; its chat template is held as in reading and measuring.

    One without a chat template is given the plain format's, for training only.
    """
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        model_place(job), revision=job.model["revision"], trust_remote_code=job.model["trust_remote_code"]
    )
    settings = {key: job.model[key] for key in ("chat_template_kwargs", "template_date") if key in job.model}
    hold_template(
        tokenizer,
        str(job.model["name"]),
        settings=settings.get("chat_template_kwargs", {}),
        date=settings.get("template_date"),
    )
    if not tokenizer.chat_template:
        tokenizer.chat_template = PLAIN
    return tokenizer


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Save the tokenizer with the chat template as it came, without the plain one and what was held in front of it.

    Either would change how the model is read later.
    """
    give_back_template(tokenizer)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)
