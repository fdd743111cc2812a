"""Compares mixtures of equal size: planned, trained, judged and learned from."""
