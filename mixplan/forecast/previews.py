"""Says what studies found of the scores that need no SAE, on whichever model they were made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from mixplan.forecast.earlier_runs import Kind, of_another_config
from mixplan.forecast.evidence import SCORE_NAMES, SHIPPED, doubt, evidence_files
from mixplan.saved.evidence import Evidence

HELD_AGAINST = ("preview_kl", "behind_answers_raw", "sts_icl")
"""The scores that are reported beside each other; the last needs an SAE."""


def said_of_previews(patterns: Sequence[str] | None, *, folder: Path, run: Path, kind: Kind, score: str) -> list[str]:
    """What a plan's reader should know of scores without an SAE: one sentence a study, this model's own or not.

    Args:
        patterns: The recipe's `forecast.runs`; those that come with mixplan are asked in any case.
        folder: What the patterns are relative to.
        run: The run's own folder.
        kind: The plan's.
        score: What plans its rows, `preview_kl` or `behind_answers_raw`.
    """
    found = {}
    for place in (*evidence_files(patterns, folder, run), *sorted(SHIPPED.glob("*.json"))):
        try:
            value = Evidence.model_validate_json(place.read_bytes())
        except (OSError, ValidationError):
            continue  # `with_studies` says so
        if score in value.told:
            found[value.study or value.title] = sentence_of(value, kind, score)
    if not found:
        return [f"No study that this mixplan knows of has held {SCORE_NAMES[score]} against what training changed."]
    return [found[name] for name in sorted(found)]


def sentence_of(value: Evidence, kind: Kind, score: str) -> str:
    """What one study found, and how far it is from this plan's model and training."""
    domains, method = {name for target in value.targets.values() for name in target}, value.settings.method
    seeds = f"{len(value.seeds)} training seed" + ("s" if len(value.seeds) > 1 else "")
    others = [name for name in HELD_AGAINST if name != score and name in value.told]
    beside = "; beside it, " + ", ".join(
        f"{SCORE_NAMES[name]}{', which needs an SAE,' if name == 'sts_icl' else ''} {value.told[name].text()}"
        for name in others
    )
    told = value.told[score]
    apart = []
    if value.hashes.model != kind.model or of_another_config(kind, value.config):
        apart.append("of another model than yours")
    if method is not None and method != kind.settings.method:
        apart.append(f"of {method.upper()}, where this plan is for {str(kind.settings.method).upper()}")
    known = f" It is a study {' and '.join(apart)}: whether it holds here is not known." if apart else ""
    return (
        f"Study '{value.title}' ({len(value.targets)} targets, {len(domains)} domains, {seeds}): "
        f"{SCORE_NAMES[score]} had {told.text()} with how far behaviour moved"
        f"{doubt(told)}{beside if others else ''}.{known}"
    )
