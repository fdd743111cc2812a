"""Pairs the items that a harness measured before and after, by number, content and prompt, and counts the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mixplan.errors import EvaluateError
from mixplan.evaluate.harnesses.results import Item, Results, Task
from mixplan.saved.evaluation import Measured
from mixplan.saved.outcome import PairedTask

SHOWN = 80
"""Characters of a setting or prompt in a message."""


@dataclass(frozen=True)
class Choice:
    """A task that stands for a part of a plan.

    Attributes:
        domain: The part: `target`, `target.SOURCE` or a domain.
        task: The harness's task.
        metric: The quantity that stands for it; the task's first when None.
        measure: Its measure, for a filter or scorer other than the first.
    """

    domain: str
    task: str
    metric: str | None = None
    measure: str | None = None


@dataclass(frozen=True)
class PairedPart:
    """What a harness measured of one part of a plan, before and after.

    Attributes:
        headline: The measure that stands for it.
        before: By measure.
        after: The same measures of the same items.
        tasks: Its tasks with how many items were paired.
        items: The items before and after, by row id.
        notes: What a reader should know.
    """

    headline: str
    before: dict[str, Measured]
    after: dict[str, Measured]
    tasks: list[PairedTask]
    items: dict[str, tuple[Item, Item]]
    notes: list[str]


def pair_part(choices: Sequence[Choice], before: Results, after: Results) -> PairedPart:
    """Pair the tasks that stand for one part of a plan.

    Args:
        choices: They are of one domain.
        before: Of the untrained model; it has each of the tasks.
        after: Of the trained one; likewise.

    Raises:
        EvaluateError: a task's scores do not mean the same before and after, none of its items can be paired, or the
            tasks have no measure in common.
    """
    items: dict[str, tuple[Item, Item]] = {}
    tasks, notes = [], list[str]()
    better: dict[str, dict[str, int]] | None = None
    for choice in choices:
        first, second = before.tasks[choice.task], after.tasks[choice.task]
        hold_alike(first, second, before, after)
        found, counted = paired_items(choice.domain, first, second)
        if not found:
            raise EvaluateError(unpaired(counted, first, second))
        notes += differences(counted, first, second)
        shared = in_common(first.better, second.better)
        notes += dropped(choice.task, first.better, shared)
        better = shared if better is None else in_common(better, shared)
        items |= {f"{choice.task}/{number}": pair for number, pair in found.items()}
        tasks.append(counted)
    better = ordered(better or {}, choices[0])
    if not better:
        raise EvaluateError(
            f"{choices[0].domain}: {', '.join(choice.task for choice in choices)} have no metric in common, before and "
            "after. Let one task stand for the domain: `--tasks DOMAIN=TASK`."
        )
    return PairedPart(
        headline=next(iter(better)),
        before=measured(better, {row: pair[0] for row, pair in items.items()}),
        after=measured(better, {row: pair[1] for row, pair in items.items()}),
        tasks=tasks,
        items=items,
        notes=notes,
    )


def hold_alike(first: Task, second: Task, before: Results, after: Results) -> None:
    """Hold that a task's scores mean the same before and after.

    Raises:
        EvaluateError: a setting differs that says what a score means.
    """
    for key, value in first.meaning.items():
        other = second.meaning.get(key, value)
        if value != other:
            one, two = around(value, other)
            raise EvaluateError(
                f"{first.name}: `{key}` was {one or 'not set'} in {before.place}, {two or 'not set'} in {after.place}, "
                "so their scores do not mean the same. Evaluate both models with the same task and settings."
            )


def around(one: str, other: str) -> tuple[str, str]:
    """Two texts, each from shortly before where they begin to differ."""
    same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, same - SHOWN // 2)

    def cut(text: str) -> str:
        return f"{'…' if start else ''}{text[start : start + SHOWN]}{'…' if len(text) > start + SHOWN else ''}"

    return cut(one), cut(other)


def paired_items(domain: str, first: Task, second: Task) -> tuple[dict[str, tuple[Item, Item]], PairedTask]:
    """The items of one number, content and prompt, and how many there are and are not."""
    both = {number: (item, second.items[number]) for number, item in first.items.items() if number in second.items}
    same = {number: pair for number, pair in both.items() if pair[0].content == pair[1].content}
    found = {number: pair for number, pair in same.items() if pair[0].prompt == pair[1].prompt}
    return found, PairedTask(
        domain=domain,
        task=first.name,
        before=len(first.items),
        after=len(second.items),
        paired=len(found),
        other_content=len(both) - len(same),
        other_prompt=len(same) - len(found),
    )


def unpaired(counted: PairedTask, first: Task, second: Task) -> str:
    """Why none of a task's items could be paired, and what to do."""
    start = f"{counted.task}: none of its {counted.before} items before and {counted.after} after can be paired"
    if counted.other_prompt:
        texts = next(
            around(item.question, second.items[number].question)
            for number, item in first.items.items()
            if number in second.items and item.prompt != second.items[number].prompt
        )
        differing = [key for key, value in first.conditions.items() if second.conditions.get(key, value) != value]
        because = f" ({', '.join(differing)} differ)" if differing else ""
        return (
            f"{start}: the models were given other prompts{because}, such as {texts[0]!r} before and {texts[1]!r} "
            "after. Evaluate both with the same few-shot examples, system instruction and chat template."
        )
    if counted.other_content:
        return f"{start}: what stands under one number is another question. Evaluate both on the same data."
    return (
        f"{start}: they have no item number in common. Evaluate both on the same items (`--limit`, `--samples`), and "
        "do not rename them."
    )


def differences(counted: PairedTask, first: Task, second: Task) -> list[str]:
    """What a reader should know of how a task was paired."""
    notes = [*dict.fromkeys([*first.notes, *second.notes])]
    whole = max(counted.before, counted.after)
    if counted.paired < whole:
        parts = [
            (counted.other_content, "have another content"),
            (counted.other_prompt, "were asked by another prompt"),
            (counted.before - counted.paired - counted.other_content - counted.other_prompt, "are there before only"),
            (counted.after - counted.paired - counted.other_content - counted.other_prompt, "are there after only"),
        ]
        listed = ", ".join(f"{count:,} {what}" for count, what in parts if count)
        notes.append(f"{counted.task}: {counted.paired:,} of {whole:,} items were paired and count; {listed}.")
    for key, value in first.conditions.items():
        other = second.conditions.get(key, value)
        if value != other:
            one, two = around(value, other)
            notes.append(
                f"{counted.task}: {key} was {one or 'not set'} before, {two or 'not set'} after: part of what changed "
                "may come from that."
            )
    return notes


def in_common(
    first: Mapping[str, Mapping[str, int]], second: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    """The quantities that both have, in the first's order; where only one says which way is better, that counts."""
    found: dict[str, dict[str, int]] = {}
    for measure, quantities in first.items():
        others = second.get(measure, {})
        for quantity, better in quantities.items():
            if quantity in others and better * others[quantity] >= 0:
                found.setdefault(measure, {})[quantity] = better or others[quantity]
    return found


def dropped(task: str, first: Mapping[str, Mapping[str, int]], shared: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Say which quantities only one side has."""
    lost = [
        f"{quantity} of {measure}"
        for measure, quantities in first.items()
        for quantity in quantities
        if quantity not in shared.get(measure, {})
    ]
    return [f"{task}: {', '.join(lost)} cannot be paired: it was not measured alike after."] if lost else []


def ordered(better: dict[str, dict[str, int]], choice: Choice) -> dict[str, dict[str, int]]:
    """The measures with the one that was asked for first.

    Raises:
        EvaluateError: there is no such metric or filter.
    """
    if choice.metric is None:
        return better
    measures = [choice.measure] if choice.measure else list(better)
    found = next((one for one in measures if choice.metric in better.get(one, {})), None)
    if found is None:
        there = ", ".join(f"{metric} ({measure})" for measure, metrics in better.items() for metric in metrics)
        raise EvaluateError(f"--tasks {choice.domain}={choice.task}: no metric {choice.metric!r}; there are {there}.")
    leading = {choice.metric: better[found][choice.metric], **better[found]}
    return {found: leading, **{measure: by for measure, by in better.items() if measure != found}}


def measured(better: Mapping[str, Mapping[str, int]], items: Mapping[str, Item]) -> dict[str, Measured]:
    """The items' numbers by measure."""
    return {
        measure: Measured(
            measure=measure,
            rows=tuple(items),
            values={
                quantity: tuple(item.values[measure][quantity] for item in items.values()) for quantity in quantities
            },
            texts={},
            better=dict(quantities),
        )
        for measure, quantities in better.items()
    }
