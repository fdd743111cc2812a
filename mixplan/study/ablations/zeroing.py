"""Measures how well trained cells still do on their target without some features: those that drifted, and others.

The features are taken out of every token's residual stream at the SAE's hook point (see `mixplan.features.zeroed`), N
at a time: those that training moved most, those that were predicted to be, N live ones drawn blindly, and N others that
are about as active. Drift dimensions are active ones, so that taking blindly drawn features out changes less already
because they are silent on most tokens; what is particular to drift shows against the sets of like activity.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from mixplan.domains import Domain, Row
from mixplan.drift import drift_dimensions
from mixplan.errors import DataError
from mixplan.evaluate.answering import Answering
from mixplan.evaluate.exact import measure_exact
from mixplan.evaluate.likelihood import measure_likelihood
from mixplan.evaluate.measure import content, identity, installed, kept_place, measures_of
from mixplan.evaluate.prompts import prompt_text, token_ids
from mixplan.features.zeroed import zeroed
from mixplan.model import Answer, Model, generate, give_back_memory, load_trained
from mixplan.runs import canonical_json, content_hash, store, unseal
from mixplan.study.ablations.control_features import live_features, matched_sets, random_sets
from mixplan.study.files.figure import TargetMean
from mixplan.study.files.zeroing import Condition, Conditions, Drawn, Zeroing
from mixplan.study.forecasts.formulas import TargetReading
from mixplan.study.jobs import Bench, Cell, read_drift
from mixplan.study.judged.overlap import mean_over_targets

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

VERSION = 1
"""Of what is kept; part of its key."""

SETS = 5
"""Drawn sets, blindly and of like activity each."""

DIFFERENCES = (
    ("drift", "none"), ("predicted", "none"), ("random", "none"), ("matched", "none"), ("drift", "random"),
    ("drift", "matched"), ("predicted", "random"), ("predicted", "matched"),
)  # fmt: skip
"""Pairs of conditions that are held against each other."""
QUANTITIES = ("bits_per_byte", "score")
"""What conditions are measured in; a target without a grader in the first alone."""


class InProcess(Answering):
    """Answers by transformers always: the features are taken out of this process's model, not of an engine's."""

    def answers(
        self, rows: Sequence[Row], *, answer_tokens: int, advance: Callable[[int], None]
    ) -> tuple[list[Row], list[Answer]]:
        """Answer the rows that fit the model's window with the longest answer."""
        prompts = {row.id: prompt_text(self.model, row) for row in rows}
        longest = self.model.window - answer_tokens
        kept = [row for row in rows if len(token_ids(self.model, prompts[row.id])) <= longest]
        texts = [prompts[row.id] for row in kept]
        return kept, generate(self.model, texts, max_new_tokens=answer_tokens, on_answers=advance)


def judge_zeroing(
    bench: Bench,
    cells: Sequence[Cell],
    targets: Mapping[str, TargetReading],
    *,
    measures: Sequence[str] | None = None,
) -> Zeroing:
    """Measure each trained cell's target with nothing, its drift and other features taken out.

    Every measurement is kept as soon as it is made.

    Args:
        bench: The study's model and data.
        cells: Trained cells, such as those of one seed.
        targets: What was read of each target.
        measures: `likelihood` and `exact` or one of them, `exact` for targets that have a grader; when not given,
            `likelihood`, and `exact` where the study itself measures it on the target.

    Returns:
        N and how many sets were drawn; by cell (`TARGET-SEED`), condition and quantity the mean over items, for the
        drawn ones with each set's and the 95 % t interval over sets, and the summed mean activation of the features on
        the target's questions; and by quantity and pair of conditions the mean over targets (seeds and sets averaged
        first) with its 95 % t interval.
    """
    count, seed = bench.study.whole.recipe.drift.features, bench.study.spec.seeds[0]
    found: dict[str, Conditions] = {}
    for cell in cells:
        drift = read_drift(cell)
        assert drift is not None  # a cell without it is not done
        chosen = conditions(targets[cell.target], drift, count=count, seed=seed)
        found[f"{cell.target}-{cell.seed}"] = judge_cell(bench, cell, chosen, targets[cell.target], measures)
        give_back_memory()
    return Zeroing(
        features=count,
        sets=SETS,
        cells=found,
        differences=differences([(cell.target, found[f"{cell.target}-{cell.seed}"]) for cell in cells]),
    )


def conditions(
    reading: TargetReading, drift: Mapping[str, Doubles], *, count: int, seed: int
) -> dict[str, list[Integers]]:
    """The sets of features of each condition; the drawn ones hold no drift dimension."""
    actual = drift_dimensions(drift["target.shift"], count=count)
    own = reading.own
    live = np.setdiff1d(live_features(drift["target.fired"], drift["target.shift"]), actual)
    return {
        "none": [np.zeros(0, dtype=np.int64)],
        "drift": [actual],
        "predicted": [drift_dimensions(own.shift, count=count)],
        "random": random_sets(live, count=count, sets=SETS, seed=seed),
        "matched": matched_sets(own.act / own.tokens, actual, live, sets=SETS, seed=seed),
    }


def judge_cell(
    bench: Bench,
    cell: Cell,
    chosen: Mapping[str, list[Integers]],
    reading: TargetReading,
    measures: Sequence[str] | None,
) -> Conditions:
    """One cell's target under every condition, and the untrained model's."""
    taught = bench.taught(cell.target)
    if measures is None:
        own = measures_of("target", taught.target, taught.loaded.recipe.evaluate)
        measures = ["likelihood", *(["exact"] if "exact" in own else [])]
    trained = load_trained(bench.spec, cell.folder / "model", folder=taught.loaded.folder(("model", "name")))
    act = reading.own.act / reading.own.tokens
    untrained = condition([measured(bench, bench.model, taught.target, (), measures)])
    found: dict[str, Condition] = {}
    for name, sets in chosen.items():
        bench.watcher.stage(f"{cell.target}, seed {cell.seed}: {name} zeroed", len(sets), "sets")
        values = []
        for features in sets:
            values.append(measured(bench, trained, taught.target, features.tolist(), measures))
            bench.watcher.advance(1)
        found[name] = condition(values, float(np.mean([act[features].sum() for features in sets])))
    return Conditions(untrained=untrained, **found)


def measured(
    bench: Bench, model: Model, target: Domain, features: Sequence[int], measures: Sequence[str]
) -> dict[str, float]:
    """A target's means by quantity without some features, from the cache or measured now."""
    spec = bench.study.whole.recipe.evaluate
    rows = target.evaluation[: spec.rows]
    found: dict[str, float] = {}
    for measure in measures:
        if measure == "exact" and target.grader == "none":
            continue
        key = content_hash(
            "zeroing", VERSION, identity(model), bench.sae.fingerprint, bench.sae.depth, sorted(features), measure,
            content(rows), [spec.answer_tokens, target.grader] if measure == "exact" else [],
            installed("torch"), installed("transformers"),
        )  # fmt: skip
        place = kept_place(key)
        if (kept := unseal(place)) is None:
            with zeroed(model, bench.sae, features):
                values = measure_now(model, target, rows, measure, spec.answer_tokens)
            kept = canonical_json({name: float(np.mean(value)) for name, value in values.items()}).encode()
            store(place, kept)
        found |= json.loads(kept)
    return found


def measure_now(
    model: Model, target: Domain, rows: Sequence[Row], measure: str, answer_tokens: int
) -> dict[str, tuple[float, ...]]:
    """One measure's values by quantity, one an item.

    Raises:
        DataError: no row fits the model's window.
    """
    if measure == "likelihood":
        found = measure_likelihood(model, rows, advance=quietly)
    else:
        found = measure_exact(InProcess(model), target, rows, answer_tokens=answer_tokens, advance=quietly)
    if not found.rows:
        raise DataError(
            f"{target.name}: none of its {len(rows)} evaluation rows fits the model's window of {model.window} tokens "
            f"for `{measure}`. Give it shorter rows, or leave it out of the zeroing."
        )
    return found.values


def quietly(_rows: int) -> None:
    """Rows are not told of: a condition's sets are."""


def condition(values: Sequence[Mapping[str, float]], activation: float | None = None) -> Condition:
    """By quantity, each set's value, their mean and its interval; with how active what was taken out is."""
    found: dict[str, Drawn | float] = {name: drawn([entry[name] for entry in values]) for name in values[0]}
    return Condition.model_validate(found if activation is None else found | {"activation": activation})


def drawn(values: Sequence[float]) -> Drawn:
    """Values of each set, their mean and its 95 % t interval over sets (None with a single one)."""
    column = np.array(values, dtype=np.float64)
    number, value = len(column), float(column.mean())
    if number == 1:
        return Drawn(values=column.tolist(), value=value, low=None, high=None)
    half = float(stdtrit(number - 1, 0.975)) * float(column.std(ddof=1)) / math.sqrt(number)
    return Drawn(values=column.tolist(), value=value, low=value - half, high=value + half)


def differences(cells: Sequence[tuple[str, Conditions]]) -> dict[str, dict[str, TargetMean]]:
    """By quantity and pair of conditions, the first less the second: mean over targets with its interval.

    Args:
        cells: Each cell's target and what `judge_cell` gave.
    """
    measured = [name for name in QUANTITIES if any(entry.none.of(name) is not None for _, entry in cells)]
    return {
        quantity: {
            f"{one} - {other}": mean_over_targets(gaps(cells, quantity, one, other)) for one, other in DIFFERENCES
        }
        for quantity in measured
    }


def gaps(cells: Sequence[tuple[str, Conditions]], quantity: str, one: str, other: str) -> Doubles:
    """`[targets]` a quantity under one condition less another, cells of one target averaged."""
    by_target: dict[str, list[float]] = {}
    for target, entry in cells:
        first, second = (entry.of(name).of(quantity) for name in (one, other))
        if first is not None and second is not None and first.value is not None and second.value is not None:
            by_target.setdefault(target, []).append(first.value - second.value)
    return np.array([np.mean(values) for values in by_target.values()], dtype=np.float64)
