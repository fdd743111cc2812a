"""Measures a model item by item on held-out rows, and compares two evaluations of the same items."""

from mixplan.evaluate.compare import change, changes
from mixplan.evaluate.measure import evaluate, headline, measures_of
from mixplan.saved.evaluation import QUALITY, Evaluation, Measured, quality, read_evaluation, write_evaluation
from mixplan.saved.outcome import Change

__all__ = [
    "QUALITY",
    "Change",
    "Evaluation",
    "Measured",
    "change",
    "changes",
    "evaluate",
    "headline",
    "measures_of",
    "quality",
    "read_evaluation",
    "write_evaluation",
]
