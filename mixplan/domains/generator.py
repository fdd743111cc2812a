"""A reasoning-gym data set's name, options, size and seed in, its entries out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mixplan.errors import DataError
from mixplan.recipe import DataSpec
from mixplan.recipe.suggest import did_you_mean

REFUSALS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What generators raise on options that they do not accept or cannot meet."""


@dataclass(frozen=True)
class Generator:
    """Entries of a generator, made when they are asked for.

    Attributes:
        name: The generator's name, which row ids begin with.
        count: How many entries.
        entries: The reasoning-gym data set.
    """

    name: str
    count: int
    entries: Any

    @property
    def place(self) -> str:
        """The generator as messages name it."""
        return f"generator {self.name!r}"

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Entries by index from 0; each has `question`, `answer` and `metadata`.

        Raises:
            DataError: the generator fails on its options.
        """
        for index in range(self.count):
            try:
                entry = self.entries[index]
            except REFUSALS as error:
                raise DataError(
                    f"{self.place}, row {index + 1}: it could not make an entry ({error}). Change its `options`."
                ) from error
            yield index, entry


def open_generator(spec: DataSpec, seed: int) -> Generator:
    """Create a reasoning-gym data set of `limit` entries.

    Raises:
        DataError: the name or an option is unknown, or the options are refused.
    """
    from reasoning_gym.factory import DATASETS, create_dataset

    name = spec.generator or ""
    if name not in DATASETS:
        raise DataError(f"generator {name!r}: reasoning-gym has none of that name.{did_you_mean(name, DATASETS)}")
    fields = {field.name for field in dataclasses.fields(DATASETS[name][1])} - {"seed", "size"}
    for option in spec.options:
        if option in ("seed", "size"):
            instead = "`limit`" if option == "size" else "the recipe's `seed`"
            raise DataError(f"generator {name!r}: option {option!r} is set by {instead}. Remove it from `options`.")
        if option not in fields:
            raise DataError(f"generator {name!r}: no option {option!r}.{did_you_mean(option, fields)}")
    try:
        entries = create_dataset(name, size=spec.limit, seed=seed, **spec.options)
    except REFUSALS as error:
        raise DataError(f"generator {name!r}: its options are refused ({error}). Change its `options`.") from error
    return Generator(name, spec.limit, entries)


def scores_saved_entries(generator: Generator) -> bool:
    """Whether the scorer still accepts an entry's own answer once the entry has been saved as JSON and read back.

    Some entries hold tuples, which come back as lists and then count as wrong.
    """
    _, entry = next(generator.rows())
    try:
        score = generator.entries.score_answer(entry["answer"], entry=json.loads(saved_entry(entry)))
    except REFUSALS:
        return False
    return bool(score == 1.0)


def saved_entry(entry: dict[str, Any]) -> str:
    """An entry as JSON, for its scorer."""
    return json.dumps(entry, ensure_ascii=False, default=str)
