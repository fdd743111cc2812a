"""Scores each source of a target by itself: which source of the job puts which domain at risk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mixplan.domains import Domain
from mixplan.drift import Drift, overlap
from mixplan.errors import DataError
from mixplan.features.queries import Reading, plan_reading, without_demonstrations
from mixplan.features.statistics import Statistics
from mixplan.model import Model
from mixplan.plan.drift_source import DriftReading
from mixplan.plan.read_up_to import read_up_to
from mixplan.reading.units import Reader
from mixplan.recipe import Recipe
from mixplan.saved.scores import BySource, SourceScores

Integers = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

SEED_STEP = 1_000_003
FIRST_SEED = 500_000
"""Behind a recipe's seed, where those of the sources' draws begin; the target's and the domains' come before."""


@dataclass(frozen=True)
class SourceDrift:
    """What one source by itself is expected to move.

    Attributes:
        name: The recipe's name of the source.
        features: `[n]` its own drift dimensions, largest shift first; as many as the target's, fewer where fewer moved.
        shift: `[n]` their mean squared change a query token, in squared SAE units.
        share_of_shift: Part of the source's whole shift that they hold; 0 where nothing moved.
        tokens: Query tokens read.
    """

    name: str
    features: Integers
    shift: Doubles
    share_of_shift: float
    tokens: int

    def describe(self, whole: Drift) -> SourceScores:
        """The source's drift dimensions for the plan, beside those of the target as a whole."""
        return SourceScores(
            features=[(int(feature), float(shift)) for feature, shift in zip(self.features, self.shift, strict=True)],
            in_target=overlap(self.features, whole.features),
            query_tokens=self.tokens,
            share_of_shift=self.share_of_shift,
        )


def source_drifts(
    recipe: Recipe,
    model: Model,
    target: Domain,
    reader: Reader,
    told: DriftReading,
    looks: Mapping[str, int] | None = None,
) -> tuple[SourceDrift, ...]:
    """Read each source of a target and find its own drift dimensions.

    All sources together take as many query tokens again as the target as a whole, in equal parts. They are read behind
    worked examples, or through a checkpoint or a step where that tells the drift; answers are not sampled by source.

    Args:
        recipe: What is asked of drift.
        model: The untrained model.
        target: The opened target; nothing is read of one without several sources.
        reader: Reads, with the model.
        told: What tells the whole target's drift, for its checkpoint.
        looks: Up to which look they are read, as the target is; None where its budget is given.

    Raises:
        DataError: every question of a source is longer than the model's window.
    """
    found = []
    tokens = max(1, recipe.drift.tokens_at_most // max(1, len(target.sources)))
    for number, source in enumerate(target.sources):
        reading = source_reading(recipe, model, source, tokens=tokens, number=number)
        units = reading.units if told.trained is None else tuple(map(without_demonstrations, reading.units))
        readings, own = read_up_to(recipe, {"target": replace(reading, units=units)}, reader, looks)
        reader.watcher.stage(f"reading {source.name}", readings["target"].tokens, "tokens")
        parts = told.through(own).read(readings["target"].units)
        found.append(drift_of(str(source.source), parts, count=recipe.drift.features))
    return tuple(found)


def source_reading(recipe: Recipe, model: Model, source: Domain, *, tokens: int, number: int) -> Reading:
    """What is read of one source.

    Raises:
        DataError: every question is longer than the model's window.
    """
    drift = recipe.drift
    reading = plan_reading(
        model, source.query, source.demonstration, tokens=tokens, shots=drift.demonstrations, draws=drift.draws,
        seed=recipe.seed * SEED_STEP + FIRST_SEED + number,
    )  # fmt: skip
    if not reading.units:
        raise DataError(
            f"{source.name}: every question is longer than the model's window of {model.window} tokens. Shorten them "
            "with a template, or choose a model with a longer window."
        )
    return reading


def drift_of(name: str, parts: Sequence[Statistics], *, count: int) -> SourceDrift:
    """One source's drift dimensions from its units: the features that move most, at most `count`."""
    tokens = sum(int(part.tokens.sum()) for part in parts)
    shift = np.sum([part.shift for part in parts], axis=0) / max(1, tokens)
    order = np.argsort(-shift, kind="stable")[:count]
    features = order[shift[order] > 0].astype(np.int64)
    share = float(shift[features].sum() / shift.sum()) if len(features) else 0.0
    return SourceDrift(name, features, shift[features], share, tokens)


def scores_by_source(sources: Sequence[SourceDrift], parts: Sequence[Statistics]) -> dict[str, BySource]:
    """A domain's STS over each source's own drift dimensions, which need no reading of their own.

    Args:
        sources: Each source's drift dimensions.
        parts: The domain's units, read over all features.

    Returns:
        By source: `sts_icl`, in squared SAE units, and `sts_act`, in SAE units, each a mean over query tokens.

    Source: arXiv 2603.02908, section 4.2, with one source in the target's place.
    """
    tokens = max(1, sum(int(part.tokens.sum()) for part in parts))
    sums = {
        name: np.sum([getattr(part, key) for part in parts], axis=0) / tokens
        for name, key in (("sts_icl", "shift"), ("sts_act", "act"))
    }
    return {
        source.name: BySource(
            sts_icl=float(sums["sts_icl"][source.features].sum()), sts_act=float(sums["sts_act"][source.features].sum())
        )
        for source in sources
    }
