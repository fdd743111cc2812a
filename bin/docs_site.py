"""Turns links from docs/ to other files of the repository into their paths, since a site holds docs/ alone."""

from __future__ import annotations

import re
from typing import Any

OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)#]+)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, **_rest: Any) -> str:
    """Write `[RESULTS.md](../recipes/x/RESULTS.md)` as its path; mkdocs calls this for each page."""
    return OUTSIDE.sub(lambda found: f"`{found[2]}`", markdown)
