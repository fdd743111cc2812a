"""Renders the page's reasons: the drift dimensions behind each score, what fires them, every score."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from mixplan.report.markup import Html, tag
from mixplan.report.measures import quantity
from mixplan.report.tables import cell, header, left_out, row, section, table
from mixplan.report.text import best_context, bounds, in_line, number, passage, percent
from mixplan.saved.base_types import Context, Expected, Interval
from mixplan.saved.plan import Domain, Foretold, Plan
from mixplan.saved.scores import SCORE_KEYS, SCORE_TITLES, Drift, FeatureExample, Reason, Sae, ScoreName

PASSAGE = 72
"""Characters of a context that stands on one line."""
COMPARED = [
    ("Low-shift features", "low_shift"),
    ("Raw activations", "raw_icl"),
    ("Outside the drift dimensions", "outside_shift"),
]
"""Scores of a plan with an SAE that nothing is planned by, with their keys."""
WITH_SAE = (
    "With 95 % intervals. The three scores after the first two are for comparison; nothing is planned by them: the "
    "same over features that the job is expected to move least, over the model's own activations in place of SAE "
    "features, and over all features that are no drift dimension."
)
WITHOUT_SAE = (
    "With 95 % intervals. The first score plans the rows, the second is for comparison. Preview KL is how far the "
    "target's worked examples move the model's next tokens along its own answers, in nats per token; stream shift how "
    "far they move its stream at the reference answers, as a mean squared change."
)
EXPLAINED = 100
"""Domains whose reasons are written out, those that come first."""


def why(plan: Plan) -> Html | None:
    """Explain each domain by the drift dimensions that make most of its score, and the tokens that fire them most."""
    if not any(domain.why for domain in plan.domains.values()):
        return None
    note = (
        "For each domain, the drift dimensions that make most of its score, and the passages in which a token "
        "(highlighted) fires them most; the number is the feature's activation there."
    )
    linked = plan.sae.neuronpedia if plan.sae else None
    told = [name for name in plan.order() if plan.domains[name].why]
    folds = [_fold(name, plan.domains[name], linked, first=name == told[0]) for name in told[:EXPLAINED]]
    rest = tag("p", left_out(len(told) - EXPLAINED), ".", class_="quiet") if len(told) > EXPLAINED else None
    return section("Why", tag("p", note), *folds, rest)


def _fold(name: str, domain: Domain, linked: str | None, *, first: bool) -> Html:
    best = best_context(domain)
    summary = tag("summary", tag("b", name), " ", shown_passage(best) if best else None)
    listed = [_reason(reason, linked) for reason in domain.why]
    return tag("details", summary, *listed, open="" if first else None)


def shown_passage(context: Context, length: int = PASSAGE) -> Html:
    """A context on one line, its token highlighted."""
    before, token, after = passage(context, length)
    return tag("bdi", before, *_marked(token), after, class_="passage")


def _marked(token: str) -> tuple[str, Html]:
    """A token's leading spaces, and the rest of it highlighted; of spaces alone one sign each."""
    word = token.lstrip(" ")
    return (token[: len(token) - len(word)], tag("mark", word)) if word else ("", tag("mark", "␣" * len(token)))


def _reason(reason: Reason, linked: str | None) -> Html:
    share = tag("span", f"{percent(reason.share)} of the score", class_="quiet")
    title = tag("h3", feature_name(reason.feature, linked), " ", share)
    return tag("div", title, contexts(reason.contexts), class_="reason")


def feature_name(feature: int, linked: str | None) -> Html:
    """A feature by its index, with a link to its page on Neuronpedia where the SAE has a name there.

    Args:
        feature: Its index.
        linked: The SAE's name on Neuronpedia.
    """
    name = f"Feature {feature}"
    if linked is None:
        return tag("span", name)
    place = f"https://www.neuronpedia.org/{quote(linked, safe='/')}/{feature}"
    link = tag("a", "Neuronpedia", href=place, rel="noreferrer", aria_label=f"Feature {feature} on Neuronpedia")
    return tag("span", name, " ", link)


def contexts(found: Sequence[Context]) -> Html:
    """List tokens in their contexts, each with its activation."""
    if not found:
        return tag("p", "No token that was read fires it.", class_="quiet")
    return tag("ul", *map(_context, found), class_="contexts")


def _context(context: Context) -> Html:
    before, token, after = (in_line(text) for text in (context.before, context.token, context.after))
    text = tag("bdi", before, *_marked(token), after)
    return tag("li", text, tag("span", number(context.activation), class_="quiet", title="activation"))


def scores(plan: Plan) -> Html:
    """List every score of every domain with its interval; the one that the recipe plans by comes first."""
    names, compared = scored(plan)
    columns = [SCORE_TITLES[name] for name in names]
    others = [*(title for title, _ in compared), "Forecast, relative"]
    learned = any(domain.forecast and domain.forecast.expected for domain in plan.domains.values())
    others += ["Expected change of its headline", "and of its behaviour"] if learned else []
    found = [*(SCORE_KEYS[name] for name in names), *(key for _, key in compared)]
    lines = [_scores_row(name, plan.domains[name], found, learned=learned) for name in plan.order()]
    note = WITHOUT_SAE if plan.sae is None else WITH_SAE
    return section(
        "Every score", tag("p", note), table("wide", ["Domain", *columns, *others], lines, "Every score of each domain")
    )


def scored(plan: Plan) -> tuple[list[ScoreName], list[tuple[str, str]]]:
    """The scores that can plan the rows, the one that does first, and those for comparison with their keys."""
    without = plan.sae is None
    pair: list[ScoreName] = ["preview", "stream"] if without else ["icl", "act"]
    return sorted(pair, key=lambda name: name != plan.score), [] if without else COMPARED


def _scores_row(name: str, domain: Domain, keys: Sequence[str], *, learned: bool) -> Html:
    intervals = [getattr(domain, key) for key in keys]
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


def features(drift: Drift, sae: Sae) -> Html:
    """List the drift dimensions, folded: index, shift, how often resampling selects each, and where it fires most."""
    known = {one.feature: one for one in drift.examples}
    lines = [
        row(
            _feature_header(index, sae.neuronpedia),
            cell(number(shift), kind="n"),
            cell(percent(chosen), kind="n"),
            *_where(known.get(index), recorded=bool(known)),
        )
        for index, shift, chosen in drift.features
    ]
    heads = ["Feature", "Shift", "Selected", "Fires most in", "Passage"]
    laid = table("features", heads, lines, "The drift dimensions, largest shift first")
    note = (
        "Shift: mean squared change of the feature's activation. Selected: share of resamples that choose it. Passage: "
        "where it fires most of all domains' query tokens that were read."
    )
    return tag("details", tag("summary", f"All {len(lines)} drift dimensions"), tag("p", note), laid)


def _feature_header(index: int, linked: str | None) -> Html:
    return tag("th", feature_name(index, linked), scope="row", role="rowheader")


def _where(found: FeatureExample | None, *, recorded: bool) -> list[Html]:
    """In which domain a drift dimension fires most, and the passage."""
    if found is None:
        return [cell(""), cell("no token that was read" if recorded else "not recorded", kind="quiet")]
    return [cell(found.domain), cell(shown_passage(found.context), kind="why")]
