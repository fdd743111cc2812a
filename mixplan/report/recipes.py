"""Sets side by side the recipe keys in which runs differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from pydantic import JsonValue

from mixplan.report.markup import Html, tag
from mixplan.report.runs_table import Run
from mixplan.report.tables import cell, header, row, section, table
from mixplan.report.text import whole

LONGEST = 80
"""Characters of a value that are shown."""


def differing(runs: Sequence[Run]) -> tuple[dict[str, list[str]], int]:
    """Compare runs' recipes key by key.

    Args:
        runs: Label, plan and outcome of each.

    Returns:
        By key, as `section.key`, each run's value as JSON, empty where its recipe lacks the key; and how many other
        keys all recipes have alike.
    """
    given = [dict(_leaves(plan.recipe.given)) if plan.recipe is not None else {} for _, plan, _ in runs]
    keys = dict.fromkeys(key for values in given for key in values)
    found = {key: [values.get(key, "") for values in given] for key in keys}
    apart = {key: values for key, values in found.items() if len(set(values)) > 1}
    return apart, len(found) - len(apart)


def _leaves(value: JsonValue, path: str = "") -> Iterator[tuple[str, str]]:
    """Keys with their values as JSON; lists count as values."""
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _leaves(part, f"{path}.{key}" if path else key)
    else:
        yield path, json.dumps(value, ensure_ascii=False)


def recipes(runs: Sequence[Run]) -> Html | None:
    """Tabulate the keys in which runs' recipes differ; None where no run has saved its recipe."""
    if all(plan.recipe is None for _, plan, _ in runs):
        return None
    apart, alike = differing(runs)
    keys = "1 other key is" if alike == 1 else f"{whole(alike)} other keys are"
    if not apart:
        return section("Recipes", tag("p", f"The recipes do not differ: {keys.replace('other ', '')} the same."))
    lines = [row(header(key), *(cell(_short(value)) for value in values)) for key, values in apart.items()]
    heads = ["Key", *(label for label, _, _ in runs)]
    return section(
        "Recipes",
        tag("p", f"What differs; {keys} the same."),
        table("wide recipes", heads, lines, "Recipe keys that differ"),
    )


def _short(value: str) -> str:
    return value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…"
