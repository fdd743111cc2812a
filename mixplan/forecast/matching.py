"""Recognises this plan's domains and target among those that earlier runs measured, by content.

A domain of another name but the same content keeps its factor; one of the same name but other content has a factor of
its own. Where one of two was saved without a sketch, names decide, and that is said; so they do where their sizes are
too different for sketches to be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mixplan.domains.content_sketch import Content, same_content
from mixplan.forecast.job import Job
from mixplan.forecast.measured_run import Found, Run
from mixplan.forecast.pilot_law import MeasuredPilot


@dataclass(frozen=True)
class Planned:
    """What this plan is of, as far as earlier runs are recognised by it.

    Attributes:
        target: Sketch of the target; None where there is none to compare.
        domains: Sketches by domain; empty likewise.
        job: What the plan's job trains with; None where that is not known.
        dtype: The model's compute type.
        pilot: What a pilot of the job measured; None where the forecast is made without one.
    """

    target: Content | None = None
    domains: Mapping[str, Content] = field(default_factory=dict)
    job: Job | None = None
    dtype: str = ""
    pilot: MeasuredPilot | None = None

    def with_pilot(self, pilot: MeasuredPilot) -> Planned:
        """The same with what a pilot of the job measured."""
        return replace(self, pilot=pilot)


@dataclass(frozen=True)
class Recognised:
    """Earlier runs in this plan's words.

    Attributes:
        runs: With the plan's names for their domains.
        groups: For each run the number of its target: runs of the same target share one.
        own: Places of the runs whose target is this plan's.
        renamed: Pairs of a domain of this plan and what earlier runs called it, sorted.
        other: Domains of this plan whose name earlier runs gave to other content, sorted.
        by_name: How many runs were matched by names alone.
    """

    runs: tuple[Run, ...]
    groups: tuple[int, ...]
    own: tuple[int, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    other: tuple[str, ...] = ()
    by_name: int = 0

    def lines(self) -> list[str]:
        """What a reader should know of the matching, in whole sentences."""
        lines = []
        if self.renamed:
            pairs = ", ".join(f"{ours} (there {theirs})" for ours, theirs in self.renamed)
            lines.append(f"Recognised by content under another name: {pairs}.")
        if self.other:
            domains = ", ".join(self.other)
            lines.append(
                f"Earlier runs measured other content under the name {domains}, so that nothing they say of it is "
                "used for this plan's."
            )
        if self.by_name:
            runs = "1 run was" if self.by_name == 1 else f"{self.by_name} runs were"
            lines.append(f"{runs} saved without sketches of their data: their domains are matched by name.")
        return lines


def recognise(runs: Sequence[Run], planned: Planned) -> Recognised:
    """Give earlier runs' domains this plan's names, and find runs of one target.

    Args:
        runs: As they were measured.
        planned: This plan.
    """
    labels = _Labels(planned.domains)
    renamed: set[tuple[str, str]] = set()
    other: set[str] = set()
    by_name, found = 0, []
    for run in runs:
        domains: dict[str, Found] = {}
        unsure = False
        for name, part in run.domains.items():
            label = labels.of(name, part.content, run.name, taken=domains)
            unsure |= part.content is None and bool(planned.domains)
            if label != name and label in planned.domains:
                renamed.add((label, name))
            if label != name and name in planned.domains and label not in planned.domains:
                other.add(name)
            domains[label] = part
        by_name += unsure
        found.append(replace(run, domains=domains))
    return Recognised(
        tuple(found),
        groups_of(runs),
        tuple(place for place, run in enumerate(runs) if same_content(run.target, planned.target)),
        tuple(sorted(renamed)),
        tuple(sorted(other)),
        by_name,
    )


def groups_of(runs: Sequence[Run]) -> tuple[int, ...]:
    """The number of each run's target; a run whose target is not known counts as one of its own."""
    first: list[Content | None] = []
    groups = []
    for run in runs:
        known = (place for place, content in enumerate(first) if same_content(run.target, content))
        group = next(known, len(first))
        if group == len(first):
            first.append(run.target)
        groups.append(group)
    return tuple(groups)


class _Labels:
    """Names for contents, those of the plan first."""

    def __init__(self, domains: Mapping[str, Content]) -> None:
        self.entries: list[tuple[str, Content | None]] = list(domains.items())
        self.known: dict[tuple[str, Content | None], str] = {}

    def of(self, name: str, content: Content | None, run: str, *, taken: Mapping[str, object]) -> str:
        """The name of one run's domain, which no other domain of that run has."""
        found = self.known.get((name, content))
        if found is None or found in taken:
            found = self.matching(name, content, taken) or self.fresh(name, content, run, taken)
            self.known[name, content] = found
        return found

    def matching(self, name: str, content: Content | None, taken: Mapping[str, object]) -> str | None:
        """The name of the same content that is known, its own name's first."""
        for label, known in sorted(self.entries, key=lambda entry: entry[0] != name):
            same = same_content(content, known)
            if label not in taken and (same or (same is None and label == name)):
                return label
        return None

    def fresh(self, name: str, content: Content | None, run: str, taken: Mapping[str, object]) -> str:
        """A name that nothing else has."""
        used = {label for label, _ in self.entries} | set(taken)
        label, number = name, 1
        while label in used:
            number += 1
            label = f"{name} of {run}" if number == 2 else f"{name} of {run} ({number - 1})"
        self.entries.append((label, content))
        return label
