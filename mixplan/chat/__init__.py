"""Renders conversations by a model's chat template, held to the recipe's settings, and finds turns in the text.

Names are imported from their own modules: this one loads nothing, so that the grading process starts at once.
"""
