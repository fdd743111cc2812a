"""Lists every chat template that TRL ships, and tokenises rows as TRL's own SFT preparation does."""

import types
from pathlib import Path

import trl
from conftest import save_tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from trl import SFTTrainer

TEMPLATES = {
    path.stem: path.read_text() for path in sorted((Path(trl.__file__).parent / "chat_templates").glob("*.jinja"))
}
"""TRL's templates by name: the models' own and those patched for training."""


class Rows(list):
    """As much of a data set as TRL's preparation asks for, without a file or a hash for each step."""

    @property
    def column_names(self):
        return list(self[0])

    def map(self, function, fn_kwargs=None, remove_columns=(), **_):
        gone = [remove_columns] if isinstance(remove_columns, str) else remove_columns or ()
        made = [row | function(dict(row), **(fn_kwargs or {})) for row in self]
        return Rows({key: value for key, value in row.items() if key not in gone} for row in made)

    def filter(self, function, **_):
        return Rows(row for row in self if function(row))


def tokenizer_with(template: str, folder: Path) -> PreTrainedTokenizerBase:
    """The tests' small tokenizer with a chat template."""
    if not (folder / "tokenizer.json").exists():
        save_tokenizer(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = template
    tokenizer.model_max_length = 1_000_000
    return tokenizer


def as_trl_trains(tokenizer: PreTrainedTokenizerBase, rows: list[dict]) -> list[dict]:
    """Rows of `prompt` and `completion` with `input_ids` and `labels`, prepared by TRL's SFT trainer."""
    trainer = types.SimpleNamespace(chat_template=None, completion_only_loss=True, _tokenizer=tokenizer)
    settings = types.SimpleNamespace(
        dataset_num_proc=None,
        dataset_text_field="text",
        assistant_only_loss=False,
        max_length=None,
        shuffle_dataset=False,
    )
    return SFTTrainer._prepare_dataset(trainer, Rows(rows), tokenizer, settings, False, None, "train")


def row_of(turns, answer, **columns) -> dict:
    """A row as a mixture holds it."""
    prompt = [{"role": role, "content": content} for role, content in turns]
    return {"prompt": prompt, "completion": [{"role": "assistant", "content": answer}], **columns}
