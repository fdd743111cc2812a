"""Solves random allocation problems and holds each answer against optimality itself, by a second formulation.

    python bin/allocations.py [INSTANCES] [SEED]

An answer must meet every limit. A plan of alpha_fair or diminishing is best exactly where no feasible direction is
better: with groups that are disjoint or nested it is enough that moving a little from one domain to another never is
(the plans are the bases of a generalised polymatroid), which is looked at pair by pair; with groups that cross, scipy
solves the linear program along the gradient. A plan of min_max is best where no direction gives all domains of the
worst loss more, by scipy's linear program, and an answer "no plan meets all limits" is held against scipy's search for
one. Domains of score 0 get something only where no domain with a score can have it, and then equal amounts. Whole rows
must meet the limits, too.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterator

import numpy as np
from scipy.optimize import linprog

from mixplan.allocate.feasibility import require_feasible
from mixplan.allocate.problem import DomainDemand, Problem, build
from mixplan.allocate.rounding import whole_rows
from mixplan.allocate.solve import solve
from mixplan.errors import AllocationError
from mixplan.recipe import AllocateSpec, GroupSpec

ALPHAS = (0.0, 0.01, 0.1, 0.3, 0.49, 0.5, 0.7, 1.0, 1.0, 1.5, 2.0, 2.1, 5.0, 50.0, 1000.0)
NESTED_SLACK, CROSSING_SLACK = 1e-9, 1e-6
"""Parts of the budget by which limits may be missed."""
WORTH_SLACK = 1e-5
"""Part by which a domain's worth may be above another's at the best plan, for each power of the amount in it."""


def instance(random: np.random.Generator) -> tuple[Problem, AllocateSpec, bool]:
    """A random problem, its objective, and whether its groups cross."""
    count = int(random.integers(2, 10))
    names = [f"d{i}" for i in range(count)]
    spread = random.choice([0.0, 0.5, 2.0, 8.0])
    score = np.exp(random.normal(0, spread, count)) * 10.0 ** random.integers(-6, 7)
    score[random.random(count) < random.choice([0.0, 0.2, 0.5])] = 0.0
    total = int(random.choice([1, 13, 200, 5_000, 10**6, 10**8]))
    pool = np.ceil(total * np.exp(random.normal(0, 1, count))).astype(int)
    pool[random.random(count) < 0.05] = 0
    unit = str(random.choice(["rows", "tokens"]))
    mean = np.ones(count) if unit == "rows" else random.uniform(1, max(1.5, total / 50), count)
    spec: dict[str, object] = {"floors": {}, "caps": {}, "shares": {}, "groups": {}}
    for name in names:
        kind = random.random()
        if kind < 0.15:
            spec["floors"][name] = int(random.integers(0, total // count + 1))
        elif kind < 0.3:
            spec["caps"][name] = int(random.integers(0, total + 1))
        elif kind < 0.35:
            spec["shares"][name] = float(np.round(random.uniform(0, 1 / count), 3))
    crossing = bool(random.random() < 0.2)
    spec["groups"] = dict(groups(random, names, total, crossing))
    kind = random.random()
    half = float(10.0 ** random.uniform(-3, 9))
    if kind < 0.55:
        spec |= {
            "objective": "alpha_fair",
            "alpha": float(random.choice(ALPHAS if not crossing else [0.0, 0.5, 0.7, 1.0, 1.5, 2.0])),
        }
    else:
        spec |= {"objective": "diminishing" if kind < 0.8 else "min_max", "half_rows": half}
    demands = [
        DomainDemand(n, s, s, s, int(p), float(p) * m, m)
        for n, s, p, m in zip(names, score.tolist(), pool.tolist(), mean.tolist(), strict=True)
    ]
    given = AllocateSpec(**spec)
    problem = build(demands, given, unit, total, 1)
    common = problem.member.astype(int) @ problem.member.astype(int).T
    sizes = np.diag(common)
    return problem, given, bool(((common > 0) & (common < np.minimum.outer(sizes, sizes))).any())


def groups(
    random: np.random.Generator, names: list[str], total: int, crossing: bool
) -> Iterator[tuple[str, GroupSpec]]:
    """Random groups: two at random where they may cross, else a nest."""
    if crossing:
        members = [sorted(random.choice(names, size=random.integers(1, len(names) + 1), replace=False)) for _ in "gh"]
    else:
        order = list(random.permutation(names))
        cut = int(random.integers(1, len(names) + 1))
        inner = int(random.integers(0, cut + 1))
        members = [order[:cut], order[:inner], order[cut:]][: int(random.integers(0, 4))]
    for index, domains in enumerate(members):
        if len(domains):
            floor = int(random.integers(0, total + 1)) if random.random() < 0.5 else 0
            cap = int(random.integers(floor, total + 1)) if random.random() < 0.5 else None
            yield f"g{index}", GroupSpec(domains=[str(name) for name in domains], floor=floor, cap=cap)


def polytope(problem: Problem) -> dict[str, object]:
    """The limits as scipy's arguments, in parts of the budget."""
    capped = np.isfinite(problem.group_cap)
    scale = problem.total
    return {
        "A_eq": np.ones((1, len(problem.demands))),
        "b_eq": [1.0],
        "A_ub": np.vstack([problem.member[capped].astype(float), -problem.member.astype(float)]),
        "b_ub": np.concatenate([problem.group_cap[capped], -problem.group_floor]) / scale,
        "bounds": list(zip(problem.low / scale, problem.high / scale, strict=True)),
    }


def feasible(problem: Problem) -> bool:
    """Whether scipy finds a plan that meets every limit."""
    if (problem.low > np.minimum(problem.high, problem.pool) * (1 + 1e-9)).any():
        return False
    return bool(linprog(np.zeros(len(problem.demands)), method="highs", **polytope(problem)).status == 0)


def misses(problem: Problem, amount: np.ndarray, slack: float) -> bool:
    """Whether a plan misses a limit."""
    room, joint = slack * problem.total, problem.member @ amount
    return bool(
        abs(amount.sum() - problem.total) > room
        or (amount < problem.low - room).any()
        or (amount > problem.high + room).any()
        or (joint > problem.group_cap + room).any()
        or (joint < problem.group_floor - room).any()
    )


def log_worth(problem: Problem, spec: AllocateSpec, amount: np.ndarray) -> np.ndarray:
    """The log of what one more unit brings in each domain; -infinity for a score of 0."""
    # Amounts below the smallest number are 0; the best ones are smaller than this, too.
    amount = np.maximum(amount, 1e-200 * problem.total)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.log(problem.score)
        if spec.objective == "alpha_fair":
            return np.where(problem.score > 0, score - (spec.alpha * np.log(amount) if spec.alpha else 0.0), -np.inf)
        return score - 2 * np.log1p(amount / spec.half)


def better_pair(problem: Problem, spec: AllocateSpec, amount: np.ndarray) -> bool:
    """Whether moving a little from one domain to another is feasible and better."""
    room, joint = 1e-7 * problem.total, problem.member @ amount
    worth = log_worth(problem, spec, amount)
    powers = 2.0 if spec.objective != "alpha_fair" else 1.0 + spec.alpha
    full, bare = joint >= problem.group_cap - room, joint <= problem.group_floor + room
    for giver in np.flatnonzero(amount > problem.low + room):
        for taker in np.flatnonzero(amount < problem.high - room):
            own, other = problem.member[:, giver], problem.member[:, taker]
            if giver == taker or (full & other & ~own).any() or (bare & own & ~other).any():
                continue
            alike = problem.score[giver] == problem.score[taker] and (spec.alpha == 0 or problem.score[giver] == 0)
            if alike and spec.objective == "alpha_fair" and amount[giver] > amount[taker] + 2 * room:
                return True
            if problem.score[giver] == problem.score[taker] == 0:
                if amount[giver] > amount[taker] + 2 * room:
                    return True
            elif worth[taker] > worth[giver] + WORTH_SLACK * powers:
                return True
    return False


def better_direction(problem: Problem, spec: AllocateSpec, amount: np.ndarray) -> bool:
    """Whether the linear program along the gradient finds a plan that is better by more than a solver's tolerance."""
    logs = log_worth(problem, spec, np.maximum(amount, 1e-9 * problem.total))
    if np.isneginf(logs).all():
        return False
    worth = np.exp(logs - logs.max())
    best = linprog(-worth, method="highs", **polytope(problem))
    own = float(worth @ amount / problem.total)
    return bool(best.status == 0 and -best.fun - own > 3e-3 * max(own, 1e-12))


def worse_than_possible(problem: Problem, spec: AllocateSpec, amount: np.ndarray) -> bool:
    """Whether scipy finds a direction within the limits in which every domain of the worst loss gets more."""
    if not problem.score.any():
        return False
    losses = problem.score / (1 + amount / spec.half)
    worst = losses >= losses.max() * (1 - 1e-6)
    room = max(1e-12 * problem.total, min(1e-9 * problem.total, 1e-3 * spec.half))
    joint = problem.member @ amount
    full, bare = joint >= problem.group_cap - room, joint <= problem.group_floor + room
    member = problem.member.astype(float)
    count = len(amount)
    # The last variable is the least that a domain of the worst loss gains.
    more = np.hstack([-np.eye(count)[worst], np.ones((worst.sum(), 1))])
    groups = np.hstack([np.vstack([member[full], -member[bare]]), np.zeros((full.sum() + bare.sum(), 1))])
    ends = [
        (0.0 if amount[i] <= problem.low[i] + room else -1.0, 0.0 if amount[i] >= problem.high[i] - room else 1.0)
        for i in range(count)
    ]
    best = linprog(
        np.append(np.zeros(count), -1.0),
        A_ub=np.vstack([more, groups]),
        b_ub=np.zeros(len(more) + len(groups)),
        A_eq=np.append(np.ones(count), 0.0)[None],
        b_eq=[0.0],
        bounds=[*ends, (0.0, 1.0)],
        method="highs",
    )
    return bool(best.status == 0 and -best.fun > 1e-6)


def rows_miss(problem: Problem, amount: np.ndarray) -> bool:
    """Whether whole rows miss the budget, a pool, a cap or a group's cap."""
    mean = np.array([demand.mean_row_amount for demand in problem.demands])
    try:
        rows = whole_rows(problem, amount)
    except AllocationError:
        return not crosses(problem)
    spent = rows * mean
    joint, most = problem.member @ spent, np.where(np.isnan(problem.share), problem.cap, np.inf)
    exact = problem.unit == "rows" and spent.sum() != problem.total
    groups_low = problem.unit == "rows" and (joint < problem.group_floor).any()
    return bool(
        exact
        or groups_low
        or (rows < 0).any()
        or spent.sum() > problem.total * (1 + 1e-9)
        or (spent > most * (1 + 1e-9)).any()
        or (rows > [demand.pool_rows for demand in problem.demands]).any()
        or (joint > problem.group_cap * (1 + 1e-9)).any()
    )


def crosses(problem: Problem) -> bool:
    """Whether two groups share domains and neither is inside the other."""
    common = problem.member.astype(int) @ problem.member.astype(int).T
    return bool(((common > 0) & (common < np.minimum.outer(np.diag(common), np.diag(common)))).any())


def verdict(problem: Problem, spec: AllocateSpec, crossing: bool) -> str:
    """`right`, `no plan` where there is rightly none, or what is wrong."""
    possible = feasible(problem)
    try:
        require_feasible(problem)
        amount = solve(problem, spec).amount
    except AllocationError as error:
        if not possible:
            return "no plan"
        return "refused: " + str(error).splitlines()[0][:120]
    if not possible:
        return "right" if not misses(problem, amount, CROSSING_SLACK) else "a plan where there is none"
    if misses(problem, amount, CROSSING_SLACK if crossing else NESTED_SLACK):
        return "misses a limit"
    if spec.objective == "min_max":
        if worse_than_possible(problem, spec, amount):
            return "not the best"
    elif (better_direction if crossing else better_pair)(problem, spec, amount):
        return "not the best"
    return "rows miss a limit" if rows_miss(problem, amount) else "right"


def say(line: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{line}\n")


def main() -> None:
    """Count verdicts and name the wrong instances."""
    count, seed = (int(given) for given in [*sys.argv[1:], *("2500", "0")[len(sys.argv) - 1 :]])
    found: Counter[str] = Counter()
    for index in range(count):
        problem, spec, crossing = instance(np.random.default_rng([seed, index]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = verdict(problem, spec, crossing)
        found[said] += 1
        if said not in ("right", "no plan"):
            say(
                f"instance {index}: {said} ({spec.objective}, alpha {spec.alpha:g}, half {spec.half:.3g}, "
                f"{problem.total:g} {problem.unit}, {'crossing' if crossing else 'nested'} groups)"
            )
    wrong = count - found["right"] - found["no plan"]
    say(f"{count} instances, {count - found['no plan']} feasible, {wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
