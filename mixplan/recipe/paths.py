"""Reads a recipe's texts as local paths, or tells that they can only be names on the hub."""

from __future__ import annotations

import os
import re
from pathlib import Path

_NAME = r"\w(?:[\w.-]{0,94}\w)?"
_HUB_ID = re.compile(rf"(?!.*(?:--|\.\.))(?:{_NAME}/)?{_NAME}(?<!\.git)", re.ASCII)
"""As huggingface_hub's `validate_repo_id` has it, but for letters beyond English ones."""


def is_hub_id(text: str) -> bool:
    """Whether the hub takes a text for a repository's name, with its owner's or without; all else is a folder's."""
    return _HUB_ID.fullmatch(text) is not None


def local_path(text: str) -> Path:
    """A path as it is written, with `~` for the home folder and `$NAME` for a variable of the environment.

    A variable that is not set stays as it is, so that the message on the missing file shows it.
    """
    return Path(os.path.expandvars(text)).expanduser()
