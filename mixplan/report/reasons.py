"""Renders the page's reasons: the drift dimensions behind each score, what fires them, every score."""

from __future__ import annotations

from collections.abc import Sequence

from mixplan.report.markup import Html, tag
from mixplan.report.measures import quantity
from mixplan.report.tables import cell, header, left_out, row, section, table
from mixplan.report.text import bounds, few_words, in_line, number, percent
from mixplan.saved.part import Context, Expected, Interval
from mixplan.saved.plan import Domain, Foretold, Plan
from mixplan.saved.scores import Reason

EXPLAINED = 100
"""Domains whose reasons are written out, those that come first."""


def why(plan: Plan) -> Html | None:
    """Explain each domain by the drift dimensions that make most of its score, and the tokens that fire them most."""
    if not any(domain.why for domain in plan.domains.values()):
        return None
    note = "For each domain, the drift dimensions that make most of its score, and the tokens that fire them most."
    told = [name for name in plan.order() if plan.domains[name].why]
    folds = [_fold(name, plan.domains[name], first=name == told[0]) for name in told[:EXPLAINED]]
    rest = tag("p", left_out(len(told) - EXPLAINED), ".", class_="quiet") if len(told) > EXPLAINED else None
    return section("Why", tag("p", note), *folds, rest)


def _fold(name: str, domain: Domain, *, first: bool) -> Html:
    tokens = [tag("bdi", token, class_="token") for token in few_words(domain)]
    summary = tag("summary", tag("b", name), " ", tag("span", *tokens, class_="tokens"))
    return tag("details", summary, *map(_reason, domain.why), open="" if first else None)


def _reason(reason: Reason) -> Html:
    share = tag("span", f"{percent(reason.share)} of the score", class_="quiet")
    title = tag("h3", f"Feature {reason.feature} ", share)
    return tag("div", title, contexts(reason.contexts), class_="reason")


def contexts(found: Sequence[Context]) -> Html:
    """List tokens in their contexts, each with its activation."""
    return tag("ul", *map(_context, found), class_="contexts")


def _context(context: Context) -> Html:
    before, token, after = (in_line(text) for text in (context.before, context.token, context.after))
    text = tag("bdi", before, tag("mark", token), after)
    return tag("li", text, tag("span", number(context.activation), class_="quiet", title="activation"))


def scores(plan: Plan) -> Html:
    """List every score of every domain with its interval; the one that the recipe plans by comes first."""
    columns = ["STS_ICL", "STS_act"] if plan.score == "icl" else ["STS_act", "STS_ICL"]
    others = ["Low-shift features", "Raw activations", "Outside the drift dimensions", "Forecast, relative"]
    learned = any(domain.forecast and domain.forecast.expected for domain in plan.domains.values())
    others += ["Expected change of its headline", "and of its behaviour"] if learned else []
    lines = [_scores_row(name, plan.domains[name], plan.score, learned=learned) for name in plan.order()]
    note = "With 95 % intervals. The three scores after the first two are for comparison; nothing is planned by them."
    return section("Every score", tag("p", note), table("wide", ["Domain", *columns, *others], lines))


def _scores_row(name: str, domain: Domain, score: str, *, learned: bool) -> Html:
    planned = [domain.sts_icl, domain.sts_act] if score == "icl" else [domain.sts_act, domain.sts_icl]
    intervals = [*planned, domain.low_shift, domain.raw_icl, domain.outside_shift]
    risk = domain.forecast
    foretold = Interval(value=risk.relative_risk, low=risk.low, high=risk.high) if risk else None
    cells = [_interval(interval) for interval in (*intervals, foretold)]
    if learned:
        expected = (risk.expected if risk else None) or Foretold()
        cells += [_expected(expected.headline), _expected(expected.behaviour)]
    return row(header(name), *cells)


def _expected(found: Expected | None) -> Html:
    if found is None:
        return cell("not known", kind="n quiet")
    unit = quantity(found.quantity)
    return cell(
        unit.change(found.change), " ", tag("span", unit.bounds(found.low, found.high), class_="quiet"), kind="n"
    )


def _interval(interval: Interval | None) -> Html:
    if interval is None:
        return cell("not measured", kind="n quiet")
    return cell(number(interval.value), " ", tag("span", bounds(interval), class_="quiet"), kind="n")


def features(plan: Plan) -> Html:
    """List the drift dimensions, folded: index, shift, and how often resampling selects each."""
    lines = [
        row(header(str(index)), cell(number(shift), kind="n"), cell(percent(chosen), kind="n"))
        for index, shift, chosen in plan.drift.features
    ]
    laid = table("narrow", ["Feature", "Shift", "Selected"], lines)
    note = "Shift: mean squared change of the feature's activation. Selected: share of resamples that choose it."
    return tag("details", tag("summary", f"All {len(lines)} drift dimensions"), tag("p", note), laid)
