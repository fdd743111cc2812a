"""Pairs the items that a harness measured before and after, by number, content and prompt, and counts the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mixplan.errors import EvaluateError
from mixplan.evaluate.harnesses.metric_names import Better, Choice, Sides, Stands, named, pooled, relabelled, stands_for
from mixplan.evaluate.harnesses.results import Item, Results, Task
from mixplan.saved.evaluation import Measured
from mixplan.saved.outcome import PairedTask

SHOWN = 80
"""Characters of a setting or prompt in a message."""


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
    several = [sides_of(choice, before, after) for choice in choices]
    asked = [stands_for(sides, before.measure) for sides in several]
    notes = [note for sides in several for note in unshared(sides, before.measure)]
    if len({*asked} - {None}) > 1:
        several, told = pooled(several, asked, before.measure)
        notes += told
        asked = []
    items: dict[str, tuple[Item, Item]] = {}
    tasks = []
    better = several[0].better
    for sides in several:
        found, counted = paired_items(sides.choice.domain, sides.first, sides.second)
        if not found:
            raise EvaluateError(unpaired(counted, sides.first, sides.second))
        notes += differences(counted, sides.first, sides.second)
        better = in_common(better, sides.better)
        items |= {f"{sides.choice.task}/{number}": pair for number, pair in found.items()}
        tasks.append(counted)
    better = ordered(better, next(filter(None, asked), None), choices)
    return PairedPart(
        headline=next(iter(better)),
        before=measured(better, {row: pair[0] for row, pair in items.items()}),
        after=measured(better, {row: pair[1] for row, pair in items.items()}),
        tasks=tasks,
        items=items,
        notes=notes,
    )


def sides_of(choice: Choice, before: Results, after: Results) -> Sides:
    """A task before and after, its filters paired by name.

    Raises:
        EvaluateError: its scores do not mean the same before and after, or no metric of a filter is in both.
    """
    first = before.tasks[choice.task]
    second = relabelled(after.tasks[choice.task], after.measure, first.leading)
    hold_alike(first, second, before, after)
    better = in_common(first.better, second.better)
    if not better:
        one, other = (listed(by, before.measure, first.leading) for by in (first.better, second.better))
        raise EvaluateError(
            f"{choice.task}: before and after have no metric in common: {one} in {before.place}, {other} in "
            f"{after.place}. Evaluate both models with the same task and settings."
        )
    return Sides(choice, first, second, better)


def hold_alike(first: Task, second: Task, before: Results, after: Results) -> None:
    """Hold that a task's scores mean the same before and after.

    Raises:
        EvaluateError: a setting differs that says what a score means; one that stands on one side only does.
    """
    for key, value, other in unlike(first.meaning, second.meaning):
        one, two = around(value, other)
        raise EvaluateError(
            f"{first.name}: `{key}` was {one or 'not set'} in {before.place}, {two or 'not set'} in {after.place}, "
            "so their scores do not mean the same. Evaluate both models with the same task and settings."
        )


def unlike(first: Mapping[str, str], second: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """The settings that differ, by name; one that stands on one side only is not set on the other."""
    for key in {**first, **second}:
        one, other = first.get(key, ""), second.get(key, "")
        if one != other:
            yield key, one, other


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
        differing = [key for key, _, _ in unlike(first.conditions, second.conditions)]
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
    for key, value, other in unlike(first.conditions, second.conditions):
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


def unshared(sides: Sides, measure: str) -> Iterator[str]:
    """Say which quantities only one side has."""
    for task, other in ((sides.first, "after"), (sides.second, "before")):
        lost = {
            label: [quantity for quantity in quantities if quantity not in sides.better.get(label, {})]
            for label, quantities in task.better.items()
        }
        if any(lost.values()):
            names = listed(lost, measure, task.leading)
            yield f"{task.name}: {names} cannot be paired: it was not measured alike {other}."


def listed(by: Mapping[str, Iterable[str]], measure: str, leading: str) -> str:
    """Quantities by measure for a message, each with its filter where that has a name."""
    return ", ".join(
        f"{quantity} of {measure}{named(label, measure, leading)}"
        for label, quantities in by.items()
        for quantity in quantities
    )


def ordered(better: Better, asked: Stands | None, choices: Sequence[Choice]) -> Better:
    """The measures that all tasks of a domain have, with the one that was asked for first.

    Args:
        better: What all tasks have, before and after.
        asked: The measure and quantity that one of the tasks was asked by.
        choices: The tasks.

    Raises:
        EvaluateError: there is none, or some task lacks what was asked for.
    """
    if not better or (asked is not None and asked[1] not in better.get(asked[0], {})):
        what = "metric in common" if asked is None else f"{asked[1]} of {asked[0]} in common"
        raise EvaluateError(
            f"{choices[0].domain}: {', '.join(choice.task for choice in choices)} have no {what}, before and after. "
            "Let one task stand for the domain, `--tasks DOMAIN=TASK`, or name the metric of each, `--tasks "
            "DOMAIN=TASK:METRIC`."
        )
    if asked is None:
        return better
    found, metric = asked
    leading = {metric: better[found][metric], **better[found]}
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
