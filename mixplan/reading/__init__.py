"""Reads what a recipe names once, keeps it by what it was made from, and tells how far it is."""

from mixplan.reading.identity import standalone
from mixplan.reading.progress import Watcher

__all__ = ["Watcher", "standalone"]
