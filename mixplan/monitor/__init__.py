"""Measures the plan's domains within a trainer that is at work, and stops it or keeps its best checkpoint."""

from mixplan.monitor.callback import DomainMonitor

__all__ = ["DomainMonitor"]
