"""Writes RESULTS.md's section on what forecasts that learned from other targets were worth."""

from __future__ import annotations

from collections.abc import Iterator

from mixplan.report.text import percent
from mixplan.study.files.judgement import Learned
from mixplan.study.results.figures import NAMES, figure, heading, lines, side, table_of

WAYS = {
    "sts_icl_own": "STS_ICL times each domain's own factor",
    "sts_icl_one": "STS_ICL times one factor",
    "sts_act_own": "STS_act times each domain's own factor",
    "sts_act_one": "STS_act times one factor",
    "movability": "no score: how far each domain moved elsewhere",
}
SCORES = ("Pearson", "Spearman", "top-3 hits")
LESS = ("Pearson", "Spearman", "error")
VERDICTS = {"above": "surely more", "below": "surely less", "unsure": "not told apart"}


def learned_section(found: Learned | None) -> Iterator[str]:
    """Say what a plan's forecast is worth once runs of other targets have taught it.

    Args:
        found: What `judge_learned` gave; None where there was too little to learn from.
    """
    if found is None:
        return
    yield heading("What is the forecast worth that has learned from other targets?")
    own, alone = found.ways["sts_icl_own"], found.ways["movability"]
    less = found.differences
    by_pearson, by_error = (VERDICTS[side(one["sts_icl_own"])] for one in (less.pearson, less.error))
    yield (
        f"**STS_ICL with each domain's own factor, learned on the other targets, has Pearson {figure(own.pearson)} "
        f"within a target left out, and errs by {figure(own.error, digits=3)}. How far domains moved elsewhere "
        f"alone has {figure(alone.pearson)} and errs by {figure(alone.error, digits=3)}: by Pearson "
        f"{by_pearson}, by error {by_error}.**"
    )
    quantity = found.quantity
    rows = [
        (
            title,
            *(figure(one) for one in (found.ways[name].pearson, found.ways[name].spearman, found.ways[name].top3)),
            figure(found.ways[name].error, digits=3),
            percent(found.ways[name].inside),
        )
        for name, title in WAYS.items()
    ]
    rows.append(("no change expected", *[""] * len(SCORES), figure(found.error_none, digits=3), ""))
    yield lines(
        [
            f"With {NAMES.get(quantity, quantity)}; each target is foretold from all others, as a plan learns from "
            "earlier runs. The error is a root mean square within a target; `inside` is the share of cells within the "
            "95 % interval that was foretold for them.",
            "",
            table_of(("forecast", *SCORES, "error", "inside"), rows),
        ]
    )
    rows = [
        (WAYS[name], *(figure(one[name], sign=True, digits=3) for one in (less.pearson, less.spearman, less.error)))
        for name in less.error
    ]
    heads = ("", *LESS)
    yield lines(["Each less how far domains moved elsewhere, paired:", "", table_of(heads, rows)])
    yield "This was not among what the study registered, and nothing was chosen by it."
