"""Renders what a training changed, by domain and by feature, as one self-contained HTML page."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from mixplan.report.charts import Axis, line_chart, log_axis
from mixplan.report.example_answers import answers_of
from mixplan.report.markup import Html, tag
from mixplan.report.measured import NOTE, Named, measures_of, panels
from mixplan.report.measures import quantity
from mixplan.report.page import document
from mixplan.report.reasons import contexts, feature_name
from mixplan.report.tables import breakable, cell, contents, folded, header, row, section, table
from mixplan.report.text import number, percent, whole
from mixplan.report.text_tables import Sheet
from mixplan.report.verdict import day, small
from mixplan.runs import write_atomic
from mixplan.saved.diff import ChangedDomain, Diff, MovedFeature
from mixplan.saved.outcome import Change

LEADING = 2
"""Sentences of the summary that open the page."""
NAMED = 3


def write_difference(diff: Diff, folder: Path) -> Path:
    """Write the page.

    Args:
        diff: What was measured.
        folder: Its folder, for report.html.

    Raises:
        RunError: it cannot be written.
    """
    page = folder / "report.html"
    write_atomic(page, render(diff).encode())
    return page


def render(diff: Diff) -> str:
    """Render a comparison as one HTML document, which depends on it alone."""
    named: list[Named] = [(name, diff.domains[name]) for name in lost_first(diff)]
    said = [tag("li", sentence) for sentence in diff.summary[LEADING:]]
    findings = section("Findings", tag("ul", *said, class_="told")) if said else None
    opened = [
        section("Before and after", tag("p", NOTE), *panels(named)),
        _features(diff),
        _shifts(diff),
        answers_of(dict(named)),
        findings,
    ]
    parts = [*(part for part in opened if part is not None), folded(measures_of(named))]
    return document(named_both(diff), _top(diff), [_notices(diff), contents(parts), *parts])


def named_both(diff: Diff) -> str:
    """Which model is held against which, by the last parts of their names where these differ."""
    last = [name.rstrip("/").rpartition("/")[2] for name in (diff.trained, diff.base)]
    trained, base = last if last[0] != last[1] else (diff.trained, diff.base)
    return f"{trained} against {base}"


def lost_first(diff: Diff) -> list[str]:
    """The domains: those that lost, most first; then the rest by how far their features moved."""

    def place(name: str) -> tuple[int, float, str]:
        one = diff.domains[name]
        if one.change is not None and one.change.direction == "loss":
            return 0, -abs(one.change.change), name
        return 1, -(one.shift.total if one.shift else 0.0), name

    return sorted(diff.domains, key=place)


def repeated(diff: Diff) -> str:
    """The command that compares again."""
    return shlex.join(["mixplan", "diff", diff.base, diff.trained, "--domains", diff.suite, *diff.options])


def _top(diff: Diff) -> Html:
    facts = [
        tag("div", tag("dt", name), tag("dd", tag("b", *breakable(value)), small(rest)))
        for name, value, rest in _strip(diff)
    ]
    made = f" Made {day(diff.created)}." if diff.created else ""
    read_by = f"read by SAE {diff.sae.name}" if diff.sae else "not read by an SAE"
    return tag(
        "header",
        tag("p", "What a training changed", class_="kicker"),
        tag("h1", named_both(diff)),
        *(tag("p", sentence, class_="lead") for sentence in diff.summary[:LEADING]),
        tag("dl", *facts, class_="facts"),
        tag(
            "p",
            f"{diff.trained}, trained from {diff.base}. Both in {diff.dtype}, {read_by}. Domains: {diff.suite}.{made}",
            class_="quiet",
        ),
        tag("p", "To repeat it: ", tag("code", repeated(diff)), class_="quiet"),
    )


def _strip(diff: Diff) -> Iterator[tuple[str, str, str]]:
    """The facts that a reader asks for first: what was lost, what gained, where behaviour and features moved.

    Yields:
        A name, its value, and what is said beneath it.
    """
    measured = {name: one.change for name, one in diff.domains.items() if one.change}
    for title, direction in (("Domains that lost", "loss"), ("Domains that gained", "gain")):
        those = [name for name, change in measured.items() if change.direction == direction]
        listed = [f"{name} {_changed(diff.domains[name])}" for name in those[:NAMED]]
        rest = f"; {len(those) - NAMED} more" if len(those) > NAMED else ""
        yield title, f"{len(those)} of {len(measured)}", f"{'; '.join(listed)}{rest}" if those else "none beyond noise"
    kl = {
        name: one.measures["behaviour"]["kl"].change
        for name, one in diff.domains.items()
        if "behaviour" in one.measures
    }
    if kl:
        most = max(kl, key=lambda name: kl[name])
        yield "Behaviour moved most in", most, f"{quantity('kl').change(kl[most])} a token"
    shifts = {name: one.shift.total for name, one in diff.domains.items() if one.shift}
    if shifts:
        most = max(shifts, key=lambda name: shifts[name])
        held = percent(sum(one.share for one in diff.features))
        yield "Features moved most in", most, f"{len(diff.features)} features hold {held} of the shift over all domains"
    else:
        yield "Features", "not read" if diff.sae is None else "none moved", diff.without_sae or "nothing below the SAE"


def _behaviour(one: ChangedDomain) -> Change | None:
    """How far the trained model's answers are from the untrained one's."""
    return one.measures.get("behaviour", {}).get("kl")


def _changed(one: ChangedDomain) -> str:
    return quantity(one.quantity).change(one.change.change) if one.change else ""


def _notices(diff: Diff) -> Html | None:
    if not diff.warnings:
        return None
    listed = tag("ul", *(tag("li", notice) for notice in diff.warnings))
    return tag(
        "section", tag("h2", "What to know", id="warnings"), listed, class_="warnings", aria_labelledby="warnings"
    )


def _features(diff: Diff) -> Html | None:
    """List the features that moved most, each with where it did and what fires it."""
    if not diff.features or diff.sae is None:
        return None
    points = [(float(top), share) for top, share in diff.concentration]
    note = (
        "Shift: mean squared change of a feature's activation over query tokens that both models read, each domain "
        f"weighing alike. Of the SAE's {whole(diff.sae.d_sae)} features, these moved most; beneath each, the "
        "tokens that fire it in the domain where it moved most."
    )
    chart = None
    if len(points) > 1:
        x = log_axis("Features, largest shift first (log scale)", float(max(diff.sae.d_sae, 2)), whole)
        y = Axis("Share of the whole shift", [0, 0.25, 0.5, 0.75, 1], 0, 1, lambda share: f"{100 * share:.0f} %")
        chart = line_chart(points, x, y, summary="How concentrated the shift is.", dots=[])
    folds = [_fold(one, diff.sae.neuronpedia, first=one is diff.features[0]) for one in diff.features]
    return section("Features that moved", tag("p", note), chart, *folds)


def _fold(one: MovedFeature, linked: str | None, *, first: bool) -> Html:
    told = (
        f"{percent(one.share)} of the shift; most in {one.domain} ({percent(one.domain_share)} of its own), mean "
        f"activation {number(one.before)} before, {number(one.after)} after"
    )
    told += "; silenced: its tokens are those of the untrained model" if one.silenced and one.contexts else ""
    summary = tag("summary", tag("b", f"Feature {one.feature} "), tag("span", told, class_="quiet"))
    title = tag("p", feature_name(one.feature, linked)) if linked else None
    listed = tag("div", title, contexts(one.contexts), class_="reason")
    return tag("details", summary, listed, open="" if first else None)


def _shifts(diff: Diff) -> Html | None:
    """How far each domain's features moved, and which."""
    found = {name: one.shift for name, one in diff.domains.items() if one.shift}
    if not found:
        return None
    lines = [
        row(
            header(name),
            cell(number(shift.total), kind="n"),
            cell(number(shift.raw), kind="n"),
            cell(whole(shift.tokens), kind="n"),
            cell(", ".join(f"{feature} ({percent(share)})" for feature, share in shift.features)),
        )
        for name, shift in sorted(found.items(), key=lambda entry: -entry[1].total)
    ]
    note = "Mean squared change of a query token's activations, summed over the SAE's features, and of the raw stream."
    heads = [
        "Domain",
        "Features' shift",
        "Raw stream's",
        "Query tokens",
        "Features that moved most (share of the shift)",
    ]
    return section("Shift by domain", tag("p", note), table("wide", heads, lines, "Shift of each domain"))


def sheets(diff: Diff) -> list[Sheet]:
    """The tables for a terminal: every domain, then the features that moved most."""
    domains = [_domain_line(name, diff.domains[name]) for name in lost_first(diff)]
    heads = ("domain", "before", "after", "change", "95 %", "KL, nats", "features' shift", "verdict")
    need = (0, 4, 5, 0, 2, 3, 1, 1)
    found = [Sheet("Before and after", heads, tuple(domains), need, words=True).filled()]
    if diff.features:
        lines = [
            (str(one.feature), percent(one.share), one.domain, number(one.before), number(one.after), _passage(one))
            for one in diff.features[:OF_TERMINAL]
        ]
        titles = ("feature", "of shift", "most in", "before", "after", "fires on")
        found.append(Sheet("Features that moved most", titles, tuple(lines), (0, 0, 1, 3, 3, 2), words=True))
    return found


OF_TERMINAL = 8
"""Features on the terminal; the page has more."""
PASSAGE = 30
"""Characters of a passage on the terminal."""


def _passage(one: MovedFeature) -> str:
    if not one.contexts:
        return ""
    context = one.contexts[0]
    text = " ".join(f"{context.before[-PASSAGE:]}[{context.token}]".split())
    return text[-PASSAGE:]


def _domain_line(name: str, one: ChangedDomain) -> tuple[str, ...]:
    kl = _behaviour(one)
    moved = (f"{kl.change:.3g}" if kl else "", number(one.shift.total) if one.shift else "")
    change, unit = one.change, quantity(one.quantity)
    if change is None:
        return (name, "", "", "", "", *moved, "not measured")
    return (
        name,
        unit.value(change.before),
        unit.value(change.after),
        unit.change(change.change),
        unit.bounds(change.low, change.high),
        *moved,
        change.direction,
    )
