"""A plan's forecast and the measured changes in, which domains moved outside their forecast out.

A forecast learned from earlier runs gives an interval for the measured change itself: a domain is outside when its
change is. A relative forecast gives each domain's share of all domains' change: a domain is outside when its interval
and the measured share's do not meet. Shares are taken over behaviour where every domain has it, else over headlines of
one unit. A change whose interval holds zero has a size from 0 on; the total is taken as it stands, as in the forecast.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mixplan.forecast.earlier import unit_of
from mixplan.outcome.units import headline_change

BEHAVIOUR = ("behaviour", "kl")


def expected(planned: Mapping[str, Any], part: str, measured: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the plan expected of one quantity of a domain, or None where it had no expectation in this very quantity.

    Args:
        planned: The domain's `forecast` in plan.json.
        part: `headline` or `behaviour`.
        measured: The domain's `headline` and `measures`.
    """
    found = (planned.get("expected") or {}).get(part)
    if found is None:
        return None
    if part == "behaviour":
        return dict(found) if "behaviour" in measured["measures"] else None
    headline = headline_change(measured)
    same = headline is not None and (measured["headline"], headline[0]) == (found["measure"], found["quantity"])
    return dict(found) if same else None


def outside(expectation: Mapping[str, Any], measured: Mapping[str, Any]) -> bool:
    """Whether a change is outside what was expected of it."""
    change = measured["measures"][expectation["measure"]][expectation["quantity"]]["change"]
    return not expectation["low"] <= change <= expectation["high"]


def shares(
    planned: Mapping[str, Mapping[str, Any]], domains: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Each domain's share of all domains' change, as forecast and as measured.

    Args:
        planned: By domain, its `forecast` in plan.json.
        domains: By domain, its `headline` and `measures`.

    Returns:
        By domain `measure`, `quantity`, `share`, `low`, `high`, `measured`, `measured_low`, `measured_high`; empty
        where the domains have no measure of one unit, nothing changed, or the plan told no domain from another.
    """
    sizes = sizes_of_one_unit(domains)
    total = math.fsum(size[1] for *_, size in sizes.values())
    if not total or not any(planned[name]["relative_risk"] for name in planned):
        return {}
    return {
        name: {
            "measure": measure,
            "quantity": quantity,
            "share": planned[name]["relative_risk"],
            "low": planned[name]["low"],
            "high": planned[name]["high"],
            "measured": value / total,
            "measured_low": low / total,
            "measured_high": high / total,
        }
        for name, (measure, quantity, (low, value, high)) in sizes.items()
    }


def sizes_of_one_unit(
    domains: Mapping[str, Mapping[str, Any]],
) -> dict[str, tuple[str, str, tuple[float, float, float]]]:
    """By domain, what is measured and the size of its change (low, value, high); empty unless all have one unit."""
    measure, quantity = BEHAVIOUR
    if all(measure in domain["measures"] for domain in domains.values()):
        moved = {name: domain["measures"][measure][quantity] for name, domain in domains.items()}
        return {name: (measure, quantity, size(change)) for name, change in moved.items()}
    found = {name: headline for name, domain in domains.items() if (headline := headline_change(domain))}
    if len(found) < len(domains) or len({unit_of(quantity) for quantity, _ in found.values()}) > 1:
        return {}
    return {name: (domains[name]["headline"], quantity, size(change)) for name, (quantity, change) in found.items()}


def size(change: Mapping[str, float]) -> tuple[float, float, float]:
    """A change's size with the ends of its interval."""
    ends = sorted(abs(change[end]) for end in ("low", "high"))
    return 0.0 if change["low"] <= 0 <= change["high"] else ends[0], abs(change["change"]), ends[1]


def apart(share: Mapping[str, float]) -> bool:
    """Whether a share's forecast and measured intervals do not meet."""
    return bool(share["measured_high"] < share["low"] or share["high"] < share["measured_low"])
