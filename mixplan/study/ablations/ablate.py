"""Judges a study's overlap and correlations again with other numbers of features, rows in front, tokens and SAEs.

Nothing is trained. How many features count needs no reading either: the profiles hold all of them. For everything else
the untrained model is read again, targets and domains alike, and for another SAE what each kept trained model changed
is read through it too. With s(t) and s(d) the mean squared shifts of target and domain, a(d) the domain's mean
activations, r(t) the target's actual squared change and D_N(·) the N features where it is largest,

    overlap       = |D_N(s(t)) ∩ D_N(r(t))| / N          by chance N / live features
    captured      = sum of r(t) over D_N(s(t)) / sum of r(t)
    concentration = sum of r(t) over D_N(r(t)) / sum of r(t)
    sts_icl, sts_act = sums of s(d), a(d) over D_N(s(t)), correlated over domains with the measured change
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom

from mixplan.drift import concentration, drift_dimensions, overlap
from mixplan.errors import RunError
from mixplan.sae import Sae, load_sae
from mixplan.study.ablations.reread import View, again, changes_through, kept_change, through
from mixplan.study.ablations.trained_saes import trained_saes
from mixplan.study.asked.spec import AblationSpec
from mixplan.study.files.ablations import (
    Ablations,
    DemonstrationsView,
    JudgedView,
    Kept,
    SaeSetting,
    SaeView,
    TokensView,
    ViewOverlap,
)
from mixplan.study.files.figure import Scores
from mixplan.study.forecasts.formulas import DomainReading, TargetReading
from mixplan.study.jobs import Bench, Cell
from mixplan.study.judged.judge import measured_domains, part_of, pooled, scores
from mixplan.study.judged.overlap import mean_over_targets, seed_means
from mixplan.study.judged.table import Table

Doubles = npt.NDArray[np.float64]

QUANTITY = "kl"
"""What scores are correlated with."""


def ablate(
    bench: Bench,
    cells: Sequence[Cell],
    table: Table,
    targets: Mapping[str, TargetReading],
    domains: Mapping[str, DomainReading],
) -> Iterator[Ablations]:
    """Judge a finished study again with each of the file's `ablations`, one changed at a time, the quickest first.

    Args:
        bench: The study's model and data.
        cells: All cells, finished.
        table: Their measures.
        targets: What was read of each target.
        domains: What was read of each domain.

    Yields:
        All that is known so far, each time that there is more.

    Raises:
        RunError: the study did not measure `behaviour`.
        MixplanError: an SAE cannot be loaded or trained.
    """
    if QUANTITY not in table.measures:
        raise RunError(
            f"{bench.study.path}: ablations are judged by the change of `behaviour`, which this study did not measure. "
            "Add it to `recipe.evaluate.also`."
        )
    count = bench.study.whole.recipe.drift.features
    spec = bench.study.spec.ablations or AblationSpec()
    own = View(
        {name: found.own for name, found in targets.items()},
        {name: found.own for name, found in domains.items()},
        {(cell.target, cell.seed): kept_change(cell) for cell in cells},
    )
    found = without_reading(bench, table, own, [n for n in spec.features if n <= bench.sae.d_sae])
    yield found
    for shots in spec.demonstrations:
        judged = judge_view(table, again(bench, own.moved, shots=shots), count)
        view = DemonstrationsView.of_parts(judged, demonstrations=shots)
        found = found.model_copy(update={"demonstrations": [*found.demonstrations, view]})
        yield found
    for share in spec.tokens:
        judged = judge_view(table, again(bench, own.moved, share=share), count)
        part = TokensView.of_parts(judged, tokens=share)
        found = found.model_copy(update={"tokens": [*found.tokens, part]})
        yield found
    yield found.model_copy(update={"saes": [*found.saes, *by_sae(bench, cells, table, spec, count)]})


def without_reading(bench: Bench, table: Table, own: View, numbers: Sequence[int]) -> Ablations:
    """What needs no reading: the study's own settings, judged with other numbers of features.

    Args:
        bench: The study's model and data.
        table: Its measures.
        own: What the study itself read.
        numbers: Of features.
    """
    count, reading = bench.study.whole.recipe.drift.features, bench.study.spec.reading
    return Ablations(
        quantity=QUANTITY,
        kept=Kept(
            features=count,
            demonstrations=reading.demonstrations,
            target_tokens=reading.target_tokens,
            query_tokens=reading.query_tokens,
        ),
        seeds=list(table.seeds),
        features=[judge_view(table, own, n) for n in numbers],
        demonstrations=[],
        tokens=[],
        saes=[through_sae(None, bench.sae, own, judge_view(table, own, count))],
        concentration={f"{t}-{s}": list(concentration(one.shift)) for (t, s), one in own.moved.items()},
    )


def by_sae(bench: Bench, cells: Sequence[Cell], table: Table, spec: AblationSpec, count: int) -> list[SaeView]:
    """An entry for each other SAE, at most all of its features counting; all are in memory at once."""
    folder = bench.study.path.parent
    saes = {name: load_sae(one, bench.model, folder=folder) for name, one in spec.saes.items()} | trained_saes(bench)
    views = through(bench, saes, changes_through(bench, cells, saes)) if saes else {}
    return [
        through_sae(name, saes[name], view, judge_view(table, view, min(count, saes[name].d_sae)))
        for name, view in views.items()
    ]


def judge_view(table: Table, view: View, count: int) -> JudgedView:
    """Overlap, what it captures, concentration and correlations under one way to read.

    Args:
        table: The study's measures.
        view: What was read.
        count: N.

    Returns:
        Overlap, captured part and concentration as means over targets (seeds averaged first), the overlap with its
        chance (hypergeometric); correlations by set of targets, score and predictor as the study's own `pooled`.
    """
    shape = (len(table.targets), len(table.seeds))
    found = {name: np.full(shape, np.nan) for name in ("overlap", "captured", "concentration")}
    for (target, seed), moved in view.moved.items():
        place = table.targets.index(target), table.seeds.index(seed)
        predicted = drift_dimensions(view.targets[target].shift, count=count)
        actual = drift_dimensions(moved.shift, count=count)
        found["overlap"][place] = overlap(predicted, actual) / count
        found["captured"][place] = moved.shift[predicted].sum() / moved.shift.sum()
        found["concentration"][place] = moved.shift[actual].sum() / moved.shift.sum()
    live = min(moved.live for moved in view.moved.values())
    drawn = min(count, live)
    by_target = dict(zip(table.targets, seed_means(found["overlap"]).tolist(), strict=True))
    means = {name: mean_over_targets(seed_means(values)) for name, values in found.items()}
    return JudgedView(
        features=count,
        dropped=view.dropped,
        overlap=ViewOverlap.of_parts(
            means["overlap"],
            by_target={name: None if np.isnan(value) else value for name, value in by_target.items()},
            live=live,
            chance=drawn / live,
            chance_high=float(hypergeom.ppf(0.975, live, drawn, drawn) / drawn),
        ),
        captured=means["captured"],
        concentration=means["concentration"],
        correlations=correlations(table, view, count),
    )


def correlations(table: Table, view: View, count: int) -> dict[str, Scores]:
    """Both scores against the measured change, as the study judges its own predictors but for the bootstrap."""
    judged = replace(table, predictors=predictors(table, view, count), competitors=(), bounds=())
    sets = {"all": table.targets, "development": table.development, "held_out": table.held_out}
    told: dict[str, Scores] = {}
    for name, among in sets.items():
        if among and measured_domains(table, QUANTITY, among):
            part = part_of(judged, QUANTITY, among, table.domains, 0, 0)
            told[name] = pooled(part, scores(part), tuple(judged.predictors))
    return told


def predictors(table: Table, view: View, count: int) -> dict[str, Doubles]:
    """`sts_icl` and `sts_act`, `[T, D]` each; NaN where the change was not measured."""
    shift = np.array([view.domains[name].shift / view.domains[name].tokens for name in table.domains])
    act = np.array([view.domains[name].act / view.domains[name].tokens for name in table.domains])
    chosen = [drift_dimensions(view.targets[name].shift, count=count) for name in table.targets]
    missing = np.isnan(table.measures[QUANTITY]).all(2)
    return {
        name: np.where(missing, np.nan, np.array([values[:, features].sum(1) for features in chosen]))
        for name, values in (("sts_icl", shift), ("sts_act", act))
    }


def through_sae(name: str | None, sae: Sae, view: View, judged: JudgedView) -> SaeView:
    """What was judged, with where the SAE reads, how wide it is, and how many features fire on a target's token."""
    fired = sum(float(profile.fired.sum()) for profile in view.targets.values())
    tokens = sum(profile.tokens for profile in view.targets.values())
    setting = SaeSetting(sae=name, hook_name=sae.hook_name, d_sae=sae.d_sae, active=fired / tokens)
    return SaeView.of_parts(setting, judged)
