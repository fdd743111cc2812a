"""Allocates a budget of rows to domains, and reports what each limit costs and how far the plan is from uniform."""

from mixplan.allocate.again import rows_again
from mixplan.allocate.plan import allocate, budget_curve, left_out, require_possible
from mixplan.allocate.problem import DomainDemand
from mixplan.allocate.result import AgainstEven, Allocation, CurvePoint, Dual, Saved

__all__ = [
    "AgainstEven",
    "Allocation",
    "CurvePoint",
    "DomainDemand",
    "Dual",
    "Saved",
    "allocate",
    "budget_curve",
    "left_out",
    "require_possible",
    "rows_again",
]
