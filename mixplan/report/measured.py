"""Renders the page's first sections of a measured run: what was wrong, and every domain before and after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mixplan.outcome.units import counted
from mixplan.report.charts import Axis
from mixplan.report.markup import Html, join, tag
from mixplan.report.measures import WORDS, Quantity, forecast_line, quantity
from mixplan.report.plots import axis_over, axis_strip, dumbbell, interval_strip
from mixplan.report.sentences import said_first, wrong
from mixplan.report.tables import cell, header, row, section, table
from mixplan.report.text import percent, plain, whole
from mixplan.report.text_tables import lost_first, order
from mixplan.saved.base_types import Expected
from mixplan.saved.outcome import Change, Domain, Measured, Outcome, Relative
from mixplan.saved.plan import Plan

GRADES = ("right", "wrong", "unparsable", "truncated")

NOTE = (
    "Ring: before training. Dot: after. Whisker: the change's 95 % interval, from paired items. Shaded: the noise "
    "floor, within which a change says nothing."
)
"""What the marks of a change mean."""

Named = tuple[str, Measured]


def notices(plan: Plan, outcome: Outcome) -> Html | None:
    """Say first what was wrong, then what else to know: the warnings of outcome and plan."""
    missed = wrong(plan, outcome)
    others = [notice for notice in said_first(plan, outcome) if notice not in missed]
    parts = [("What was wrong", "wrong", missed), ("What to know", "warnings", others)]
    shown = [
        tag(
            "section", tag("h2", title, id=name), tag("ul", *(tag("li", notice) for notice in listed)),
            class_="warnings", aria_labelledby=name,
        )
        for title, name, listed in parts
        if listed
    ]  # fmt: skip
    return join(shown) if shown else None


def before_and_after(plan: Plan, outcome: Outcome) -> Html:
    """Draw every domain's headline before and after, one panel for each quantity: the target, then what lost."""
    named, note = _named(plan, outcome), NOTE
    if any(domain.expected for domain in outcome.domains.values()):
        note += " Bracket below: where the forecast put it."
    return section("Before and after", tag("p", note), *panels(named), tag("p", outcome.forecast.text))


def panels(named: Sequence[Named]) -> list[Html | None]:
    """Draw headlines before and after, one panel for each quantity, with what the marks mean and what has none."""
    quantities = dict.fromkeys(measured.quantity for _, measured in named if measured.quantity)
    drawn = [_panel(key, [(n, m) for n, m in named if m.quantity == key]) for key in quantities]
    missing = [name for name, measured in named if measured.change is None]
    absent = tag("p", f"Not measured: {', '.join(missing)}.", class_="quiet") if missing else None
    return [_legend(named), *drawn, absent]


def _named(plan: Plan, outcome: Outcome) -> list[Named]:
    return [*outcome.taught().items(), *((name, outcome.domains[name]) for name in lost_first(plan, outcome))]


def _legend(named: Iterable[Named]) -> Html:
    found = {measured.change.direction for _, measured in named if measured.change}
    marks = [tag("span", tag("i", class_=kind), word) for kind, word in WORDS.items() if kind in found]
    return tag("p", *marks, class_="legend")


def _panel(key: str, named: Sequence[Named]) -> Html:
    """One quantity's dumbbells over a common axis."""
    unit = quantity(key)
    ends = [end for _, measured in named for end in _ends(measured)]
    axis = axis_over(unit.title, ends, unit.tick, (unit.least, unit.most))
    lines = [_line(name, measured, unit, axis) for name, measured in named]
    foot = row(header(""), cell(axis_strip(axis), kind="score"), cell(""), cell(""), kind="foot")
    heads = ["Domain", "Before and after", "Change with 95 % interval", "Verdict"]
    return tag(
        "div",
        tag("h3", _heading(unit)),
        table("cards dumbbells", heads, [*lines, foot], f"Before and after: {_heading(unit)}"),
    )


def _heading(unit: Quantity) -> str:
    return f"{unit.title} ({unit.unit})" if unit.unit and unit.unit != "%" else unit.title


def _ends(measured: Measured) -> list[float]:
    change = measured.change
    if change is None:
        return []
    expected = _expected(measured)
    ends = [change.before, change.after, change.before + change.low, change.before + change.high]
    return ends + ([change.before + expected.low, change.before + expected.high] if expected else [])


def _expected(measured: Measured) -> Expected | None:
    return measured.expected if isinstance(measured, Domain) else None


def _line(name: str, measured: Measured, unit: Quantity, axis: Axis) -> Html:
    change, key = measured.change, measured.quantity
    if change is None or key is None:
        return row(header(name), cell("not measured"), cell(""), cell(""))
    expected = _expected(measured)
    passage = f"{unit.value(change.before)} to {unit.value(change.after)}, {counted(change.items, 'item')}"
    foretold = tag("span", f"forecast {forecast_line(key, expected)}", class_="quiet line") if expected else None
    amount = tag("b", unit.change(change.change))
    return row(
        header(name),
        cell(dumbbell(change, expected, axis), tag("span", passage, class_="quiet figures"), kind="score"),
        cell(amount, " ", tag("span", unit.bounds(change.low, change.high), class_="quiet"), foretold or "", kind="n"),
        _verdict(change, measured),
        kind="first" if name == "target" else None,
    )


def _verdict(change: Change, measured: Measured) -> Html:
    mark = tag("span", tag("i", class_=change.direction), WORDS[change.direction], class_="mark")
    outside = isinstance(measured, Domain) and measured.outside_forecast
    return cell(mark, tag("span", "outside its forecast", class_="quiet line") if outside else "", kind="verdict")


def relative(plan: Plan, outcome: Outcome) -> Html | None:
    """Set each domain's forecast share of all domains' change beside its measured share."""
    told = [(name, risk) for name in order(plan, outcome) if (risk := outcome.domains[name].relative)]
    if not told:
        return None
    ends = [end for _, risk in told for end in (risk.low, risk.high, risk.measured_low, risk.measured_high)]
    axis = axis_over("Share of all domains' change", [0, *ends], lambda share: f"{plain(100 * share)} %", (0, 1))
    lines = [_shares_row(name, risk, axis, outside=bool(outcome.domains[name].outside_forecast)) for name, risk in told]
    foot = row(header(""), cell(axis_strip(axis), kind="score"), cell(""), cell(""), kind="foot")
    unit = quantity(told[0][1].quantity).subject
    note = f"Each domain's share of all domains' change ({unit}): band, as forecast; dot with whisker, as measured."
    heads = ["Domain", "Forecast and measured", "Forecast", "Measured"]
    return section(
        "Relative forecast",
        tag("p", note),
        table("cards bars", heads, [*lines, foot], "Forecast and measured share of all domains' change"),
    )


def _shares_row(name: str, risk: Relative, axis: Axis, *, outside: bool) -> Html:
    span, band = (risk.measured_low, risk.measured_high), (risk.low, risk.high)
    picture = interval_strip(risk.measured, span, axis, "loss" if outside else "moved", range_=band)
    found = tag("b", percent(risk.measured))
    told = tag("span", "outside", class_="quiet line") if outside else ""
    return row(
        header(name),
        cell(picture, kind="score"),
        cell(percent(risk.share), kind="n share"),
        cell(found, told, kind="n"),
    )


def every_measure(plan: Plan, outcome: Outcome) -> Html:
    """List every quantity of every measure, and how answers were graded."""
    return measures_of(_named(plan, outcome))


def measures_of(named: Sequence[Named]) -> Html:
    """The section Every measure."""
    lines = [
        _quantity_row(name, measured, measure, key, change)
        for name, measured in named
        for measure, changes in measured.measures.items()
        for key, change in changes.items()
    ]
    heads = ["Domain", "Measure", "Before", "After", "Change", "95 % interval", "Noise floor", "Items", "Verdict"]
    heads.insert(2, "Expected")
    return section("Every measure", table("wide", heads, lines, "Every measure of each domain"), *_graded(named))


def _graded(named: Sequence[Named]) -> list[Html]:
    """Count how generated answers were graded, before and after, so that a cut answer is not taken for a wrong one."""
    found = [(name, measured.answers) for name, measured in named if measured.answers]
    if not found:
        return []
    words = list(dict.fromkeys(word for _, answers in found for word in (*GRADES, *answers.before, *answers.after)))
    lines = [
        row(
            header(name),
            *(
                cell(f"{whole(answers.before.get(word, 0))} to {whole(answers.after.get(word, 0))}", kind="n")
                for word in words
            ),
        )
        for name, answers in found
    ]
    heads = ["Domain", *(word.capitalize() for word in words)]
    title = "How generated answers were graded, before to after"
    return [tag("h3", title), table("wide", heads, lines, title)]


def _quantity_row(name: str, measured: Measured, measure: str, key: str, change: Change) -> Html:
    unit = quantity(key)
    known = [measured.expected, measured.expected_behaviour] if isinstance(measured, Domain) else []
    expected = next((e for e in known if e and (e.measure, e.quantity) == (measure, key)), None)
    figures = (unit.value(change.before), unit.value(change.after), unit.change(change.change))
    ends = (unit.bounds(change.low, change.high), unit.noise(change.noise), whole(change.items))
    return row(
        header(name),
        cell(f"{measure}: {unit.subject}"),
        cell(forecast_line(key, expected), kind="n"),
        *(cell(figure, kind="n") for figure in (*figures, *ends)),
        cell(WORDS[change.direction]),
    )
