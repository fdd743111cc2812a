"""Writes the page of the second search from what was registered and trained; it judges nothing itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from responses import ARMS, CELLS, GRID, Line, earlier, jobs, spent_by, value, verdicts
from taught_page import cell_name, shown
from taught_skills import TARGETS


def report(first: Mapping, lines: Sequence[Line]) -> str:
    """Writes RESULTS.md from the results alone."""
    found = list(verdicts(first, lines))
    regimes = [cell_name(one.cell) for one in found if one.regime]
    named = f" ({'; '.join(regimes)})" if regimes else ""
    old = len(earlier())
    return "\n".join(
        [
            "# An oracle that knows how far rows bring a skill back",
            "",
            "Written by `python recipes/studies/smollm2-135m-responses/responses.py results` from results.jsonl; "
            "nothing here is typed in. What is compared, and the rule, stand at the top of responses.py, registered by "
            f"hash ({', '.join(f'`{name}` {mark}' for name, mark in first['sha256'].items())}; "
            f"{', '.join(f'{name} {number}' for name, number in first['versions'].items())}). The skills, and what was "
            "taught, are those of [the first search](../smollm2-135m-skills/RESULTS.md).",
            "",
            f"{len(lines) - old} trainings of {len(list(jobs())) * len(ARMS) - old} registered, beside {old} of the "
            f"first search; {spent_by(lines):,.0f} processor seconds. "
            f"**Regimes found: {len(regimes)} of {len(GRID)} cells{named}.** Points of accuracy, over targets, with "
            f"intervals at 95 % over the {CELLS} cells of both searches; harm is of the skill that `none` cost most on "
            "`probe`, the difference of the skill that lost most in each arm:",
            "",
            "| cell | targets | harm | oracle − uniform | gain on the target: none, uniform, oracle | regime |",
            "| --- | ---: | ---: | ---: | ---: | --- |",
            *(
                f"| {cell_name(one.cell)} | {one.targets} of {len(TARGETS)} | {shown(one.harm)} | {shown(one.gain)} | "
                f"{', '.join(f'{100 * gain:+.1f}' for gain in one.learnt.values())} | {'yes' if one.regime else 'no'} |"
                for one in found
            ),
            "",
            "Each job: change of the skill that lost most, in points, and its name; the oracle's rows.",
            "",
            "| target | cell | none | uniform | oracle | oracle's rows |",
            "| --- | --- | --- | --- | --- | --- |",
            *job_rows(first, lines),
            "",
        ]
    )


def job_rows(first: Mapping, lines: Sequence[Line]) -> Iterator[str]:
    """A row for each job with all arms."""
    by = {(line.job, line.arm): line for line in lines}
    for job in jobs():
        if all((job, arm) in by for arm in ARMS):
            worst = (value(by[job, arm], first) for arm in ARMS)
            cells = [f"{100 * change:+.1f} {name}" for change, name in worst]
            rows = ", ".join(f"{name} {count}" for name, count in by[job, "oracle"].amounts.items() if count)
            cell = cell_name((job.way, job.learning_rate, job.steps, job.extra_rows))
            yield f"| `{job.target}` | {cell} | {' | '.join(cells)} | {rows} |"
