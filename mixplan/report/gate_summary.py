"""Writes what became of tolerances as Markdown, which build servers show as a step's summary."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mixplan.outcome.summary import tolerances
from mixplan.report.junit import Gated
from mixplan.report.text import in_line
from mixplan.report.text_tables import Sheet
from mixplan.report.tolerances import sheet
from mixplan.saved.tolerances import Gate

MARKED = re.compile(r"([\\`*_{}\[\]<>#|~!&@])")
"""What Markdown, or a site that shows it, could take for more than text."""


def gate_markdown(runs: Sequence[Gated]) -> str:
    """Write runs one below the other: the verdict, a table of the domains, and arms where there are any."""
    return "\n\n".join("\n\n".join(parts(run)) for run in runs) + "\n"


def parts(run: Gated) -> Iterator[str]:
    """The paragraphs of one run."""
    yield f"### mixplan, {plain(run.label)}: {run.gate.verdict}"
    yield plain(tolerances(run.gate))
    for note in run.notes:
        yield f"> {plain(note)}"
    yield laid(sheet(run.gate))
    if run.target:
        yield plain(run.target)
    if run.arms:
        yield "All mixtures that were compared:"
        yield laid(arms(run.arms))


def arms(found: Sequence[tuple[str, Gate]]) -> Sheet:
    """How many tolerances each mixture kept."""
    heads = ("arm", "verdict", "pass", "fail", "undecided")
    lines = tuple(
        (name, gate.verdict, *(str(len(gate.of(verdict))) for verdict in ("pass", "fail", "undecided")))
        for name, gate in found
    )
    return Sheet("Arms", heads, lines, (0,) * len(heads))


def laid(found: Sheet) -> str:
    """A sheet as a Markdown table."""
    lines = [found.heads, ["---"] * len(found.heads), *([plain(text) for text in line] for line in found.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str) -> str:
    """Text that stays on its line and in its cell and is nothing but text."""
    return MARKED.sub(r"\\\1", in_line(text))
