"""Names the filters of a task alike before and after, and finds which of its metrics stands for a part of a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mixplan.errors import EvaluateError
from mixplan.evaluate.harnesses.results import Item, Task
from mixplan.recipe.tolerances import SHARES

Better = Mapping[str, Mapping[str, int]]
"""By measure and quantity, whether more is better."""
Stands = tuple[str, str]
"""The measure and quantity that stand for a task."""
POOLED = "accuracy"
"""What shares of right answers are called that count together under different names."""


@dataclass(frozen=True)
class Choice:
    """A task that stands for a part of a plan.

    Attributes:
        domain: The part: `target`, `target.SOURCE` or a domain.
        task: The harness's task.
        metric: The quantity that stands for it; the task's first when None.
        filter: Its filter or scorer; the first that has the metric when None.
    """

    domain: str
    task: str
    metric: str | None = None
    filter: str | None = None


@dataclass(frozen=True)
class Sides:
    """A task before and after, its filters named alike.

    Attributes:
        choice: What it stands for.
        first: Before.
        second: After.
        better: What both have.
    """

    choice: Choice
    first: Task
    second: Task
    better: Better


def label_of(measure: str, name: str, leading: str) -> str:
    """The measure under which a filter or scorer stands where another, or the same, leads."""
    return measure if name == leading else f"{measure} ({name})"


def name_of(label: str, measure: str, leading: str) -> str:
    """The filter or scorer that stands under a measure."""
    return leading if label == measure else label.removeprefix(f"{measure} (").removesuffix(")")


def relabelled(task: Task, measure: str, leading: str) -> Task:
    """A task whose filters stand under the measures they have where another filter leads."""
    if task.leading == leading:
        return task

    def label(old: str) -> str:
        return label_of(measure, name_of(old, measure, task.leading), leading)

    better = {label(old): quantities for old, quantities in task.better.items()}
    return replace(
        task,
        better=dict(sorted(better.items(), key=lambda entry: entry[0] != measure)),
        items={
            number: replace(
                item,
                values={label(old): values for old, values in item.values.items()},
                answers={label(old): answer for old, answer in item.answers.items()},
            )
            for number, item in task.items.items()
        },
        leading=leading,
    )


def stands_for(sides: Sides, measure: str) -> Stands | None:
    """The measure and quantity that were asked for; None where any may stand.

    Args:
        sides: The task.
        measure: The harness's plain measure.

    Raises:
        EvaluateError: there is no such filter or metric, before and after.
    """
    choice, better = sides.choice, sides.better
    if choice.metric is None:
        return None
    start = f"--tasks {choice.domain}={choice.task}"
    labels = list(better)
    if choice.filter is not None:
        label = label_of(measure, choice.filter, sides.first.leading)
        if label not in better:
            there = ", ".join(repr(name_of(one, measure, sides.first.leading)) for one in better)
            raise EvaluateError(
                f"{start}: no filter {choice.filter!r} was measured before and after; there are {there}."
            )
        labels = [label]
    found = next((one for one in labels if choice.metric in better[one]), None)
    if found is None:
        there = ", ".join(f"{metric} ({one})" for one, metrics in better.items() for metric in metrics)
        raise EvaluateError(f"{start}: no metric {choice.metric!r}; there are {there}.")
    return found, choice.metric


def pooled(several: Sequence[Sides], asked: Sequence[Stands | None], measure: str) -> tuple[list[Sides], list[str]]:
    """Tasks of one domain for which different filters or metrics stand, each with that one alone, under one name.

    Args:
        several: The tasks.
        asked: What was asked of each; its first quantity stands for it when None.
        measure: The harness's plain measure, under which they count together.

    Returns:
        The tasks, and what a reader should know of their metrics.

    Raises:
        EvaluateError: the metrics cannot count together.
    """
    own = [wanted or first_of(sides.better) for sides, wanted in zip(several, asked, strict=True)]
    listed = ", ".join(
        f"{quantity} of {sides.choice.task}{named(label, measure, sides.first.leading)}"
        for sides, (label, quantity) in zip(several, own, strict=True)
    )
    domain, quantities = several[0].choice.domain, {quantity for _, quantity in own}
    ways = {sides.better[label][quantity] for sides, (label, quantity) in zip(several, own, strict=True)}
    if (len(quantities) > 1 and not quantities <= set(SHARES)) or len(ways) > 1:
        raise EvaluateError(
            f"--tasks {domain}=…: {listed} are of different kinds and cannot count together. Name one metric for all "
            "tasks of the domain, or let one task stand for it."
        )
    common = POOLED if len(quantities) > 1 else next(iter(quantities))
    found = [
        Sides(
            sides.choice,
            only(sides.first, stands, (measure, common)),
            only(sides.second, stands, (measure, common)),
            {measure: {common: sides.better[stands[0]][stands[1]]}},
        )
        for sides, stands in zip(several, own, strict=True)
    ]
    return found, [f"{domain}: what counts together as {common} is {listed}."]


def first_of(better: Better) -> Stands:
    """The first quantity of the first measure."""
    measure = next(iter(better))
    return measure, next(iter(better[measure]))


def named(label: str, measure: str, leading: str) -> str:
    """A filter for a message, where there is one."""
    name = name_of(label, measure, leading)
    return f" ({name})" if name not in ("", "none") else ""


def only(task: Task, old: Stands, new: Stands) -> Task:
    """A task with one quantity alone, under another name."""

    def kept(item: Item) -> Item:
        answers = {new[0]: item.answers[old[0]]} if old[0] in item.answers else {}
        return replace(item, values={new[0]: {new[1]: item.values[old[0]][old[1]]}}, answers=answers)

    return replace(
        task,
        better={new[0]: {new[1]: task.better[old[0]][old[1]]}},
        items={number: kept(item) for number, item in task.items.items()},
    )
