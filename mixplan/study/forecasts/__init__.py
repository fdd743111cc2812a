"""Computes the forecasts that a study compares."""
