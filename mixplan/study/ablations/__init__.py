"""Repeats a study's forecasts with one setting changed at a time."""
