"""Judges a study's forecasts against what trainings measured, with intervals."""
