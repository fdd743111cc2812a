"""Streams tokens through a model and an SAE into feature statistics, aligned with and without demonstrations."""
