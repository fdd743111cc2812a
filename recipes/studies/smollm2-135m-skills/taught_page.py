"""Writes the page of the study of taught skills from what was registered and trained; it judges nothing itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from taught import ARMS, GOOD, GRID, ITEMS, OVER, Difference, Line, jobs, value, verdicts
from taught_skills import TARGETS


def shown(one: Difference) -> str:
    """A difference with its interval, in points of accuracy."""
    ends = f" [{100 * one.low:+.1f}, {100 * one.high:+.1f}]" if one.low > float("-inf") else ""
    return f"{100 * one.mean:+.1f}{ends}"


def cell_name(cell: Sequence[object]) -> str:
    """A cell in words."""
    way, rate, steps, extra = cell
    what = "all weights" if way == "full" else "LoRA"
    return f"{what}, {rate:g}, {steps} steps, {extra} extra a step"


def report(first: Mapping, lines: Sequence[Line]) -> str:
    """Writes RESULTS.md from the results alone."""
    found = list(verdicts(first, lines))
    began = len({line.job for line in lines})
    regimes = [cell_name(one.cell) for one in found if one.regime]
    named, teaching = f" ({'; '.join(regimes)})" if regimes else "", first["teaching"]
    return "\n".join(
        [
            "# Skills that the embedded model can lose",
            "",
            "Written by `python recipes/studies/smollm2-135m-skills/taught.py results` from results.jsonl; nothing "
            "here is typed in. What is compared, and the rule, stand at the top of taught.py, registered by hash "
            f"({', '.join(f'`{name}` {mark}' for name, mark in first['sha256'].items())}; "
            f"{', '.join(f'{name} {number}' for name, number in first['versions'].items())}).",
            "",
            "## What it was taught",
            "",
            f"{teaching['rows']} rows of each skill, once each, by a LoRA adapter (r = {teaching['r']}, learning rate "
            f"{teaching['learning_rate']:g}). Greedy answers that are exactly right, of {ITEMS} a skill that no "
            f"training holds, in per cent; kept are skills from {100 * GOOD:.0f} on that are at least "
            f"{100 * OVER:.0f} points above the most frequent answer, on other questions than these.",
            "",
            "| skill | most frequent answer | untaught | taught | on `probe` | kept |",
            "| --- | ---: | ---: | ---: | ---: | --- |",
            *(skill_row(name, first) for name in first["frequent"]),
            "",
            "## The search for a regime",
            "",
            f"{len(lines)} trainings of {len(list(jobs())) * len(ARMS)} registered, {began} jobs begun, "
            f"{sum(line.seconds for line in lines):,.0f} processor seconds. "
            f"**Regimes found: {len(regimes)} of {len(GRID)} cells{named}.** Points of accuracy, over targets, with "
            "intervals at 95 % over all cells; harm is of the skill that `none` cost most on `probe`, the "
            "difference of the skill that lost most in each arm:",
            "",
            "| cell | targets | harm | oracle − uniform | gain on the target: none, uniform, oracle | regime |",
            "| --- | ---: | ---: | ---: | ---: | --- |",
            *(
                f"| {cell_name(one.cell)} | {one.targets} of {len(TARGETS)} | {shown(one.harm)} | {shown(one.gain)} | "
                f"{', '.join(f'{100 * gain:+.1f}' for gain in one.learnt.values())} | {'yes' if one.regime else 'no'} |"
                for one in found
            ),
            "",
            "Each job: change of the skill that lost most, in points, and its name; what the oracle gave most rows to.",
            "",
            "| target | cell | none | uniform | oracle | oracle's rows |",
            "| --- | --- | --- | --- | --- | --- |",
            *job_rows(first, lines),
            "",
        ]
    )


def skill_row(name: str, first: Mapping) -> str:
    """A row of the table of skills."""
    counts = [first[key][name] / ITEMS for key in ("untaught", "taught", "probe")]
    shares = [first["frequent"][name], *counts]
    cells = [f"{100 * one:.1f}" for one in shares]
    return f"| {name} | {' | '.join(cells)} | {'yes' if name in first['kept'] else 'no'} |"


def job_rows(first: Mapping, lines: Sequence[Line]) -> Iterator[str]:
    """A row for each job with all arms."""
    by = {(line.job, line.arm): line for line in lines}
    for job in jobs():
        if all((job, arm) in by for arm in ARMS):
            worst = (value(by[job, arm], first) for arm in ARMS)
            most = sorted(by[job, "oracle"].amounts.items(), key=lambda pair: -pair[1])[:3]
            cells = [f"{100 * change:+.1f} {name}" for change, name in worst]
            rows = ", ".join(f"{name} {count}" for name, count in most if count)
            cell = cell_name((job.way, job.learning_rate, job.steps, job.extra_rows))
            yield f"| `{job.target}` | {cell} | {' | '.join(cells)} | {rows} |"
