"""A job's model in, its tokenizer out, with a chat template that gives the text which planning and evaluation read."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from mixplan.model import embedded_folder
from mixplan.train.job import Job

PLAIN_TEMPLATE = (
    "{{- bos_token -}}"
    "{%- for message in messages -%}"
    "{%- if not loop.first -%}{{ '\\n\\n' }}{%- endif -%}"
    "{%- if message['role'] == 'user' -%}{{ 'Question: ' }}"
    "{%- elif message['role'] == 'assistant' -%}{{ 'Answer: ' }}{%- endif -%}"
    "{{ message['content'] }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '\\n\\nAnswer:' }}"
    "{%- elif messages[-1]['role'] == 'assistant' -%}{{ eos_token }}{%- endif -%}"
)
"""The plain format of `mixplan.model.render`; a finished answer ends with the end-of-text token, so that the model
learns to stop."""


def model_place(job: Job) -> str:
    """From where transformers loads the untrained model."""
    name = str(job.model["name"])
    return str(embedded_folder()) if name == "embedded" else name


def load_tokenizer(job: Job) -> PreTrainedTokenizerBase:
    """Load the model's tokenizer; one without a chat template is given the plain format's, for training only."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        model_place(job), revision=job.model["revision"], trust_remote_code=job.model["trust_remote_code"]
    )
    if not tokenizer.chat_template:
        tokenizer.chat_template = PLAIN_TEMPLATE
    return tokenizer


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Save the tokenizer as it came: the plain template was not the model's, and would change how it is read later."""
    if tokenizer.chat_template == PLAIN_TEMPLATE:
        tokenizer.chat_template = None
        (folder / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)
