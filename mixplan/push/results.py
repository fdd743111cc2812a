"""Writes shares of right answers in the hub's own form for evaluation results, `.eval_results/NAME.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml
from huggingface_hub import EvalResultEntry
from huggingface_hub._eval_results import eval_result_entries_to_yaml

from mixplan.push.files_to_send import Outgoing
from mixplan.recipe import DataSpec, LoadedRecipe
from mixplan.saved import Outcome, Plan
from mixplan.saved.outcome import Change, Measured

HELD_OUT = re.compile(r"(?i)(?<![a-z])(?:test|valid|val|dev|eval)")
"""Splits that others report results on; a share of right answers on a train split is no result of that data set."""
MEASURES = {
    "choice": ("correct", "the option of highest likelihood"),
    "exact": ("score", "generated answers, graded"),
}
"""Measures with the quantity that is a share of right answers, and how a note says what was answered."""
PERCENT = 100.0


def result_files(loaded: LoadedRecipe, plan: Plan, outcome: Outcome) -> Iterator[Outgoing]:
    """The files, one for each data set on the hub that right answers were counted on.

    Args:
        loaded: The recipe, which says where rows come from.
        plan: Its plan, which says how many there were.
        outcome: What was measured.
    """
    entries: dict[str, list[EvalResultEntry]] = {}
    for name, measured in {**outcome.taught(), **outcome.domains}.items():
        section = loaded.recipe.row_sections.get(name)
        if section is None or section[1].data.hub is None:
            continue
        data = section[1].data
        if trained_on(loaded, plan, data):
            continue  # others' models have not learned from rows of the split that they are compared on
        if HELD_OUT.search(data.split or "train") and (found := right_answers(measured)):
            entries.setdefault(str(data.hub), []).append(entry(name, data, found, plan, outcome))
    for data_set, listed in entries.items():
        text = yaml.safe_dump(eval_result_entries_to_yaml(listed), sort_keys=False, allow_unicode=True)
        yield Outgoing(f".eval_results/{data_set.replace('/', '--')}.yaml", text.encode())


def trained_on(loaded: LoadedRecipe, plan: Plan, data: DataSpec) -> bool:
    """Whether rows of the mixture come from the very split that a result would be of.

    Args:
        loaded: The recipe.
        plan: Its plan, with the mixture's rows.
        data: Where the rows are from that were measured.
    """
    taught = {part.name for part in (plan.mixture.parts if plan.mixture else ()) if part.rows}
    split = split_of(data)
    return any(
        name in taught and split_of(spec.data) == split for name, (_, spec) in loaded.recipe.row_sections.items()
    )


def split_of(data: DataSpec) -> tuple[str | None, str, str]:
    """A hub data set's name, its configuration and its split, without what part of it is taken, as in `test[:100]`."""
    return data.hub, data.config or "default", (data.split or "train").partition("[")[0]


def right_answers(measured: Measured) -> tuple[str, Change] | None:
    """The headline measure and its share of right answers; None where it is another quantity."""
    name = measured.headline
    if name is None or name not in MEASURES or measured.change is None or measured.quantity != MEASURES[name][0]:
        return None
    return name, measured.change


def entry(name: str, data: DataSpec, found: tuple[str, Change], plan: Plan, outcome: Outcome) -> EvalResultEntry:
    """One result, its note saying that it is of some rows of a split, and how they were answered."""
    measure, change = found
    read = plan.domains.get(name) or plan.target.sources.get(name.removeprefix("target.")) or plan.target
    of = f" of {read.source_rows:,}" if read.source_rows else ""
    kept = f" with {', '.join(f'{key}={value}' for key, value in data.where.items())}" if data.where else ""
    return EvalResultEntry(
        dataset_id=str(data.hub),
        task_id=data.config or "default",
        value=round(PERCENT * change.after, 2),
        dataset_revision=data.revision,
        date=outcome.created,
        notes=(
            f"percent of {change.items:,} held-out rows{of} of {data.split}{kept}, {MEASURES[measure][1]}, by mixplan "
            f"{outcome.mixplan}; before training {PERCENT * change.before:.2f}"
        ),
    )
