"""Renders the page's judgement of the scores: each against the size of what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from mixplan.forecast.earlier_runs import unit_of
from mixplan.outcome.units import counted
from mixplan.report.charts import Axis
from mixplan.report.markup import Html, tag
from mixplan.report.measures import WORDS, Quantity, quantity
from mixplan.report.plots import Dot, Span, axis_over, axis_strip, interval_strip, scatter
from mixplan.report.tables import cell, header, row, section, table
from mixplan.report.text import plain
from mixplan.report.text_tables import MAIN, PREDICTORS, judged
from mixplan.saved.base_types import Interval
from mixplan.saved.outcome import Change, Judgement, Outcome
from mixplan.saved.plan import Plan

DRAWN = ("sts_icl", "sts_act", "preview_kl", "behind_answers_raw")
"""Predictors that get a scatter; the baselines stand in the table beside them."""


def predicted(plan: Plan, outcome: Outcome) -> Html | None:
    """Draw both scores against each measure, and set every predictor's correlations beside each other."""
    lines = judged(outcome)
    if not lines:
        return None
    drawn = [line for line in lines if line.predictor in DRAWN and line.measure in MAIN]
    charts = [chart for line in drawn if (chart := judged_scatter(plan, outcome, line))]
    main = [line for line in lines if line.measure in MAIN]
    note = (
        "A score predicts how far a domain moves, not in which direction, so it is held against the size of the "
        "change. Lines through a dot are 95 % intervals."
    )
    marks = [tag("span", tag("i", class_=kind), word) for kind, word in WORDS.items()]
    return section(
        "Predicted against measured",
        tag("p", note),
        tag("p", *marks, class_="legend"),
        tag("div", *charts, class_="grid-of") if charts else None,
        tag("h3", "Every predictor"),
        tag("p", _judgement_note()),
        *correlations(main or lines),
        _others([line for line in lines if main and line not in main]),
    )


def _others(lines: Sequence[Judgement]) -> Html | None:
    """Fold away the measures that only some domains have."""
    if not lines:
        return None
    return tag("details", tag("summary", "Every other measure"), *correlations(lines))


def _judgement_note() -> str:
    return (
        "Correlation over domains with the size of the change: dot and whisker, Pearson with its 95 % interval over "
        "domains; shaded, its range when any one domain is left out. The two scores come first; the others are the "
        "baselines they have to beat."
    )


def judged_scatter(plan: Plan, outcome: Outcome, line: Judgement) -> Html | None:
    """Draw one judgement's domains; None where fewer than two have both numbers."""
    dots = [dot for name in outcome.domains if (dot := _dot(plan, outcome, line, name))]
    if len(dots) < 2:
        return None
    name = PREDICTORS.get(line.predictor, line.predictor)
    unit = quantity(line.quantity)
    x = axis_over(name, [0, *(end for dot in dots for end in (dot.x, *(dot.x_span or ())))], plain)
    most = (0.0, unit.largest_change()[1])
    y = axis_over(f"Size of the change ({_unit(unit)})", [0, *_heights(dots)], lambda v: plain(unit.scale * v), most)
    summary = (
        f"{name} against the size of the change in {_subject(line)}, {counted(len(dots), 'domain')}: {pearson(line)}."
    )
    title = tag("h3", f"{name}, {_subject(line)} ", tag("span", pearson(line), class_="quiet line"))
    return tag("figure", title, scatter(dots, x, y, summary=summary))


def _heights(dots: Sequence[Dot]) -> list[float]:
    return [end for dot in dots for end in (dot.y, *(dot.y_span or ()))]


def _unit(unit: Quantity) -> str:
    return unit.change_unit or unit.title


def _subject(line: Judgement) -> str:
    title = quantity(line.quantity).subject
    return f"headline {title}" if line.measure == "headline" else f"{line.measure}: {title}"


def pearson(line: Judgement) -> str:
    """Write a judgement's Pearson correlation with its interval."""
    if line.pearson is None:
        return "Pearson not defined"
    if line.pearson_low is None or line.pearson_high is None:
        return f"Pearson {line.pearson:.2f}, no interval"
    return f"Pearson {line.pearson:.2f} [{line.pearson_low:.2f}, {line.pearson_high:.2f}]"


def _dot(plan: Plan, outcome: Outcome, line: Judgement, name: str) -> Dot | None:
    domain = outcome.domains[name]
    score, change = domain.predictors.get(line.predictor), judged_change(outcome, line, name)
    if score is None or change is None:
        return None
    planned = plan.domains.get(name)
    interval = getattr(planned, line.predictor, None) if line.predictor in DRAWN else None
    span = (interval.low, interval.high) if isinstance(interval, Interval) and interval.value == score else None
    return Dot(name, score, abs(change.change), span, _size(change), change.direction)


def judged_change(outcome: Outcome, line: Judgement, name: str) -> Change | None:
    """The change of a domain that a judgement looks at; None where the domain is not part of it."""
    domain = outcome.domains[name]
    if line.measure != "headline":
        return domain.measures.get(line.measure, {}).get(line.quantity)
    return domain.change if domain.quantity and unit_of(domain.quantity) == line.quantity else None


def _size(change: Change) -> Span:
    """The interval of a change's size: from zero where the change's own interval holds zero."""
    ends = sorted((abs(change.low), abs(change.high)))
    return (0.0 if change.low < 0 < change.high else ends[0], ends[1])


def correlations(lines: Sequence[Judgement]) -> list[Html]:
    """Set every predictor's correlations beside each other, one table for each measure."""
    axis = Axis("Pearson", [-1, -0.5, 0, 0.5, 1], -1, 1, plain)
    foot = row(header(""), cell(axis_strip(axis), kind="score"), *[cell("")] * 3, kind="foot")
    heads = ["Predictor", "Pearson", "with 95 % interval", "Spearman", "R²"]
    parts = []
    for subject in dict.fromkeys(map(_subject, lines)):
        group = [line for line in lines if _subject(line) == subject]
        rows = [_correlation_row(line, axis) for line in group]
        title = f"{subject[:1].upper()}{subject[1:]}, {counted(group[0].domains, 'domain')}"
        parts += [tag("h3", title), table("cards pearson", heads, [*rows, foot], f"Correlations: {title}")]
    return parts


def _correlation_row(line: Judgement, axis: Axis) -> Html:
    span, out = _span(line.pearson_low, line.pearson_high), line.pearson_leave_one_out
    strip = interval_strip(line.pearson, span, axis, range_=out) if line.pearson is not None else ""
    beside = tag("span", f"leaving one out {out[0]:.2f} to {out[1]:.2f}", class_="quiet line") if out else ""
    return row(
        header(PREDICTORS.get(line.predictor, line.predictor)),
        cell(strip, kind="score"),
        cell(_with(line.pearson, span), beside, kind="n"),
        cell(_with(line.spearman, _span(line.spearman_low, line.spearman_high)), kind="n spearman"),
        cell("" if line.r2 is None else f"{line.r2:.2f}", kind="n r2"),
        kind="strong" if line.predictor in DRAWN else None,
    )


def _span(low: float | None, high: float | None) -> Span | None:
    return None if low is None or high is None else (low, high)


def _with(value: float | None, span: Span | None) -> Html:
    if value is None:
        return tag("span", "not defined", class_="quiet")
    ends = tag("span", f" [{span[0]:.2f}, {span[1]:.2f}]", class_="quiet") if span else None
    return tag("span", tag("b", f"{value:.2f}"), ends)
