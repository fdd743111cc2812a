"""Reads what training moved in the SAE's features, and holds it against what was predicted.

The target's query tokens that predicted the drift are read without demonstrations through both models with the same
SAE. A feature's actual shift is the mean over tokens of (h_j trained - h_j untrained)²; the actual drift dimensions are
the N with the largest. By chance, N features drawn from those that live (that fired in either reading) share with the
predicted ones a hypergeometric number; its mean and its exact central 95 % interval stand beside the overlap.

Source: arXiv 2603.02908, sections 4.1 and 5; the chance interval and the comparisons are mixplan's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mixplan.domains import Domain
from mixplan.drift import concentration, overlap
from mixplan.features.examples import examples_of
from mixplan.features.queries import Reading, Unit, without_demonstrations
from mixplan.features.statistics import Columns, Statistics
from mixplan.model import Model
from mixplan.plan.drift_source import drift_reading
from mixplan.plan.read_up_to import read_up_to
from mixplan.plan.scores import REPLICAS, plan_readings
from mixplan.reading import Watcher
from mixplan.reading.units import Reader
from mixplan.reading.workers import Workers
from mixplan.recipe import LoadedRecipe
from mixplan.runs import cache_folder
from mixplan.sae import load_sae
from mixplan.saved import Plan
from mixplan.saved.base_types import Context
from mixplan.saved.outcome import Drift, Unexpected

Integers = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

SHOWN = 20
"""Features that moved unexpectedly that are listed, of the actual drift dimensions."""
EXPLAINED = 5
"""Of these, those shown with the tokens that fire them."""


@dataclass(frozen=True)
class Readings:
    """Sums of shifts and activations over the target's query tokens.

    Attributes:
        predicted: `[d_sae]` shift that told the drift dimensions: that of demonstrations, or as `drift.from` says.
        actual: `[d_sae]` shift that training brought.
        raw_predicted: `[d_in]` the same of the raw stream.
        raw_actual: `[d_in]` likewise.
        active: `[d_sae]` activations before training.
        live: `[d_sae]` bool, whether a feature fired before or after training.
        tokens: Query tokens.
    """

    predicted: Doubles
    actual: Doubles
    raw_predicted: Doubles
    raw_actual: Doubles
    active: Doubles
    live: npt.NDArray[np.bool_]
    tokens: int

    @classmethod
    def of(cls, predicted: Sequence[Statistics], actual: Sequence[Statistics]) -> Readings:
        """Add up units read with and without demonstrations, and units read before and after training."""
        shift, fired = total(actual, "shift"), total(actual, "fired")
        return cls(
            predicted=total(predicted, "shift"),
            actual=shift,
            raw_predicted=total(predicted, "raw_shift"),
            raw_actual=total(actual, "raw_shift"),
            active=total(actual, "act"),
            # A feature that fires after training alone has moved.
            live=(fired > 0) | (shift > 0),
            tokens=sum(int(part.tokens.sum()) for part in actual),
        )


def total(parts: Sequence[Statistics], name: str) -> Doubles:
    """One sum over all units."""
    return np.asarray(np.sum([getattr(part, name) for part in parts], axis=0), dtype=np.float64)


def actual_drift(
    loaded: LoadedRecipe,
    untrained: Model,
    trained: Model,
    target: Domain,
    plan: Plan,
    *,
    watcher: Watcher,
) -> Drift | None:
    """Read the target through both models and hold the predicted drift dimensions against the actual ones.

    Args:
        loaded: The planned recipe.
        untrained: The model that was planned with.
        trained: What the job saved, loaded afresh.
        target: The opened target.
        plan: Its plan.
        watcher: Told of progress.

    Returns:
        For outcome.json; None when no feature moved, because training changed nothing below the SAE, or where the plan
        has no SAE to read features by.

    Raises:
        MixplanError: the SAE or the target's rows cannot be used.
    """
    recipe = loaded.recipe
    spec = recipe.model.sae_spec
    if spec is None or plan.drift is None:
        return None
    sae = load_sae(spec, untrained, folder=loaded.folder(("model", "sae", "path")))
    whole = plan_readings(recipe, untrained, target, {})["target"]
    folder, workers = cache_folder() / "statistics", Workers.here()
    looks = {"target": plan.stopped.looks.get("target", plan.stopped.look)} if plan.stopped else None
    predicted = foretold(loaded, target, whole, Reader(untrained, sae, folder, watcher, workers), looks)
    reading = read_up_to(recipe, {"target": whole}, Reader(untrained, sae, folder, watcher, workers), looks)[0][
        "target"
    ]
    bare = [without_demonstrations(unit) for unit in reading.units]
    watcher.stage("reading the target before and after training", reading.tokens, "tokens")
    actual = Reader(untrained, sae, folder, watcher, workers, trained).read(bare)
    sums = Readings.of(predicted, actual)
    if not sums.actual.any():
        return None
    features = np.array([feature for feature, *_ in plan.drift.features], dtype=np.int64)
    found = held_against(sums, features)
    back = Reader(trained, sae, folder, watcher, workers, untrained)
    return found.model_copy(update={"unexpected": explained(found.unexpected, back, bare, sums)})


def foretold(
    loaded: LoadedRecipe, target: Domain, reading: Reading, reader: Reader, looks: Mapping[str, int] | None
) -> list[Statistics]:
    """Read the target again as its drift dimensions were told; a pilot's checkpoint is freed behind it.

    Args:
        loaded: The recipe.
        target: The opened target.
        reading: All that may be read of it.
        reader: Reads.
        looks: Up to which look the plan read it; None where its budget is given.
    """
    told = drift_reading(loaded, reader.model, target, reading, watcher=reader.watcher, workers=reader.workers)
    readings, reader = read_up_to(loaded.recipe, {"target": told.reading}, reader, looks)
    reader.watcher.stage(f"reading the target {told.words}", readings["target"].tokens, "tokens")
    return told.through(reader).read(readings["target"].units, replicas=REPLICAS)


def held_against(sums: Readings, features: Integers) -> Drift:
    """Hold predicted drift dimensions against the features that training moved most.

    Args:
        sums: What was read; some feature moved.
        features: `[N]` the plan's drift dimensions.
    """
    moved = largest(sums.actual, len(features))
    live = int(sums.live.sum())
    low, high, chance = by_chance(live, int(sums.live[features].sum()), len(moved))
    raw, raw_moved = (largest(shift, len(features)) for shift in (sums.raw_predicted, sums.raw_actual))
    raw_low, raw_high, raw_chance = by_chance(len(sums.raw_actual), len(raw), len(raw_moved))
    return Drift(
        overlap=overlap(moved, features),
        of=len(moved),
        chance=chance,
        low=low,
        high=high,
        live=live,
        active_overlap=overlap(moved, largest(sums.active, len(features))),
        raw_overlap=overlap(raw_moved, raw),
        raw_of=len(raw_moved),
        raw_chance=raw_chance,
        raw_low=raw_low,
        raw_high=raw_high,
        share_of_shift=float(sums.actual[features].sum() / sums.actual.sum()),
        concentration=list(concentration(sums.actual)),
        unexpected=unexpected(sums, moved[~np.isin(moved, features)][:SHOWN]),
        query_tokens=sums.tokens,
    )


def largest(values: Doubles, count: int) -> Integers:
    """The dimensions with the largest values, at most `count`, none with 0; equal ones by lower index."""
    order = np.argsort(-values, kind="stable")[:count]
    return order[values[order] > 0].astype(np.int64)


def by_chance(dimensions: int, chosen: int, drawn: int) -> tuple[int, int, float]:
    """How many chosen dimensions are among as many drawn at random, without putting back.

    Returns:
        The 2.5 % and 97.5 % quantiles of the hypergeometric distribution, and its mean.
    """
    from scipy.stats import hypergeom  # takes most of a second

    law = hypergeom(dimensions, chosen, drawn)
    return int(law.ppf(0.025)), int(law.ppf(0.975)), drawn * chosen / dimensions


def unexpected(sums: Readings, features: Integers) -> list[Unexpected]:
    """Features that training moved although the plan did not expect it.

    Returns:
        For each, in the order given: its `share` of the whole actual shift, the `predicted_rank` of its shift by
        demonstrations (from 1; None where they did not move it), and its mean activation `before` training.
    """
    ranks = np.empty(len(sums.predicted), dtype=np.int64)
    ranks[np.argsort(-sums.predicted, kind="stable")] = np.arange(1, len(ranks) + 1)
    whole = float(sums.actual.sum())
    return [
        Unexpected(
            feature=int(feature),
            share=float(sums.actual[feature]) / whole,
            predicted_rank=int(ranks[feature]) if sums.predicted[feature] > 0 else None,
            before=float(sums.active[feature]) / sums.tokens,
            after=None,
            contexts=[],
        )
        for feature in features
    ]


def explained(found: list[Unexpected], reader: Reader, units: Sequence[Unit], sums: Readings) -> list[Unexpected]:
    """Add to the leading entries their mean activation after training and the tokens that fire them then."""
    shown = np.array([entry.feature for entry in found[:EXPLAINED]], dtype=np.int64)
    if not len(shown):
        return found
    none = np.zeros(0, dtype=np.int64)
    reader.watcher.stage("reading what moved unexpectedly", sums.tokens, "tokens")
    parts = reader.read_columns(units, Columns(shown, none, none))
    after = np.sum([part.by_column["drift_act"] for part in parts], axis=0) / sums.tokens
    leading = [
        entry.model_copy(
            update={
                "after": float(after[column]),
                "contexts": [
                    Context.model_validate(vars(example)) for example in examples_of(reader.model, units, parts, column)
                ],
            }
        )
        for column, entry in enumerate(found[: len(shown)])
    ]
    return [*leading, *found[len(shown) :]]
