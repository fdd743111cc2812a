"""Tries every domain's grader on its own rows before anything is read, measured or trained."""

from __future__ import annotations

from collections.abc import Mapping

from mixplan.domains import Domain, Row, by_name
from mixplan.errors import DataError
from mixplan.grading.probes import SECONDS, TRIED_ROWS, bounded, findings, probe, refusal
from mixplan.grading.process import GradingProcess
from mixplan.recipe import LoadedRecipe


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
            probed = probe(rows, bounded(domain.grader, process))
            if probed.refused:
                raise DataError(f"{loaded.where((*domain.path, 'grader'))}: {refusal(name, domain.grader, probed)}")
            found += findings(name, domain.grader, probed)
    finally:
        process.close()
    return found


def graded_rows(domain: Domain, *, rewarded: bool) -> tuple[Row, ...]:
    """The rows that a domain's grader grades: those measured, and the first of those that are rewarded."""
    return (*domain.evaluation, *(domain.pool[:TRIED_ROWS] if rewarded else ()))
