"""Reads features, pilots and rollouts before a study's first training."""
