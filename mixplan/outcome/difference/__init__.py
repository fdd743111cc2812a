"""Measures what a training changed, by domain and by feature, without a plan."""
