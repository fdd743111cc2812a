"""Holds the files that a push would send, each with its name in the repository, its content and its hashes."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mixplan.runs import file_hash, translated


@dataclass(frozen=True)
class Outgoing:
    """One file.

    Attributes:
        name: Its path in the repository.
        content: Its bytes, or the file that holds them.
    """

    name: str
    content: bytes | Path

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    @functools.cached_property
    def sha256(self) -> str:
        """As Git LFS names it."""
        return hashlib.sha256(self.content).hexdigest() if isinstance(self.content, bytes) else file_hash(self.content)

    @functools.cached_property
    def git_hash(self) -> str:
        """As Git names its content."""
        digest = hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
        if isinstance(self.content, bytes):
            digest.update(self.content)
            return digest.hexdigest()
        with translated(self.content, reading=True), open(self.content, "rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
        return digest.hexdigest()

    def text(self) -> str | None:
        """Its text; None where it is none."""
        data = self.content if isinstance(self.content, bytes) else self.content.read_bytes()
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return None


@dataclass(frozen=True)
class Gathered:
    """What a push consists of.

    Attributes:
        kind: Of the repository: `dataset`, `model` or `space`.
        files: What goes.
        notes: What a person should know before it goes, in whole sentences.
        restricted: Rows under a licence that a public repository should not hold unasked, in whole sentences.
    """

    kind: str
    files: Sequence[Outgoing]
    notes: tuple[str, ...] = ()
    restricted: tuple[str, ...] = ()
