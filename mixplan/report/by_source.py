"""Reports a target of several sources: how much of each the mixture has, and which puts which domain at risk."""

from __future__ import annotations

from mixplan.report.markup import Html, tag
from mixplan.report.tables import cell, header, row, section, table
from mixplan.report.text import number, percent, whole
from mixplan.saved.plan import Plan

NAMED = 3
"""Sources named on the terminal."""


def risk_of(plan: Plan, domain: str) -> dict[str, float]:
    """A domain's planning score over each source's own drift dimensions, by source."""
    found = plan.domains[domain].by_source
    return {source: one.sts_icl if plan.score == "icl" else one.sts_act for source, one in found.items()}


def most_exposed(plan: Plan) -> str:
    """Name the domain that each source puts most at risk, in one sentence; empty with one source or without an SAE."""
    sources = list(plan.target.sources)
    if not sources or plan.sae is None:
        return ""
    exposed = [f"{name} {_most(plan, name)}" for name in sources[:NAMED]]
    more = f" and {len(sources) - NAMED} more sources in the report" if len(sources) > NAMED else ""
    return f"Most exposed by source: {', '.join(exposed)}{more}."


def _most(plan: Plan, source: str) -> str:
    risks = {domain: risk_of(plan, domain).get(source, 0.0) for domain in plan.domains}
    return min(risks, key=lambda name: (-risks[name], name))


def by_source(plan: Plan) -> Html | None:
    """Show which source puts which domain at risk; None for a target of one source, or without an SAE."""
    sources = plan.target.sources
    if not sources or plan.sae is None:
        return None
    taught = plan.taught()
    held = [
        row(
            header(f"target.{name}"),
            cell(whole(data.mixture_rows), kind="n"),
            cell(percent(taught[f"target.{name}"][1]) if f"target.{name}" in taught else "", kind="n"),
            cell(f"{whole(data.in_target)} of {whole(len(data.features))}", kind="n"),
            cell(whole(data.query_tokens), kind="n"),
        )
        for name, data in sources.items()
    ]
    heads = ["Source", "Rows", "Ratio", "Drift dimensions that the whole target has too", "Query tokens"]
    note = (
        "Each source was read by itself too, behind its own worked examples, and has drift dimensions of its own; all "
        "sources together took as many query tokens as the target as a whole."
    )
    at_risk = (
        f"Below, each domain's {plan.score_name} over the drift dimensions of one source alone, without interval; a "
        "domain's highest is bold. The rows are planned by the whole target's."
    )
    scores = [_scores_row(plan, name) for name in plan.order()]
    return section(
        "By source",
        tag("p", note),
        table("wide", heads, held, "Rows and drift dimensions of each source of the target"),
        tag("p", at_risk),
        table("wide", ["Domain", *sources, "Whole target"], scores, f"{plan.score_name} of each domain by source"),
    )


def _scores_row(plan: Plan, domain: str) -> Html:
    risks = risk_of(plan, domain)
    highest = max(risks.values(), default=0.0)
    cells = [
        cell(tag("b", number(risk)) if risk == highest and risk > 0 else number(risk), kind="n")
        for risk in (risks.get(source, 0.0) for source in plan.target.sources)
    ]
    return row(header(domain), *cells, cell(number(plan.score_of(domain).value), kind="n quiet"))
