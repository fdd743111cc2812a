"""Trains and measures a pilot of a job before its plan is made, where the recipe forecasts from one."""

from mixplan.pilot.make import make_plan

__all__ = ["make_plan"]
