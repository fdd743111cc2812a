"""Takes the fenced blocks out of a Markdown page, with the comment in front that says who runs them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```(\w*)(?: +title=\"([^\"]+)\")?\s*$")
COMMENT = re.compile(r"^<!-- (.+) -->$")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: The page it stands on, relative to the repository.
        line: Of its opening fence, from 1.
        language: Such as `bash`, `yaml`, `jsonl`; empty where none is given.
        title: The file that it shows, None where it shows none.
        comment: The comment on the line above, such as `docs-check`.
        text: What stands between the fences.
    """

    page: str
    line: int
    language: str
    title: str | None
    comment: str | None
    text: str


def pages() -> list[Path]:
    """The README, CONTRIBUTING and every page of docs/, in order."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order.

    Raises:
        ValueError: a block is not closed.
    """
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        found = FENCE.match(lines[number])
        if found is None:
            number += 1
            continue
        end = next((at for at in range(number + 1, len(lines)) if lines[at] == "```"), None)
        if end is None:
            raise ValueError(f"{page}, line {number + 1}: a block that is not closed")
        above = COMMENT.match(lines[number - 1]) if number else None
        text = "\n".join(lines[number + 1 : end]) + "\n"
        name = str(page.relative_to(ROOT))
        yield Block(name, number + 1, found[1], found[2], above[1] if above else None, text)
        number = end + 1
