"""Makes a plan of a loaded recipe, stage by stage: a run folder with scores, allocation, mixture and plan.json."""

from mixplan.plan.make import PlanRequest, make_plan

__all__ = ["PlanRequest", "make_plan"]
