"""Renders how the items of another harness's results were paired, task by task."""

from __future__ import annotations

from mixplan.report.markup import Html, tag
from mixplan.report.tables import cell, header, row, section, table
from mixplan.report.text import whole
from mixplan.saved.outcome import Outcome, PairedTask


def paired(outcome: Outcome) -> Html | None:
    """Say which task stood for which domain, and how many of its items count.

    Args:
        outcome: The saved outcome.

    Returns:
        The section How items were paired; None where mixplan measured itself.
    """
    harness = outcome.elsewhere.harness if outcome.elsewhere else None
    if harness is None:
        return None
    note = (
        f"Measured by {harness.name}, before on {harness.model_before}. An item counts where its number, its content "
        "and the prompt are the same before and after."
    )
    heads = ["Domain", "Task", "Paired", "Other content", "Other prompt"]
    lines = [_line(one) for one in harness.tasks]
    return section("How items were paired", tag("p", note), table("wide", heads, lines, "Items paired of each task"))


def _line(one: PairedTask) -> Html:
    most = max(one.before, one.after)
    return row(
        header(one.domain),
        cell(one.task),
        cell(f"{whole(one.paired)} of {whole(most)}", kind="n"),
        cell(whole(one.other_content), kind="n"),
        cell(whole(one.other_prompt), kind="n"),
    )
