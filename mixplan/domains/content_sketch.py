"""Sketches what a target or domain holds, so that another plan recognises it under any name.

A sketch is the `SKETCH_KEYS` smallest hashes of a domain's rows, whatever part they are in and in whatever order their
source has them. Of two sketches, the hashes below the smaller of their two largest are a sample of both domains' rows
alike, so that the share of the smaller sample that the other holds too estimates how much of the smaller domain lies in
the larger one.

Source: A. Broder, On the resemblance and containment of documents, Compression and Complexity of Sequences (1997).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixplan.domains.domain import Domain
from mixplan.domains.rows import Row
from mixplan.recipe import DomainSpec
from mixplan.runs import cached, content_hash

SKETCH_KEYS = 64
"""With so many the share that two domains have in common is known to a standard error of at most 0.06."""
DIGITS = 12
"""Hexadecimal digits of a hash: enough that two rows of a million are not taken for one."""
SAME_SHARE = 0.5
"""Two domains are the same where at least this much of the smaller one lies in the other."""
VERSION = 1
"""Of how rows are hashed; part of the key of what is kept."""
FEWEST_COMPARED = 8
"""Below these, two sketches of very different sizes have too little in common to be compared."""


@dataclass(frozen=True)
class Content:
    """What a target or domain holds.

    Attributes:
        source: Hash of the hub data set, package file or generator that its rows are drawn from, with how a row is read
            from it, whatever the limit, the seed and the split; None for a file of the person's own, whose name
            says nothing.
        rows: How many rows it has.
        keys: Its smallest row hashes, at most `SKETCH_KEYS`, in ascending order.
    """

    source: str | None
    rows: int
    keys: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """As it is saved, the hashes in one text."""
        return {"source": self.source, "rows": self.rows, "keys": "".join(self.keys)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Content:
        """Read back.

        Raises:
            ValueError: the hashes are not what `as_json` writes.
            LookupError: something is missing.
        """
        text, source = value["keys"], value["source"]
        if not isinstance(text, str) or len(text) % DIGITS or not set(text) <= set("0123456789abcdef"):
            raise ValueError(f"keys: expected hashes of {DIGITS} hexadecimal digits")
        keys = tuple(text[at : at + DIGITS] for at in range(0, len(text), DIGITS))
        if list(keys) != sorted(set(keys)) or int(value["rows"]) < len(keys):
            raise ValueError("keys: expected ascending hashes, no more than there are rows")
        return cls(None if source is None else str(source), int(value["rows"]), keys)


def sketches(domains: Sequence[Domain]) -> list[Content]:
    """Sketch domains, or take their sketches as they were made of the same rows before."""
    made_of = [[one.fingerprint, one.is_taught, [source_of(part.spec) for part in one.parts]] for one in domains]
    if not all(one.fingerprint for one in domains):
        return list(map(sketch, domains))
    key = content_hash(VERSION, SKETCH_KEYS, DIGITS, made_of)
    kept = cached("sketches", key, lambda: [sketch(one).as_json() for one in domains])
    return list(map(Content.from_json, kept))


def sketch(domain: Domain) -> Content:
    """Sketch a domain by its questions, the target by its questions with the answers that it teaches.

    A target of several sources is another job than each of them alone, and than the same sources in other proportions,
    though they share rows; so its rows count under its sources and their shares.
    """
    if domain.sources:
        return joint_sketch(domain)
    keys = sorted({row_hash(row, taught=domain.is_taught) for row in domain.rows})
    return Content(source_of(domain.spec), len(keys), tuple(keys[:SKETCH_KEYS]))


def joint_sketch(target: Domain) -> Content:
    """Sketch a target of several sources: alike are those of the same sources in the same shares, to one per cent."""
    shares = [round(part.amount / max(1, target.amount), 2) for part in target.sources]
    origins = [source_of(part.spec) for part in target.sources]
    source = None if None in origins else content_hash(sorted(zip(map(str, origins), shares, strict=True)))
    parts = [[sketch(part).as_json(), share] for part, share in zip(target.sources, shares, strict=True)]
    job = content_hash(sorted(parts, key=content_hash))
    keys = sorted({row_hash(row, taught=True, job=job) for row in target.rows})
    return Content(source, len(keys), tuple(keys[:SKETCH_KEYS]))


def row_hash(row: Row, *, taught: bool, job: str = "") -> str:
    """A row's hash.

    Args:
        row: The row.
        taught: Whether its answer counts: the same questions with other answers are another job.
        job: Counts too, where rows alone do not tell the job.
    """
    parts = [row.key, *([row.answer, row.rationale or ""] if taught else []), *([job] if job else [])]
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=DIGITS // 2).hexdigest()


def source_of(spec: DomainSpec) -> str | None:
    """Hash of a source that its name tells from every other; None for a local file."""
    data = spec.data
    if data.hub is None and data.package is None and data.generator is None:
        return None
    drawn_from = data.model_dump(mode="json", exclude={"limit", "revision"})
    return content_hash(drawn_from, spec.format, spec.columns.model_dump(mode="json"))


def shared(one: Content, other: Content) -> float | None:
    """The part of the smaller domain that lies in the larger one.

    Returns:
        0 to 1; None where a domain has no row, or their sizes are too different for their sketches to be compared.
    """
    ends = [content.keys[-1] for content in (one, other) if content.keys and content.rows > len(content.keys)]
    samples = [{key for key in content.keys if not ends or key <= min(ends)} for content in (one, other)]
    fewest = min(map(len, samples))
    complete = any(content.rows == len(content.keys) for content in (one, other)) and not ends
    if fewest < (1 if complete else FEWEST_COMPARED):
        return None
    return len(samples[0] & samples[1]) / fewest


def same_content(one: Content | None, other: Content | None) -> bool | None:
    """Whether two domains hold the same: drawn from one named source, or at least `SAME_SHARE` of the smaller shared.

    Returns:
        None where that cannot be told, because one of them was saved without a sketch or their sizes differ too much.
    """
    if one is None or other is None:
        return None
    if one.source is not None and one.source == other.source:
        return True
    found = shared(one, other)
    return None if found is None else found >= SAME_SHARE
