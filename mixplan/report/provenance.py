"""A plan's data, model and hashes in, the page's closing sections out: what the answer was made from."""

from __future__ import annotations

from mixplan.report.markup import Html, tag
from mixplan.report.plan import Data, Plan
from mixplan.report.tables import cell, header, row, section, table
from mixplan.report.text import number, percent, whole


def sections(plan: Plan) -> list[Html]:
    """Say what was read, by which model and SAE, and the hashes that fix the plan.

    Args:
        plan: The saved plan.

    Returns:
        The sections Data, Model and SAE, and Provenance.
    """
    return [_data(plan), _model(plan), _provenance(plan)]


def _data(plan: Plan) -> Html:
    heads = ["Domain", "Evaluation", "Query", "Demonstration", "Pool", "Query tokens", "Licence", "Dropped rows"]
    lines = [_data_row("target", plan.target), *(_data_row(name, plan.domains[name]) for name in plan.order())]
    note = (
        "Rows in each split; no row or duplicate is in two of them. A target demonstration is "
        f"{number(plan.target.demonstration_tokens_mean)} tokens long on average."
    )
    return section("Data", tag("p", note), table("wide", heads, lines))


def _data_row(name: str, data: Data) -> Html:
    splits = (data.rows.evaluation, data.rows.query, data.rows.demonstration, data.rows.pool, data.query_tokens)
    dropped = ", ".join(f"{whole(count)} {reason}" for reason, count in sorted(data.dropped.items()) if count)
    counts = [cell(whole(count), kind="n") for count in splits]
    return row(header(name), *counts, cell(data.licence or "not known"), cell(dropped or "none"))


def _model(plan: Plan) -> Html:
    model, sae, health = plan.model, plan.sae, plan.sae.health
    verdict = "fits these tokens" if health.fits else "does not fit these tokens: see the warnings"
    return section(
        "Model and SAE",
        _pairs(
            ("Model", f"{model.name}, {whole(model.parameters)} parameters"),
            ("Run as", f"{model.dtype} on {model.device}: {model.why_dtype}"),
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
