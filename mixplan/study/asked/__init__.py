"""Reads what a study asks: its file, its arms, the command's request."""
