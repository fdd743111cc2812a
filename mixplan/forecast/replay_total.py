"""Recommends how many extra rows are enough in all, by what arms that were compared earlier teach.

With n domains, T rows spread evenly leave of every loss (see `response`)

    left_evenly(T) = 1 / (1 / left(T) + T / (n half)),

which falls to `stays` where a domain's own rows do no more than others', else to 0. Enough is the T that removes
`ENOUGH` of what any number removes. The recommendation is enough, in whole rows, but no fewer than the smallest and no
more than the largest mixture that was measured, since beyond these nothing is known, and no fewer than `LEAST` of the
target's rows, since arms are compared in short jobs. Intervals are by the jackknife over targets; that of enough is
made for its speed, 1 / enough, as that of the rows that halve a loss is.

Where no arms were compared, or teach nothing that predicts losses in targets left out, it is `RULE` of the target's
rows: 1 to 5 % of replayed rows were enough in others' trainings (arXiv 2403.08763, arXiv 2502.06042). Where losses in
targets left out are predicted best by rows that save nothing, it is 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mixplan.forecast.halving import Compared, learned_from
from mixplan.forecast.response import Halving, Response, interval, jackknife, mixtures_text
from mixplan.saved.total import RecommendedTotal, TotalPoint

ENOUGH = 0.9
"""The part of what any number of rows removes that is enough."""
RULE = 0.05
"""Of the target's rows, where nothing teaches how many are enough."""
LEAST = 0.01
"""Of the target's rows, whatever short jobs teach."""


def replay_total(known: Sequence[Compared], *, usual: float, domains: int, target_rows: int) -> RecommendedTotal:
    """Recommend a total.

    Args:
        known: Arms of all targets that were compared with the model by its training method.
        usual: The amount of own rows that what is learned has to beat.
        domains: How many share the rows, at least 1.
        target_rows: Of the job.
    """
    if not known:
        return by_rule(target_rows, "no arms were compared with this model")
    _, targets, response = learned_from(known, usual)
    if response is None:
        return by_rule(target_rows, "the arms of one target alone teach nothing")
    if response.error_nothing <= min(response.error, response.error_assumed):
        return none_needed(response, targets)
    if not response.helps:
        return by_rule(target_rows, f"arms of {targets} targets teach nothing that predicts losses in targets left out")
    return by_response(response, targets, domains=domains, target_rows=target_rows)


def none_needed(response: Response, targets: int) -> RecommendedTotal:
    """No rows, because they saved nothing where arms were compared."""
    text = (
        f"0 extra rows are recommended: in arms of {targets} targets with this model, with {mixtures_text(response)}, "
        "losses in targets left out are predicted best by rows that save nothing (to "
        f"{response.error_nothing:.3g}, root mean square; by what was learned of rows to {response.error:.3g})."
    )
    return RecommendedTotal(rows=0, by="nothing_saved", text=text)


def by_rule(target_rows: int, why: str) -> RecommendedTotal:
    """A part of the target's rows, because nothing better is known.

    Args:
        target_rows: Of the job.
        why: What is lacking, a clause.
    """
    rows = max(1, math.ceil(RULE * target_rows))
    return RecommendedTotal(
        rows=rows,
        by="rule",
        points=points_at(rows),
        text=f"{rows} extra row{'s' if rows > 1 else ''}, {RULE:.0%} of {target_rows} target rows: a rule of thumb "
        f"(arXiv 2403.08763, 2502.06042), because {why}. What they leave was not measured; `mixplan compare` "
        "of runs of two targets teaches it.",
    )


def by_response(response: Response, targets: int, *, domains: int, target_rows: int) -> RecommendedTotal:
    """What is enough by a learned response, within what was measured.

    Args:
        response: One that predicts losses in targets left out.
        targets: How many it was learned from.
        domains: How many share the rows.
        target_rows: Of the job.
    """
    exact = enough(response.found, domains)
    low, high = interval(exact, [enough(other, domains) for other in response.others])
    needed = math.ceil(min(exact, response.most + 1))
    within = min(max(needed, math.ceil(response.fewest)), math.floor(response.most))
    least = math.ceil(LEAST * target_rows)
    rows = max(within, least)
    points = points_at(rows, response, domains)
    reasons = [
        f"Learned from arms of {targets} targets with {mixtures_text(response)}: {upper_text(exact)}"
        f"{between(low, high)} rows remove {ENOUGH:.0%} of what any number removes."
    ]
    if rows == least > within:
        reasons.append(f"{rows} is {LEAST:.0%} of the target's rows: arms were compared in shorter jobs.")
    elif within > needed:
        reasons.append(f"{within} is the fewest that were measured.")
    elif within < needed:
        reasons.append(f"{within} is the most that were measured, so more may save more.")
    leaves = [f"{point.rows} {'is' if point.rows == 1 else 'are'} expected to leave {part(point)}" for point in points]
    extra = f"{rows} extra rows are recommended" if rows > 1 else "1 extra row is recommended"
    return RecommendedTotal(
        rows=rows,
        by="response",
        low=None if low is None or math.isinf(low) else low,
        high=None if high is None or math.isinf(high) else high,
        points=points,
        text=f"{extra}: of every loss, {', '.join(leaves)}. {' '.join(reasons)}",
    )


def between(low: float | None, high: float | None) -> str:
    """An interval of rows in words; nothing where there is none."""
    if low is None or high is None:
        return ""
    return f" [{'no end' if math.isinf(low) else math.floor(low)}, {upper_text(high)}]"


def upper_text(rows: float) -> str:
    """A number of rows that is rounded up, in words."""
    return "no end" if math.isinf(rows) else f"{math.ceil(rows)}"


def part(point: TotalPoint) -> str:
    """What a total leaves, in words."""
    ends = "" if point.low is None or point.high is None else f" [{point.low:.0%}, {point.high:.0%}]"
    return f"{point.left:.0%}{ends}{'' if point.measured else ' (so few or many were not measured)'}"


def points_at(rows: int, response: Response | None = None, domains: int = 1) -> tuple[TotalPoint, ...]:
    """Half of a total, the total and twice it, with what they are expected to leave where a response says.

    Args:
        rows: The total, at least 1.
        response: What was learned of rows.
        domains: How many share them.
    """
    totals = [total for total in (rows // 2, rows, 2 * rows) if total]
    if response is None:
        return tuple(TotalPoint(rows=total) for total in totals)
    found = []
    for total in totals:
        left = left_evenly(response.found, total, domains)
        reach = jackknife(left, [left_evenly(other, total, domains) for other in response.others])
        low, high = (None, None) if reach is None else (max(0.0, reach[0]), min(1.0, reach[1]))
        measured = response.fewest <= total <= response.most
        found.append(TotalPoint(rows=total, left=left, low=low, high=high, measured=measured))
    return tuple(found)


def left_evenly(halving: Halving, total: float, domains: int) -> float:
    """The part of every loss that so many rows leave, spread evenly over so many domains."""
    return 1 / (1 / halving.left(total) + total / domains / halving.half)


def left_between(response: Response, rows: Sequence[float], scores: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the part of all losses together that rows leave, within 0 and 1; None with too few targets.

    Args:
        response: What was learned of rows.
        rows: Extra rows of each domain.
        scores: Each domain's expected loss without them, in any unit, not all 0.
    """

    def left(halving: Halving) -> float:
        others = 1 / halving.left(sum(rows))
        after = [score / (others + own / halving.half) for score, own in zip(scores, rows, strict=True)]
        return math.fsum(after) / math.fsum(scores)

    reach = jackknife(left(response.found), [left(other) for other in response.others])
    return None if reach is None else (max(0.0, reach[0]), min(1.0, reach[1]))


def enough(halving: Halving, domains: int) -> float:
    """The total that removes `ENOUGH` of what any number removes; infinite where rows remove nothing.

    Args:
        halving: Rows that halve a loss.
        domains: How many share the rows.
    """
    from scipy.optimize import brentq  # loaded where it is used: it takes half a second

    if math.isinf(halving.half):
        never = math.isinf(halving.shared) or halving.stays >= 1
        return math.inf if never else halving.shared * ENOUGH / (1 - ENOUGH)
    alone = domains * halving.half * ENOUGH / (1 - ENOUGH)

    def excess(total: float) -> float:
        return left_evenly(halving, total, domains) - (1 - ENOUGH)

    # Rows of any domains only add to what a domain's own remove, so that no more than these are needed.
    return float(brentq(excess, 0.0, alone)) if excess(alone) < 0 else alone
