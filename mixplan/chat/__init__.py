"""Renders conversations with a model's chat template under the recipe's settings, and finds turns in the text.

Names are imported from their own modules: this one loads nothing, so that the grading process starts at once.
"""
