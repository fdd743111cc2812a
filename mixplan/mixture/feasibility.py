"""Finds what makes a plan impossible before a model is loaded: limits against pools, rows, excluded licences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from mixplan.domains import Domain
from mixplan.errors import MixplanError, RecipeError
from mixplan.mixture.licences import allowed
from mixplan.mixture.order import take_source, take_target
from mixplan.mixture.own_voice import require_judged
from mixplan.recipe import MixtureSpec, Recipe

if TYPE_CHECKING:
    from mixplan.allocate import DomainDemand


def impossible(recipe: Recipe, target: Domain, domains: Mapping[str, Domain]) -> Iterator[MixplanError]:
    """Find what no plan of these rows can meet, whatever the scores turn out to be.

    Args:
        recipe: Budget, limits, and what the mixture may hold.
        target: The opened target.
        domains: The opened domains.

    Yields:
        One error for each; a budget in tokens is held against the limits alone, since rows have no length yet.
    """
    steps: list[Callable[[], object]] = [
        *(partial(take_source, source) for source in target.sources),
        *([] if target.sources else [lambda: take_target(target, recipe.mixture.target_rows)]),
        lambda: require_limits(recipe, allowed(recipe.mixture, domains)),
        *(partial(require_judged, recipe.mixture, one) for one in target.parts),
    ]
    if recipe.train.method == "grpo":
        steps.append(partial(require_gold, recipe.mixture))
        steps += [partial(require_grader, one) for one in (*target.parts, *may_get_rows(recipe, domains))]
    for step in steps:
        try:
            step()
        except MixplanError as error:
            yield error


def require_gold(spec: MixtureSpec) -> None:
    """Refuse answers that GRPO has no use for.

    Raises:
        RecipeError: the mixture's are not the reference answers.
    """
    if spec.answers != "gold":
        raise RecipeError(
            f"mixture.answers: found '{spec.answers}', expected 'gold' because `train.method` is grpo: GRPO rewards "
            "the model's own attempts against reference answers, so its rows carry no other answers."
        )


def require_grader(one: Domain) -> None:
    """Refuse a domain whose rows GRPO could not grade.

    Raises:
        RecipeError: it has the grader none.
    """
    if one.grader == "none":
        apart = "" if one.key.startswith("target") else f", or keep its rows out: `allocate.caps.{one.name}: 0`"
        raise RecipeError(
            f"{one.key}.grader: found 'none', expected one that can grade, because `train.method` is grpo. "
            f"Choose choice, exact, number, math or generator{apart}."
        )


def may_get_rows(recipe: Recipe, domains: Mapping[str, Domain]) -> Iterator[Domain]:
    """The domains that neither the budget, nor a cap, a share or a licence keeps out of the mixture."""
    rows, tokens = recipe.budget.rows, recipe.budget.tokens
    asked = rows if rows is not None else tokens
    amount = asked[-1] if isinstance(asked, list) else asked
    limits = recipe.allocate
    for name, one in allowed(recipe.mixture, domains).items() if amount else ():
        if one.pool and limits.caps.get(name) != 0 and limits.shares.get(name) != 0:
            yield one


def require_limits(recipe: Recipe, domains: Mapping[str, Domain]) -> None:
    """Check that some plan meets the budget, the limits and the pools.

    Raises:
        AllocationError: none does; the message names the limits and the smallest change.
    """
    budget, limits = recipe.budget, recipe.allocate
    asked = budget.rows if budget.rows is not None else budget.tokens
    if asked == "auto":
        return  # how many rows is known only once scores are
    amount = asked[-1] if isinstance(asked, list) else asked or 0
    in_rows = budget.rows is not None
    if unlimited(recipe, domains, amount):
        return
    from mixplan.allocate import require_possible  # loads cvxpy, which recipes without limits do not need

    require_possible(_demands(domains, amount, in_rows=in_rows), spec=limits, budget=budget)


def unlimited(recipe: Recipe, domains: Mapping[str, Domain], amount: int) -> bool:
    """Whether a budget needs no solver to tell that it can be spent: nothing limits it, and the pools have the rows."""
    budget, limits = recipe.budget, recipe.allocate
    if any((limits.floors, limits.caps, limits.shares, limits.groups, isinstance(limits.prior, dict))):
        return False
    return budget.rows is not None and amount <= sum(len(one.pool) for one in domains.values()) * budget.max_repeats


def left_out_budgets(recipe: Recipe, domains: Mapping[str, Domain]) -> list[str]:
    """Say which budgets before the last of a list no plan of these rows can spend within the limits, and why."""
    rows, tokens = recipe.budget.rows, recipe.budget.tokens
    asked = rows if rows is not None else tokens
    if not isinstance(asked, list) or len(asked) < 2 or unlimited(recipe, domains, max(asked)):
        return []
    from mixplan.allocate import left_out

    demands = _demands(domains, max(asked), in_rows=rows is not None)
    return list(left_out(demands, spec=recipe.allocate, budget=recipe.budget))


def _demands(domains: Mapping[str, Domain], amount: int, *, in_rows: bool) -> list[DomainDemand]:
    """Domains without scores, which limits do not need."""
    from mixplan.allocate import DomainDemand

    pools = {name: len(domain.pool) for name, domain in domains.items()}
    # In tokens a pool with rows is taken to hold enough: it is held against its tokens once these are counted.
    held = {name: float(rows if in_rows else amount * bool(rows)) for name, rows in pools.items()}
    return [DomainDemand(name, 1.0, 1.0, 1.0, pools[name], held[name], 1.0) for name in domains]
