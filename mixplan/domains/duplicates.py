"""Computes the key by which duplicates are found, blind to case, spacing and punctuation at a word's edge."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import repeat

KEY_LENGTH = 32

_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−"), "-")
# Only at a word's edge: inside one (`1.5`, `don't`) punctuation carries meaning, and signs (`+ - * / < =`) always do.
_EDGE_PUNCTUATION = ".,;:!?…\"'`“”‘’«»"


def normalised(text: str) -> str:
    """Text without the differences that leave it the same question.

    Letters are folded (NFKC, case), dashes are one dash, runs of space are one space, and sentence punctuation and
    quotation marks at a word's edge are gone. Signs that change a sum stay: `3 - 4` and `3 + 4` are two questions.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_DASHES)
    return " ".join(filter(None, map(str.strip, text.casefold().split(), repeat(_EDGE_PUNCTUATION))))


def content_key(prompt: Sequence[tuple[str, str]], options: Iterable[str] = ()) -> str:
    """Key of a question.

    Args:
        prompt: Messages as (role, content) pairs; a system message says what is asked, so it counts.
        options: Choice rows: the options' texts; their order does not count.

    Returns:
        32 hexadecimal digits.
    """
    turns = [f"{role}\x1f{normalised(content)}" for role, content in prompt]
    text = "\x1e".join([*turns, "", *sorted(map(normalised, options))])
    return hashlib.blake2b(text.encode(), digest_size=KEY_LENGTH // 2).hexdigest()
