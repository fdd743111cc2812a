"""Holds what is handed over to a trainer, and writes rows and configs into its folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from mixplan.errors import RunError
from mixplan.export.rendered import Rendered, Renderer
from mixplan.export.rows import Values, mixture_rows
from mixplan.export.training import Training
from mixplan.mixture import Mixture
from mixplan.mixture.trl_config import TEMPLATE
from mixplan.recipe import Recipe
from mixplan.runs import translated, write_atomic

ROWS = "rows.jsonl"
"""The rows of every trainer that reads JSON lines."""

MODEL = "model"
"""Where every config has the trained model written."""


@dataclass(frozen=True)
class Handover:
    """A planned mixture on its way to a trainer.

    Attributes:
        recipe: The recipe.
        mixture: The mixture, its files checked.
        training: What the job trains with.
        renderer: Renders rows as the plan trains them, and counts them.
        folder: Where everything goes.
    """

    recipe: Recipe
    mixture: Mixture
    training: Training
    renderer: Renderer
    folder: Path

    def rendered(self) -> Iterator[Rendered]:
        """The mixture's rows as the plan trains them, in order."""
        return self.renderer.all(mixture_rows(self.mixture.folder))

    @property
    def holds_template(self) -> bool:
        """Whether the plan read with another chat template than the model's own: settings, or a date that is held."""
        return (self.mixture.folder / TEMPLATE).is_file() or bool(self.recipe.model.chat_template_kwargs)

    def refuse_places(self, made: Rendered, places: Sequence[str], trainer: str) -> None:
        """Refuse a row with text that a trainer would replace.

        Args:
            made: The row.
            places: Texts that the trainer takes for places of its own.
            trainer: Its name.

        Raises:
            RunError: the row has one of them.
        """
        for place in places:
            if place in made.question or place in made.answer:
                row = made.row.provenance
                raise RunError(
                    f"{self.mixture.folder}: row {row['row_id']} of '{made.row.domain}' holds {place}, which {trainer} "
                    "takes for a place of its own and replaces. Leave such rows out of the data and plan again, or "
                    "export to trl."
                )

    def told(self) -> Iterator[str]:
        """Say what became of rows by domain, once all have been rendered."""
        counts, longest = self.renderer, self.training.max_length
        for name, count in counts.cut.items():
            if count:
                yield (
                    f"{count} of {counts.rows[name]} rows of '{name}' are cut at {longest} tokens, where TRL cuts them "
                    "too. Set `train.args.max_length` and plan again to keep them whole."
                )
        for name, count in counts.left_out.items():
            yield (
                f"{count} rows of '{name}' are left out, as TRL leaves them out: their questions alone fill {longest} "
                "tokens. Set `train.args.max_length` and plan again to train on them."
            )
        for name, count in counts.inexact.items():
            if count:
                yield (
                    f"{count} of {counts.rows[name]} rows of '{name}' have other tokens where the answer begins: the "
                    "model's tokenizer joins question and answer there, and this trainer tokenizes each by itself. "
                    "`--to trl` keeps them."
                )


@dataclass(frozen=True)
class Written:
    """What a trainer was given.

    Attributes:
        command: What starts the training in the folder.
        files: What was written there, by name.
        notes: What a reader should know before training, in whole sentences.
    """

    command: str
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()


def write_lines(path: Path, rows: Iterable[Values]) -> None:
    """Write JSON lines, in memory that does not grow with the rows.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    partial = path.with_name(f".{path.name}.partial")
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "w", encoding="utf-8", newline="\n") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)


def write_yaml(path: Path, values: Values, head: Iterable[str] = ()) -> None:
    """Write a config with comments above it.

    Raises:
        RunError: the folder cannot be written.
    """
    lines = "".join(f"# {line}\n" for line in head)
    write_atomic(path, (lines + yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)).encode())


def settled(values: Values) -> Values:
    """A config without the keys that are None, which leave a trainer its own default."""
    return {key: value for key, value in values.items() if value is not None}
