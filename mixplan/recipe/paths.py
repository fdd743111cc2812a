"""Reads a recipe's texts as local paths."""

from __future__ import annotations

import os
from pathlib import Path


def local_path(text: str) -> Path:
    """A path as it is written, with `~` for the home folder and `$NAME` for a variable of the environment.

    A variable that is not set stays as it is, so that the message on the missing file shows it.
    """
    return Path(os.path.expandvars(text)).expanduser()
