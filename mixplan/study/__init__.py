"""Runs a study: trains many targets with several seeds, measures every domain, and judges each forecast."""
