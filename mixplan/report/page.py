"""Renders a plan and its outcome as one self-contained HTML page: no network, no scripts, the same bytes each time."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from mixplan.errors import RunError
from mixplan.report import outcome_header, provenance, reasons
from mixplan.report.actual import actual
from mixplan.report.arms import compared
from mixplan.report.by_source import by_source
from mixplan.report.charts import Axis, line_chart, log_axis, round_ticks, score_bar, share_bar
from mixplan.report.example_answers import answers
from mixplan.report.levers import levers_section
from mixplan.report.markup import Html, tag
from mixplan.report.measured import before_and_after, every_measure, notices, relative
from mixplan.report.paired_items import paired
from mixplan.report.pilot import learned_from, pilot_section
from mixplan.report.predicted import predicted
from mixplan.report.sentences import told_by
from mixplan.report.spreads import spreads_section, total_section
from mixplan.report.tables import cell, contents, folded, header, row, section, table
from mixplan.report.text import best_context, bounds, expected_ends, number, percent, stability_sentence, whole
from mixplan.report.tolerances import held_section, planned_section
from mixplan.report.training import training
from mixplan.report.trajectories import measured_in, while_it_trained
from mixplan.report.verdict import top
from mixplan.report.without_sae import title as title_of
from mixplan.report.without_sae import without_sae
from mixplan.runs import PROTECTED, quoted, write_atomic
from mixplan.saved.base_types import Interval
from mixplan.saved.outcome import Outcome
from mixplan.saved.plan import Plan
from mixplan.saved.trajectory import Named

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The browser itself holds the page to what it claims: nothing is fetched and nothing runs."""

STYLES = ("page.css", "outcome.css")

MEANING = {
    "icl": "how far a domain's own worked examples move the features that this job is expected to move",
    "act": "how strongly a domain uses the features that this job is expected to move",
    "preview": "how far the target's worked examples, put in front of a domain's questions, move the model's next "
    "tokens along its own answers: KL divergence in nats per token. No SAE was read, and it is no STS",
    "stream": "how far the target's worked examples, put in front of a domain's questions, move the model's residual "
    "stream at its reference answers' tokens: a mean squared change. No SAE was read, and it is no STS",
}


def write_page(plan: Plan, run: Path, outcome: Outcome | None = None, *, file: Path | None = None) -> Path:
    """Write a run's page.

    Args:
        plan: The saved plan.
        run: The run folder.
        outcome: The saved outcome; None before training.
        file: Where to; the run folder's report.html when None.

    Returns:
        The page's path.

    Raises:
        RunError: it cannot be written.
    """
    page = file or run / "report.html"
    try:
        write_atomic(page, render(plan, outcome, measured_in(run)).encode())
    except RunError as error:
        if file is not None or not isinstance(error.__cause__, OSError) or error.__cause__.errno not in PROTECTED:
            raise
        raise RunError(
            f"{page}: no permission to write here. Write the page elsewhere: `mixplan report {quoted(run)} --out FILE`."
        ) from error
    return page


def render(plan: Plan, outcome: Outcome | None = None, watched: Sequence[Named] = ()) -> str:
    """Render a run as one HTML document.

    Args:
        plan: The saved plan.
        outcome: The saved outcome; None before training.
        watched: What was measured while models trained.

    Returns:
        The document; it depends on these alone.
    """
    meanwhile = [while_it_trained(named) for named in watched]
    if outcome is None:
        planned = [*meanwhile, *_planned(plan)]
        return document(f"{plan.name}: mixture plan", top(plan), [_notices(plan), contents(planned), *planned])
    measured = [*_measured(plan, outcome, meanwhile), *_planned(plan, fold=True)]
    opening = [notices(plan, outcome), contents(measured)]
    return document(f"{plan.name}: outcome", outcome_header.top(plan, outcome), [*opening, *measured])


def document(title: str, top: Html, sections: Sequence[Html | None]) -> str:
    """Put a page's parts into one HTML document.

    Args:
        title: The window's title.
        top: The header.
        sections: The parts, in order; None is left out.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("link", rel="icon", href="data:,"),
        tag("style", *(Html(_style(name)) for name in STYLES)),
    )
    body = tag("body", top, tag("main", *sections))
    return "<!DOCTYPE html>\n" + tag("html", head, "\n", body, lang="en") + "\n"


def _style(name: str) -> str:
    return resources.files("mixplan.report").joinpath(name).read_text(encoding="utf-8")


def _measured(plan: Plan, outcome: Outcome, meanwhile: Sequence[Html]) -> list[Html | None]:
    """The outcome's sections: changes, answers and compared arms are open, and what they rest on is folded."""
    said = [tag("li", sentence) for sentence in outcome_header.further(outcome)]
    findings = section("Findings", tag("ul", *said, class_="told")) if said else None
    further = [relative(plan, outcome), predicted(plan, outcome), actual(plan, outcome), paired(outcome)]
    further += [training(outcome), every_measure(plan, outcome)]
    opened = [held_section(outcome), before_and_after(plan, outcome), answers(plan, outcome), findings]
    opened += [compared(outcome), *meanwhile]
    return [*opened, *(None if part is None else folded(part) for part in further)]


def _planned(plan: Plan, *, fold: bool = False) -> list[Html | None]:
    """The plan's sections: what its mixture rests on is folded, on an outcome's page the mixture too."""
    further = [
        *(_uniform(plan), _limits(plan), _budget(plan)),
        *(_drift(plan), by_source(plan), reasons.why(plan), reasons.scores(plan), *provenance.sections(plan)),
    ]
    mixture = _mixture(plan)
    held = planned_section(plan, "Tolerances as planned" if fold else "Tolerances")
    opened = [held, mixture, pilot_section(plan), total_section(plan), spreads_section(plan), levers_section(plan)]
    if fold:
        opened = [None if part is None else folded(part) for part in opened]
    return [*opened, *(None if part is None else folded(part) for part in further)]


def _notices(plan: Plan) -> Html | None:
    if not (notices := plan.notices()):
        return None
    title = "1 warning" if len(notices) == 1 else f"{len(notices)} warnings"
    listed = tag("ul", *(tag("li", notice) for notice in notices))
    return tag("section", tag("h2", title, id="warnings"), listed, class_="warnings", aria_labelledby="warnings")


def _mixture(plan: Plan) -> Html:
    planned_by = {name: _planned_by(plan, name) for name in plan.order()}
    changes = plan.forecast.planned_by == "behaviour"
    title = "Expected change of behaviour (nats per token)" if changes else plan.score_name
    title = title[0].upper() + title[1:]
    heads = ["Domain", f"{title} with 95 % interval", "Rows", "Ratio (rows)"]
    heads += ["Where its leading feature fires most"] if plan.sae else []
    highest = max(max(found.high, found.value) for found in planned_by.values())
    lines = [_domain_row(plan, name, found, highest) for name, found in planned_by.items()]
    lines += [_target_row(name, *found, told=plan.sae is not None) for name, found in plan.taught().items()]
    note = (
        f"{learned_from(plan) if changes else ''}"
        f"{title_of(plan)} is {MEANING[plan.score]}. A higher score predicts a larger "
        f"change, not its sign. The ratio is a domain's share of all the mixture's rows. "
        f"{stability_sentence(plan.ranking, plan.score_name)}"
    )
    voices = plan.mixture.voices() if plan.mixture else []
    rests = (tag("p", sentence) for sentence in (plan.forecast.text, *plan.forecast.evidence, *voices))
    return section(
        "The mixture", tag("p", note), table("cards answer", heads, lines, f"{title} and rows of each domain"), *rests
    )


def _planned_by(plan: Plan, name: str) -> Interval:
    """What planned a domain's rows: its expected change, or its score."""
    expected = plan.expected_of(name)
    if expected is None:
        return plan.score_of(name)
    return Interval(value=expected.change, low=expected.low, high=expected.high)


def _domain_row(plan: Plan, name: str, found: Interval, highest: float) -> Html:
    expected = plan.expected_of(name)
    digits = 2 if expected else 3
    span = tag("span", expected_ends(expected) if expected else bounds(found), class_="quiet")
    figures = tag("span", tag("b", number(found.value, digits)), " ", span, class_="figures")
    return row(
        header(name),
        cell(score_bar(found, highest), figures, kind="score"),
        cell(whole(plan.allocation.rows[name]), kind="n rows"),
        cell(percent(plan.allocation.ratios[name]), kind="n ratio"),
        *([cell(*_example(plan, name), kind="why")] if plan.sae else []),
    )


def _example(plan: Plan, name: str) -> list[Html]:
    best = best_context(plan.domains[name])
    return [reasons.shown_passage(best)] if best else []


def _target_row(name: str, rows: int, ratio: float, *, told: bool) -> Html:
    whole_row = [cell("", kind="score"), cell(whole(rows), kind="n rows"), cell(percent(ratio), kind="n ratio")]
    return row(header(name), *whole_row, *([cell("", kind="why")] if told else []), kind="target")


def _uniform(plan: Plan) -> Html:
    allocation = plan.allocation
    highest = max(*allocation.shares.values(), *allocation.uniform.values(), 0.0)
    lines = [
        row(
            header(name),
            cell(share_bar(allocation.shares[name], allocation.uniform[name], highest), kind="score"),
            cell(percent(allocation.shares[name]), kind="n"),
            cell(percent(allocation.uniform[name]), kind="n quiet even"),
        )
        for name in plan.order()
    ]
    note = (
        f"Shares of the {whole(allocation.budget)} extra {allocation.unit}; the tick is the uniform share. "
        f"Distance from uniform {number(allocation.distance_from_uniform, 2)}, from size-proportional "
        f"{number(allocation.distance_from_size, 2)} (0 is equal, 1 is disjoint)."
    )
    heads = ["Domain", "Share against uniform", "Share", "Uniform"]
    notes = (tag("p", text) for text in allocation.notes)
    laid = table("cards bars", heads, lines, "Planned share of each domain against the uniform share")
    return section("Against uniform", tag("p", note), laid, *notes)


def _limits(plan: Plan) -> Html | None:
    if not plan.allocation.duals:
        return None
    pairs = [tag("div", tag("dt", dual.limit), tag("dd", dual.text)) for dual in plan.allocation.duals]
    return section("What looser limits would bring", tag("dl", *pairs, class_="pairs"))


def _budget(plan: Plan) -> Html | None:
    """Draw remaining loss against the budget, and list the rows behind each point."""
    curve = sorted(plan.allocation.curve, key=lambda point: point.budget)
    if len(curve) < 2:
        return None
    unit, budgets = plan.allocation.unit, [float(point.budget) for point in curve]
    points = [(float(point.budget), point.remaining_loss) for point in curve]
    ticks = round_ticks(max(loss for _, loss in points))
    x = Axis(f"Extra {unit}", budgets, budgets[0], budgets[-1], whole)
    y = Axis("Expected remaining loss", ticks, 0, ticks[-1], number)
    ends = f"from {number(points[0][1])} at {whole(budgets[0])} to {number(points[-1][1])} at {whole(budgets[-1])}"
    summary = f"Expected remaining loss against extra {unit}: {ends}."
    lines = [row(header(name), *(cell(whole(p.rows[name]), kind="n") for p in curve)) for name in plan.order()]
    lines.append(row(header("Remaining loss"), *(cell(number(loss), kind="n") for _, loss in points), kind="target"))
    heads = ["Rows at a budget of", *(whole(budget) for budget in budgets)]
    chart = line_chart(points, x, y, summary=summary, dots=[(point, "") for point in points])
    return section(
        f"Where the next {unit.removesuffix('s')} stops paying",
        tag("p", summary),
        chart,
        table("wide", heads, lines, "Rows of each domain and remaining loss at each budget"),
    )


def _drift(plan: Plan) -> Html | None:
    """The drift dimensions; without an SAE, why there are none."""
    drift, sae = plan.drift, plan.sae
    if drift is None or sae is None:
        return without_sae(plan)
    count = len(drift.features)
    note = (
        "Drift dimensions are the SAE's features that this job is expected to move most; by them domains are scored. "
        f"{told_by(drift)} Of the SAE's {whole(sae.d_sae)} features, the {count} that move most hold "
        f"{percent(drift.share_of_shift)} of the whole shift; as many raw activations hold "
        f"{percent(drift.raw_share_of_shift)} of theirs. Stability over {drift.draws} demonstration draws "
        f"{number(drift.stability, 2)}: {drift.of}."
    )
    points = [(float(top), share) for top, share in drift.concentration]
    x = log_axis("Features, largest shift first (log scale)", float(max(sae.d_sae, 2)), whole)
    y = Axis("Share of the whole shift", [0, 0.25, 0.5, 0.75, 1], 0, 1, lambda share: f"{100 * share:.0f} %")
    mark = [((float(count), drift.share_of_shift), f"{count} features: {percent(drift.share_of_shift)}")]
    chart = line_chart(points, x, y, summary=note, dots=mark) if points else None
    return section("Drift dimensions", tag("p", note), chart, reasons.features(drift, sae))
