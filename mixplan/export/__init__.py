"""Writes a run's mixture in the form of another trainer, with a config that trains just these rows in this order."""

from mixplan.export.make import TRAINERS, Exported, export_run

__all__ = ["TRAINERS", "Exported", "export_run"]
