"""Gathers what a plan's rows rest on: what rows save, how far evidence moves them, and how many are enough."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from mixplan.domains import Domain
from mixplan.forecast import NO_SAE, Amount, Forecast, Kind, halving_rows
from mixplan.forecast.comparisons import comparisons_earlier
from mixplan.forecast.halving import compared_earlier
from mixplan.forecast.placement import against_scores, placement_of, ranking_of
from mixplan.forecast.replay_total import replay_total
from mixplan.mixture import take_target
from mixplan.recipe import LoadedRecipe, Recipe
from mixplan.saved.placement import RowPlacement
from mixplan.saved.scores import SCORE_KEYS, Scores
from mixplan.saved.total import RecommendedTotal

EVIDENCE, AUTO = "evidence", "auto"


@dataclass(frozen=True)
class Grounds:
    """What a plan's rows rest on.

    Attributes:
        amount: Rows that halve a loss, as arms that were compared teach it; None where the recipe's number is taken.
        placement: How far rows should move from an even spread; None for the other objectives.
        total: How many rows are recommended; None where the recipe says how many.
        otherwise: What was measured with this model that speaks against what the recipe names, in sentences.
    """

    amount: Amount | None = None
    placement: RowPlacement | None = None
    total: RecommendedTotal | None = None
    otherwise: tuple[str, ...] = ()

    @property
    def weight(self) -> float:
        """How far rows move from an even spread towards the proportional rule, for the objective `evidence`."""
        return 0.0 if self.placement is None else self.placement.weight


NOTHING = Grounds()
"""Of a recipe that names its objective, its budget and what halves a loss."""


def kind_of(loaded: LoadedRecipe, scores: Scores) -> Kind:
    """What earlier runs must share with this plan to teach it."""
    model = scores.model
    sae = scores.sae.hash if scores.sae else NO_SAE
    return Kind.of(loaded.resolved, model.hash, sae, model.dtype, model.config or "")


def halving(loaded: LoadedRecipe, folder: Path, scores: Scores) -> Amount:
    """How many rows halve a domain's loss by arms compared earlier; the recipe's number where they teach nothing."""
    recipe = loaded.recipe
    beneath, kind = loaded.folder(("forecast", "runs")), kind_of(loaded, scores)
    return halving_rows(recipe.forecast.runs, folder=beneath, run=folder, kind=kind, usual=usual_rows(recipe, scores))


def usual_rows(recipe: Recipe, scores: Scores) -> float:
    """The recipe's `half_rows` in rows: of a budget in tokens, by the mean over domains of their rows' length."""
    if recipe.budget.tokens is None or recipe.allocate.half_rows is None:
        return recipe.allocate.half
    return recipe.allocate.half_rows / fmean(domain.row_tokens_mean for domain in scores.domains.values())


def grounds_of(
    loaded: LoadedRecipe,
    folder: Path,
    scores: Scores,
    risks: Forecast,
    target: Domain,
    domains: Mapping[str, Domain],
) -> Grounds:
    """Gather what the recipe asks for.

    Args:
        loaded: The recipe.
        folder: The run folder.
        scores: Of the domains.
        risks: The forecast.
        target: The opened target.
        domains: The opened domains.
    """
    recipe = loaded.recipe
    led, auto = recipe.allocate.objective == EVIDENCE, recipe.budget.rows == AUTO
    learns = led or auto or recipe.allocate.half_rows is None
    amount, placed = halving(loaded, folder, scores), placement(loaded, folder, scores, risks)
    return Grounds(
        amount=amount if learns else None,
        placement=placed if led else None,
        total=total(loaded, folder, scores, target, domains) if auto else None,
        otherwise=tuple(measured_otherwise(recipe, None if learns else amount, None if led else placed)),
    )


def measured_otherwise(recipe: Recipe, amount: Amount | None, placement: RowPlacement | None) -> Iterator[str]:
    """Say where what was measured with this model speaks against what the recipe names.

    Args:
        recipe: Its `allocate` section.
        amount: Rows that halve a loss as arms teach it, where the recipe's number is taken; None where theirs is.
        placement: How far evidence would move the rows, where the recipe's objective says where they go.
    """
    by_scores = placement if recipe.allocate.prior_strength < 1 and len(recipe.domains) > 1 else None
    if by_scores is not None and (unsupported := against_scores(by_scores)) is not None:
        yield (
            f"`allocate.objective: {recipe.allocate.objective}` moves rows by the scores, and {unsupported}. "
            "`allocate.objective: evidence` moves them as far as evidence goes."
        )
    if amount is not None and amount.response is not None:
        yield (
            f"`allocate.half_rows: {recipe.allocate.half:g}` is taken, where arms that were compared earlier predict "
            f"losses better: {amount.text} `half_rows: null` takes these."
        )


def placement(loaded: LoadedRecipe, folder: Path, scores: Scores, risks: Forecast) -> RowPlacement:
    """How far rows should move from an even spread, and by which evidence."""
    patterns, beneath = loaded.recipe.forecast.runs, loaded.folder(("forecast", "runs"))
    compared = comparisons_earlier(patterns, folder=beneath, run=folder, kind=kind_of(loaded, scores))
    ranking = ranking_of(risks.known, risks.learned, SCORE_KEYS[loaded.recipe.sts.score])
    return placement_of(ranking, compared.found, compared.passed_over)


def total(
    loaded: LoadedRecipe, folder: Path, scores: Scores, target: Domain, domains: Mapping[str, Domain]
) -> RecommendedTotal:
    """How many rows are recommended, within what floors ask for and pools hold."""
    recipe = loaded.recipe
    patterns, beneath = recipe.forecast.runs, loaded.folder(("forecast", "runs"))
    known = compared_earlier(patterns, folder=beneath, run=folder, kind=kind_of(loaded, scores))
    rows = sum(taken.count for taken in take_target(target, recipe.mixture.target_rows))
    pools = {name: len(domain.pool) for name, domain in domains.items()}
    found = replay_total(known, usual=recipe.allocate.half, domains=sharing(recipe, pools), target_rows=rows)
    least, most = fewest_and_most(recipe, pools)
    if found.rows < least:
        return moved_to(found, least, f"The floors ask for {least} rows, and so many are planned.")
    if found.rows > most:
        held = f"{most} row{'s' * (most != 1)}"
        return moved_to(found, most, f"The domains' pools and caps hold {held}, and so many are planned.")
    return found


def sharing(recipe: Recipe, pools: Mapping[str, int]) -> int:
    """How many domains may have rows, at least 1: those that are watched alone share none.

    Args:
        recipe: Its caps and shares.
        pools: Rows of each domain.
    """
    caps, shares = recipe.allocate.caps, recipe.allocate.shares
    return max(1, sum(rows > 0 and 0 not in (caps.get(name), shares.get(name)) for name, rows in pools.items()))


def fewest_and_most(recipe: Recipe, pools: Mapping[str, int]) -> tuple[int, int]:
    """How many rows floors ask for at least, and pools, caps and fixed shares allow at most, by linear programs.

    Args:
        recipe: Its limits, in rows.
        pools: Rows of each domain.

    Returns:
        Both; 0 and all rows where no number fits all limits, which the allocation then says by name.
    """
    from scipy.optimize import linprog  # loaded where it is used: it takes half a second

    spec, names = recipe.allocate, list(pools)
    held = {name: rows * recipe.budget.max_repeats for name, rows in pools.items()}
    bounds = [(spec.floors.get(name, 0), min(held[name], spec.caps.get(name, math.inf))) for name in names]
    nothing_fits = 0, sum(held.values())
    if any(low > high for low, high in bounds):
        return nothing_fits
    groups = [([float(name in group.domains) for name in names], group) for group in spec.groups.values()]
    joint = [(part, group.cap) for part, group in groups if group.cap is not None]
    joint += [([-one for one in part], -group.floor) for part, group in groups if group.floor]
    shares = [[float(one == name) - share for one in names] for name, share in spec.shares.items() if name in pools]
    limits = {
        "A_ub": [part for part, _ in joint] or None,
        "b_ub": [bound for _, bound in joint] or None,
        "A_eq": shares or None,
        "b_eq": [0.0] * len(shares) or None,
        "bounds": bounds,
    }
    fewest, most = (linprog([sign] * len(names), **limits) for sign in (1.0, -1.0))
    if fewest.status or most.status:
        return nothing_fits
    return math.ceil(fewest.fun - 1e-6), math.floor(-most.fun + 1e-6)


def moved_to(found: RecommendedTotal, rows: int, why: str) -> RecommendedTotal:
    """A recommendation that the recipe's limits move.

    Args:
        found: The recommendation.
        rows: What the limits allow.
        why: In a sentence.
    """
    return found.model_copy(update={"rows": rows, "text": f"{found.text} {why}"})


def settled(recipe: Recipe, total: RecommendedTotal | None) -> Recipe:
    """A recipe whose budget is a number: half and twice of a recommendation are planned beside it, for the curve."""
    if total is None:
        return recipe
    beside = sorted({0, *(point.rows for point in total.points)} - {total.rows})
    budget = recipe.budget.model_copy(update={"rows": [*beside, total.rows]})
    return recipe.model_copy(update={"budget": budget})
