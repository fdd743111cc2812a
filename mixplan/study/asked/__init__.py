"""Reads what a study asks for: its file, its section on arms, and the command's request."""
