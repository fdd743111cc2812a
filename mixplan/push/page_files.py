"""Gathers a run's report for a static Space, which shows the page: the page, the recipe, and the figures as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from mixplan.mixture.licences import WORDS, restrictions
from mixplan.push.data_set import CARD
from mixplan.push.files_to_send import Gathered, Outgoing
from mixplan.push.private import OwnPlaces
from mixplan.push.request import Stated
from mixplan.recipe import LoadedRecipe
from mixplan.report.page import render
from mixplan.saved import Outcome, Plan

FIGURES = ("plan.json", "outcome.json")


def gather_report(
    run: Path, loaded: LoadedRecipe, plan: Plan, outcome: Outcome | None, stated: Stated, places: OwnPlaces
) -> Gathered:
    """What of a run's report goes to the hub.

    Args:
        run: The run folder.
        loaded: Its recipe.
        plan: Its plan.
        outcome: Its outcome; None where nothing was measured yet.
        stated: What the person says of the repository.
        places: The machine's own paths.
    """
    files = [
        Outgoing("index.html", places.cleaned(render(plan, outcome)).encode()),
        Outgoing("recipe.yaml", places.cleaned((run / "recipe.yaml").read_text(encoding="utf-8")).encode()),
        Outgoing(CARD, card(plan, outcome, stated).encode()),
    ]
    left = []
    for name in FIGURES[: 2 if outcome else 1]:
        text = (run / name).read_text(encoding="utf-8")
        if places.cleaned(text) == text:
            files.append(Outgoing(name, text.encode()))
        else:
            left.append(name)
    notes = [
        "The page shows examples of the domains' rows, which whoever may read the Space can read.",
        *(f"The examples of {', '.join(names)} {words}." for words, names in restricted(loaded)),
    ]
    if left:
        one = len(left) == 1
        notes.append(
            f"{' and '.join(left)} {'names' if one else 'name'} folders of this machine and would not match "
            f"{'its own hash' if one else 'their own hashes'} without them, so {'it stays' if one else 'they stay'} "
            "here; the page has the figures."
        )
    return Gathered("space", files, tuple(notes))


def restricted(loaded: LoadedRecipe) -> Iterator[tuple[str, list[str]]]:
    """Each restriction in words, with the domains whose rows are under it."""
    for kind, words in WORDS.items():
        if names := [name for name, (_, spec) in loaded.recipe.row_sections.items() if kind in restrictions(spec)]:
            yield words, names


def card(plan: Plan, outcome: Outcome | None, stated: Stated) -> str:
    """The Space's README.md, with the front matter that has the hub show the page."""
    what = "before and after training" if outcome else "a mixture plan"
    front = {
        "title": plan.name,
        "sdk": "static",
        "pinned": False,
        "tags": ["mixplan"],
        **(stated.licence_field()),
        "short_description": f"mixplan: {what}",
    }
    text = f"What mixplan {'measured' if outcome else 'planned'} of the recipe `recipe.yaml`: {what}, by domain."
    return f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n# {plan.name}\n\n{text}\n"
