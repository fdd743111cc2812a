"""Writes a study's results as Markdown, tables and charts."""
