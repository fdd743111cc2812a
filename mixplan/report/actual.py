"""Renders the page's section on actual drift: overlap against chance, concentration, what was missed."""

from __future__ import annotations

from mixplan.report.charts import Axis, line_chart, log_axis
from mixplan.report.markup import Html, tag
from mixplan.report.plots import axis_over, axis_strip, interval_strip
from mixplan.report.reasons import contexts, feature_name
from mixplan.report.sentences import drift_lines
from mixplan.report.tables import cell, header, row, section, table
from mixplan.report.text import number, percent, plain, whole
from mixplan.saved.outcome import Drift, Outcome, Unexpected
from mixplan.saved.plan import Plan
from mixplan.saved.scores import Drift as Predicted


def actual(plan: Plan, outcome: Outcome) -> Html | None:
    """Say how much of the drift was foreseen.

    Args:
        plan: The saved plan, for the predicted concentration.
        outcome: The saved outcome.

    Returns:
        The section Actual drift; None where it was not read.
    """
    drift = outcome.drift
    if drift is None or plan.sae is None or plan.drift is None:
        return None
    lines = [tag("p", line) for line in drift_lines(drift)]
    further = _unexpected(drift, plan.sae.neuronpedia)
    return section("Actual drift", *lines, _overlap(drift), _concentration(plan.drift, plan.sae.d_sae, drift), *further)


def _overlap(drift: Drift) -> Html:
    """Draw both overlaps over what chance gives."""
    found: list[tuple[str, int, int, float, tuple[float, float]]] = [
        ("SAE features", drift.overlap, drift.of, drift.chance, (drift.low, drift.high))
    ]
    if drift.raw_overlap is not None and drift.raw_of is not None and drift.raw_chance is not None:
        by_chance = (drift.raw_low, drift.raw_high)
        span = (by_chance[0], by_chance[1]) if by_chance[0] is not None and by_chance[1] is not None else None
        found.append(("Raw activations", drift.raw_overlap, drift.raw_of, drift.raw_chance, span or (0.0, 0.0)))
    axis = axis_over("Overlap", [0, max(of for _, _, of, _, _ in found)], whole)
    rows = [
        row(
            header(name),
            cell(interval_strip(overlap, None, axis, range_=span, tick=chance), kind="score"),
            cell(tag("b", whole(overlap)), f" of {whole(of)}", kind="n"),
            cell(f"{plain(chance)} [{plain(span[0])}, {plain(span[1])}]", kind="n quiet chance"),
        )
        for name, overlap, of, chance, span in found
    ]
    foot = row(header(""), cell(axis_strip(axis), kind="score"), cell(""), cell(""), kind="foot")
    heads = ["Read through", "Overlap (dot) against chance (tick and band)", "Overlap", "Chance, 95 %"]
    return table("cards bars", heads, [*rows, foot], "Overlap of predicted with actual drift dimensions")


def _concentration(planned: Predicted, d_sae: int, drift: Drift) -> Html | None:
    """Draw how the actual shift is spread over the features, beside the predicted one."""
    points = [(float(top), share) for top, share in drift.concentration]
    if len(points) < 2:
        return None
    predicted = [(float(top), share) for top, share in planned.concentration]
    note = (
        f"The {whole(drift.of)} features that training moved most hold {percent(drift.share_of_shift)} of the actual "
        f"shift, over {whole(drift.query_tokens)} query tokens. Line: actual. Dashed: as predicted."
    )
    x = log_axis("Features, largest shift first (log scale)", float(max(d_sae, 2)), whole)
    y = Axis("Share of the whole shift", [0, 0.25, 0.5, 0.75, 1], 0, 1, lambda share: f"{100 * share:.0f} %")
    mark = [((float(drift.of), drift.share_of_shift), f"{whole(drift.of)}: {percent(drift.share_of_shift)}")]
    chart = line_chart(points, x, y, summary=note, dots=mark, beside=predicted)
    return tag("div", tag("h3", "How concentrated it is"), tag("p", note), chart)


def _unexpected(drift: Drift, linked: str | None) -> list[Html]:
    """List features that training moved although they were not predicted, with what fires them."""
    if not drift.unexpected:
        return []
    note = "Features among those that training moved most that were not among the predicted drift dimensions."
    folds = [_fold(found, linked, first=found is drift.unexpected[0]) for found in drift.unexpected]
    return [tag("h3", "What moved unexpectedly"), tag("p", note), *folds]


def _fold(found: Unexpected, linked: str | None, *, first: bool) -> Html:
    rank = (
        f"predicted rank {whole(found.predicted_rank)}"
        if found.predicted_rank is not None
        else "moved by no demonstration"
    )
    told = f"{percent(found.share)} of the actual shift, {rank}, mean activation {number(found.before)} before"
    told += f", {number(found.after)} after" if found.after is not None else ""
    summary = tag("summary", tag("b", f"Feature {found.feature} "), tag("span", told, class_="quiet"))
    title = tag("p", feature_name(found.feature, linked)) if linked else None
    listed = tag("div", title, contexts(found.contexts), class_="reason")
    return tag("details", summary, listed, open="" if first else None)
