"""Tries every domain's grader on its own rows before anything is read, measured or trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from mixplan.domains import Domain, Row, by_name
from mixplan.domains.cached_domains import row_values
from mixplan.errors import DataError
from mixplan.grading.probes import SECONDS, TRIED_ROWS, Probed, bounded, findings, probe, refusal
from mixplan.grading.process import GradingProcess, ScorerError
from mixplan.grading.versions import grading_state
from mixplan.recipe import LoadedRecipe
from mixplan.runs import cached, content_hash

KEPT = 1
"""Version of what is tried."""


def grader_warnings(loaded: LoadedRecipe, target: Domain, domains: Mapping[str, Domain]) -> list[str]:
    """Say which graders accept what is wrong, or do not accept some rows' own answers.

    Args:
        loaded: The recipe.
        target: The opened target; its pool's first rows are tried too where rewards grade them.
        domains: The opened domains, by name.

    Raises:
        DataError: a grader does not accept its rows' own answers, so that nothing can be measured by it.
    """
    rewarded = loaded.recipe.train.method == "grpo"
    process = GradingProcess(seconds=SECONDS)
    found: list[str] = []
    try:
        for name, domain in by_name(target, domains).items():
            rows = graded_rows(domain, rewarded=rewarded and domain.is_taught)
            if domain.grader == "none" or not rows:
                continue
            probed = kept_probe(rows, domain.grader, process)
            if probed.refused:
                raise DataError(f"{loaded.where((*domain.path, 'grader'))}: {refusal(name, domain.grader, probed)}")
            found += findings(name, domain.grader, probed)
    finally:
        process.close()
    return found


def kept_probe(rows: Sequence[Row], grader: str, process: GradingProcess) -> Probed:
    """Try a grader on rows, or take what it made of these very rows before.

    An answer that it failed on or took too long over may be graded another time, and so is not kept.

    Args:
        rows: At least one.
        grader: Its name.
        process: Where one that may hang runs.
    """
    failures: list[ScorerError] = []
    key = content_hash(KEPT, grader, grading_state([grader]), list(map(row_values, rows)))
    value = cached(
        "grader-checks",
        key,
        lambda: asdict(probe(rows, bounded(grader, process, failures.append))),
        keep=lambda: not failures,
    )
    return Probed(**value)


def graded_rows(domain: Domain, *, rewarded: bool) -> tuple[Row, ...]:
    """The rows that a domain's grader grades: those measured, and the first of those that are rewarded."""
    return (*domain.evaluation, *(domain.pool[:TRIED_ROWS] if rewarded else ()))
