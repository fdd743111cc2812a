"""Generates the entries of a reasoning-gym data set from its name, options, size and seed, kept between runs."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixplan.domains.record import Values
from mixplan.errors import DataError, RunError
from mixplan.recipe import DataSpec
from mixplan.recipe.suggest import did_you_mean
from mixplan.runs import cache_folder, content_hash, store, unseal, version_of

REFUSALS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What generators raise on options that they do not accept or cannot meet."""

SCORER_OPTIONS = "scorer_options"
"""Under which key an entry made with options carries them: its scorer may go by them too."""


@dataclass(frozen=True)
class Generator:
    """Entries of a generator, made when they are first asked for, then kept: making them can take seconds.

    Attributes:
        spec: Its name, options and size.
        seed: Of its entries.
    """

    spec: DataSpec
    seed: int

    @property
    def name(self) -> str:
        """The generator's name, which row ids begin with."""
        return str(self.spec.generator)

    @property
    def count(self) -> int:
        """How many entries."""
        return self.spec.limit

    @property
    def place(self) -> str:
        """The generator as messages name it."""
        return f"generator {self.name!r}"

    @property
    def kept(self) -> Path:
        """Where the entries are kept between runs."""
        version = version_of("reasoning-gym")
        key = content_hash(version, self.name, self.spec.options, self.seed, self.count, SCORER_OPTIONS)
        return cache_folder() / "generated" / f"{self.name}-{key[:16]}.jsonl"

    def rows(self) -> Iterator[tuple[int, Values]]:
        """Entries by index from 0, as they read once saved as JSON; each has `question`, `answer` and `metadata`.

        Those made with options carry them, for their scorer.

        Raises:
            DataError: the generator fails on its options.
        """
        for index, line in enumerate(self._lines()[1:]):
            yield index, json.loads(line)

    def scores_saved_entries(self) -> bool:
        """Whether the scorer still accepts an entry's own answer once the entry has been saved as JSON and read back.

        Some entries hold tuples, which come back as lists and then count as wrong.
        """
        return bool(json.loads(self._lines()[0]))

    def create(self) -> Any:
        """Create the reasoning-gym data set, which checks the name and the options.

        Raises:
            DataError: the name or an option is unknown, or the options are refused.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of a library that one of its data sets loads
            from reasoning_gym.factory import DATASETS, create_dataset

        if self.name not in DATASETS:
            guess = did_you_mean(self.name, DATASETS)
            raise DataError(f"{self.place}: reasoning-gym has none of that name.{guess}")
        fields = {field.name for field in dataclasses.fields(DATASETS[self.name][1])} - {"seed", "size"}
        for option in self.spec.options:
            if option not in fields:
                raise DataError(f"{self.place}: no option {option!r}.{did_you_mean(option, fields)}")
        try:
            return create_dataset(self.name, size=self.count, seed=self.seed, **self.spec.options)
        except REFUSALS as error:
            raise DataError(f"{self.place}: its options are refused ({error}). Change its `options`.") from error

    def _lines(self) -> list[str]:
        """The scorer's fitness, then each entry, as JSON."""
        if (saved := unseal(self.kept)) is not None:
            return saved.decode().split("\n")
        made = self.create()
        lines = [self._entry(made, index) for index in range(self.count)]
        lines.insert(0, json.dumps(_accepts(made, json.loads(lines[0]))))
        # Without a place to keep them, the entries are made again the next time.
        with contextlib.suppress(RunError):
            store(self.kept, "\n".join(lines).encode())
        return lines

    def _entry(self, made: Any, index: int) -> str:
        try:
            entry = made[index]
            return saved_entry(entry | ({SCORER_OPTIONS: self.spec.options} if self.spec.options else {}))
        except REFUSALS as error:
            raise DataError(
                f"{self.place}, row {index + 1}: it could not make an entry ({error}). Change its `options`."
            ) from error


def open_generator(spec: DataSpec, seed: int) -> Generator:
    """Open a generator of `limit` entries; its name and options are checked unless its entries are already kept.

    Raises:
        DataError: the name or an option is unknown, or the options are refused.
    """
    generator = Generator(spec, seed)
    if not generator.kept.is_file():
        generator.create()
    return generator


def saved_entry(entry: Values) -> str:
    """An entry as JSON, for its scorer."""
    return json.dumps(entry, ensure_ascii=False, default=str)


def _accepts(made: Any, entry: Values) -> bool:
    try:
        return bool(made.score_answer(entry["answer"], entry=entry) == 1.0)
    except REFUSALS:
        return False
