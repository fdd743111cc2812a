"""Grades a model's answers and rewards GRPO's completions, within bounds of time and memory.

Names are imported from their own modules: this one loads nothing, so that the grading process starts at once.
"""

VERSION = 4
"""Of what graders accept: part of the key under which graded answers are kept."""
