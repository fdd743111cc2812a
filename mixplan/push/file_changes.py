"""Holds what a push would do to a repository, file by file, and refuses to replace what someone else put there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from mixplan.errors import RunError
from mixplan.push.files_to_send import Gathered, Outgoing
from mixplan.push.repository import Repository

READ_BESIDE = {
    "dataset": re.compile(r"train-\d+\.parquet"),
    "model": re.compile(
        r"(?:adapter_)?model(?:-\d+-of-\d+)?\.(?:safetensors|bin)(?:\.index\.json)?|adapter_config\.json"
        r"|pytorch_model(?:-\d+-of-\d+)?\.bin(?:\.index\.json)?|\.eval_results/.+\.yaml|config\.json"
    ),
    "space": re.compile(r"(?!)"),
}
"""Files that a loader takes, by their names alone, for a part of what is pushed, whoever put them there."""

MADE_BY_HUB = (".gitattributes",)
"""What the hub itself puts into a new repository."""

SHOWN = 6


@dataclass(frozen=True)
class OfferedFile:
    """One file of a push.

    Attributes:
        name: Its path in the repository.
        bytes: Its size; 0 of one that is deleted.
        state: What becomes of the repository's own: nothing for a `new` one and the `same`, `replaces`, `deletes`;
            `unknown` where the hub was not asked.
    """

    name: str
    bytes: int
    state: Literal["new", "same", "replaces", "deletes", "unknown"]


@dataclass(frozen=True)
class Offer:
    """What a push does, or has done.

    Attributes:
        repo: The repository's name.
        kind: `dataset`, `model` or `space`.
        url: Its page.
        private: Whether only its members see it.
        exists: Whether it is there already; None where the hub was not asked.
        files: What goes, and what is deleted.
        notes: What a person should know, in whole sentences.
        commit: The commit; None of a dry run, and where all was there already.
    """

    repo: str
    kind: str
    url: str
    private: bool
    exists: bool | None
    files: tuple[OfferedFile, ...]
    notes: tuple[str, ...]
    commit: str | None = None

    @property
    def bytes(self) -> int:
        """Of all files that go."""
        return sum(file.bytes for file in self.files)

    def names(self, state: str) -> list[str]:
        """The files in one state."""
        return [file.name for file in self.files if file.state == state]


def compared(gathered: Gathered, repository: Repository) -> Iterator[OfferedFile]:
    """Hold each file against what the repository has, and find what a loader would read beside it.

    Args:
        gathered: What would go.
        repository: As the hub has it.
    """
    for file in gathered.files:
        yield OfferedFile(file.name, file.size, state_of(file, repository))
    own = {file.name for file in gathered.files}
    for name in sorted(set(repository.files) - own):
        if READ_BESIDE[gathered.kind].fullmatch(name):
            yield OfferedFile(name, 0, "deletes")


def state_of(file: Outgoing, repository: Repository) -> Literal["new", "same", "replaces"]:
    """What becomes of the repository's own file of that name."""
    if file.name not in repository.files:
        return "new"
    return "same" if repository.holds(file) else "replaces"


def refuse_replacing(offer: Offer, run: str) -> None:
    """Refuse to replace or delete files unasked.

    Args:
        offer: What would be done.
        run: The command without the option, for the message.

    Raises:
        RunError: it would; the message names the files.
    """
    changed = [*offer.names("replaces"), *offer.names("deletes")]
    if changed:
        raise RunError(
            f"{offer.url}: the repository holds {listed(changed)} already, which this push would "
            f"{'replace' if not offer.names('deletes') else 'replace or delete'}. Nothing was sent. To replace them, "
            f"`{run} --replace`; their former content stays in the repository's history. Or choose another --repo."
        )


def listed(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
