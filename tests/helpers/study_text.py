"""Writes a study's file with some of its text changed."""

from pathlib import Path


def lay(text: str, folder: Path, *changes: tuple[str, str]) -> Path:
    """Write a study with some of its text changed; each text to change stands in it once."""
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / "study.yaml"
    path.write_text(text)
    return path
