"""Finds the domains whose measured change is outside what the plan forecast.

A forecast learned from earlier runs gives an interval for the measured change itself: a domain is outside when its
change is. It is of a job on its target's rows alone, and extra rows leave some part of a change, from none to all of
it: where a plan has any, a change that lies between no change and the interval does not contradict it. A relative
forecast gives each domain's share of all domains' change: a domain is outside when its interval and the measured
share's do not meet. Shares are taken over behaviour where every domain has it, else over headlines of one unit. A
change whose interval holds zero has a size from 0 on; the total is taken as it stands, as in the forecast.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from mixplan.forecast.earlier_runs import unit_of
from mixplan.outcome.units import headline_change
from mixplan.saved.base_types import Expected
from mixplan.saved.outcome import Change, Measured, Relative
from mixplan.saved.plan import Risk

BEHAVIOUR = ("behaviour", "kl")


def expected(planned: Risk | None, part: str, measured: Measured) -> Expected | None:
    """What the plan expected of one quantity of a domain, or None where it had no expectation in this very quantity.

    Args:
        planned: The domain's forecast.
        part: `headline` or `behaviour`.
        measured: What was measured of it.
    """
    learned = planned.expected if planned else None
    if part == "behaviour":
        return learned.behaviour if learned and "behaviour" in measured.measures else None
    found, headline = learned.headline if learned else None, headline_change(measured)
    same = found and headline and (measured.headline, headline[0]) == (found.measure, found.quantity)
    return found if same else None


def outside(expectation: Expected, measured: Measured, *, behind_rows: bool) -> bool:
    """Whether a change is outside what was expected of it.

    Args:
        expectation: Of a job without extra rows.
        measured: What was measured.
        behind_rows: Whether the plan has extra rows, behind which a change may be any part of that.
    """
    change = measured.measures[expectation.measure][expectation.quantity].change
    low, high = expectation.low, expectation.high
    if behind_rows:
        low, high = min(low, 0.0), max(high, 0.0)
    return not low <= change <= high


def shares(planned: Mapping[str, Risk | None], domains: Mapping[str, Measured]) -> dict[str, Relative]:
    """Each domain's share of all domains' change, as forecast and as measured.

    Args:
        planned: By domain, its forecast.
        domains: By domain, what was measured of it.

    Returns:
        By domain; empty where the domains have no measure of one unit, nothing changed, or the plan told no domain from
        another.
    """
    sizes = sizes_of_one_unit(domains)
    total = math.fsum(size[1] for *_, size in sizes.values())
    risks = {name: risk for name, risk in planned.items() if risk is not None}
    if not total or not any(risk.relative_risk for risk in risks.values()):
        return {}
    return {
        name: Relative(
            measure=measure,
            quantity=quantity,
            share=risks[name].relative_risk,
            low=risks[name].low,
            high=risks[name].high,
            measured=value / total,
            measured_low=low / total,
            measured_high=high / total,
        )
        for name, (measure, quantity, (low, value, high)) in sizes.items()
    }


def sizes_of_one_unit(domains: Mapping[str, Measured]) -> dict[str, tuple[str, str, tuple[float, float, float]]]:
    """By domain, what is measured and the size of its change (low, value, high); empty unless all have one unit."""
    measure, quantity = BEHAVIOUR
    if all(measure in domain.measures for domain in domains.values()):
        moved = {name: domain.measures[measure][quantity] for name, domain in domains.items()}
        return {name: (measure, quantity, size(change)) for name, change in moved.items()}
    found = {name: headline for name, domain in domains.items() if (headline := headline_change(domain))}
    if len(found) < len(domains) or len({unit_of(quantity) for quantity, _ in found.values()}) > 1:
        return {}
    return {name: (str(domains[name].headline), quantity, size(change)) for name, (quantity, change) in found.items()}


def size(change: Change) -> tuple[float, float, float]:
    """A change's size with the ends of its interval."""
    ends = sorted((abs(change.low), abs(change.high)))
    return 0.0 if change.low <= 0 <= change.high else ends[0], abs(change.change), ends[1]


def apart(share: Relative) -> bool:
    """Whether a share's forecast and measured intervals do not meet."""
    return share.measured_high < share.low or share.high < share.measured_low
