"""Renders the page's closing sections, on the data, model and hashes that the plan was made from."""

from __future__ import annotations

from mixplan.report.markup import Html, tag
from mixplan.report.tables import cell, header, row, section, table
from mixplan.report.text import number, percent, whole
from mixplan.saved.plan import Domain, Plan, SourceData, Target


def sections(plan: Plan) -> list[Html]:
    """Say what was read, by which model and SAE, and the hashes that fix the plan.

    Args:
        plan: The saved plan.

    Returns:
        The sections Data, Model and SAE (Model without one), and Provenance.
    """
    return [_data(plan), _model(plan), _provenance(plan)]


def _data(plan: Plan) -> Html:
    heads = [
        "Domain",
        "Rows in the source",
        "Evaluation",
        "Query",
        "Demonstration",
        "Pool",
        "Query tokens",
        "Licence",
        "Left out",
        "Changed",
    ]
    lines = [_data_row("target", plan.target)]
    lines += [_data_row(f"target.{name}", source) for name, source in plan.target.sources.items()]
    lines += [*(_data_row(name, plan.domains[name]) for name in plan.order())]
    note = (
        "Rows in each part. Evaluation rows are held out: no other part of any domain has one, or a duplicate of one. "
        "Query and demonstration rows are in the pool too, unless `split.apart` keeps them out. A target demonstration "
        f"is {number(plan.target.demonstration_tokens_mean)} tokens long on average."
    )
    stopped = [tag("p", plan.stopped.text)] if plan.stopped else []
    return section(
        "Data",
        tag("p", note),
        *stopped,
        table("wide", heads, lines, "Rows, licence and what was left out of each data source"),
    )


def _data_row(name: str, data: Target | SourceData | Domain) -> Html:
    splits = (data.rows.evaluation, data.rows.query, data.rows.demonstration, data.rows.pool, data.query_tokens)
    counts = [cell(whole(count), kind="n") for count in splits]
    source = cell("not recorded" if data.source_rows is None else whole(data.source_rows), kind="n")
    causes = [cell(_causes(found)) for found in (data.dropped, data.changed)]
    return row(header(name), source, *counts, cell(data.licence or "not known"), *causes)


def _causes(found: dict[str, int]) -> str:
    return ", ".join(f"{whole(count)} {cause}" for cause, count in sorted(found.items()) if count) or "none"


def _model(plan: Plan) -> Html:
    model, sae = plan.model, plan.sae
    read = (
        ("Model", f"{model.name}, {whole(model.parameters)} parameters"),
        ("Run as", f"{model.dtype} on {model.device}: {model.why_dtype}"),
    )
    if sae is None:
        return section("Model", _pairs(*read, ("SAE", "none")))
    health = sae.health
    verdict = "fits these tokens" if health.fits else "does not fit these tokens: see the warnings"
    return section(
        "Model and SAE",
        _pairs(
            *read,
            ("SAE", f"{sae.name}, {sae.kind}, {whole(sae.d_in)} to {whole(sae.d_sae)} features"),
            ("Read at", f"{sae.hook_name}, layer {sae.layer}"),
            ("SAE health", f"{verdict} ({whole(health.tokens)} read)"),
            ("Variance unexplained", percent(health.fvu)),
            ("Features on for a token (L0)", number(health.l0)),
            ("Dead features", percent(health.dead_share)),
        ),
    )


def _provenance(plan: Plan) -> Html:
    mixture = plan.mixture
    written = f"{mixture.folder}, {whole(mixture.rows)} rows, TRL config {mixture.config}" if mixture else "not written"
    hashes = [tag("div", tag("dt", what), tag("dd", tag("code", value))) for what, value in plan.hashes.items()]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(plan.libraries.items()))
    times = plan.allocation.max_repeats
    repeats = f"{plan.allocation.objective}, each row used at most {'once' if times == 1 else f'{times} times'}"
    facts = _pairs(
        ("Objective", repeats),
        ("Mixture", written),
        ("mixplan", plan.mixplan),
        ("Libraries", versions),
        ("Seconds", _amounts(plan.seconds)),
        ("Tokens", _amounts(plan.tokens)),
    )
    return section("Provenance", facts, tag("h3", "Hashes (SHA-256)"), tag("dl", *hashes, class_="pairs hashes"))


def _amounts(amounts: dict[str, float]) -> str:
    return ", ".join(f"{name} {number(amount)}" for name, amount in amounts.items()) or "not recorded"


def _pairs(*pairs: tuple[str, str]) -> Html:
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs), class_="pairs")
