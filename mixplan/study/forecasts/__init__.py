"""Computes the forecasts that a study holds against each other."""
