"""Makes a plan of a loaded recipe, stage by stage: a run folder with scores, allocation, mixture and plan.json."""

from mixplan.plan.identity import standalone
from mixplan.plan.make import PlanRequest, make_plan
from mixplan.plan.watch import Watcher

__all__ = ["PlanRequest", "Watcher", "make_plan", "standalone"]
