"""Reads what other evaluation harnesses have measured, and pairs it item by item."""
