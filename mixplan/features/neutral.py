"""Replaces demonstrations by neutral prose of the same lengths, which shows what any text in front would do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from itertools import cycle, islice

from mixplan.chat.tool_calls import TOOLS
from mixplan.domains import Row
from mixplan.model import Model
from mixplan.runs import content_hash


@cache
def neutral_words() -> tuple[str, ...]:
    """Words of the shipped text: plain description, nothing asked or told."""
    return tuple(resources.files("mixplan.features").joinpath("neutral.txt").read_text(encoding="utf-8").split())


def neutral_rows(model: Model, demos: Sequence[Row]) -> tuple[Row, ...]:
    """Rows like these, with neutral prose for each question and answer.

    The prose starts at a place seeded by the demonstrations' content, runs on from turn to turn and from row to row,
    and begins again at its end. Turns, their roles and system messages stay.

    Args:
        model: For its tokenizer.
        demos: Demonstrations.

    Returns:
        One row for each, its texts as many tokens long as the given ones, give or take one. Its answer stands for
        the rationale where there was one.
    """
    words = neutral_words()
    place = int(content_hash([[row.prompt, row.answer, row.rationale] for row in demos])[:16], 16) % len(words)
    found = []
    for row in demos:
        prompt = []
        for role, content in row.prompt:
            text = content
            if role not in (TOOLS, "system"):
                text, place = passage(model, place, token_count(model, content))
            prompt.append((role, text))
        answer, place = passage(model, place, token_count(model, row.rationale or row.answer))
        found.append(Row(id=f"neutral:{row.id}", key=row.key, prompt=tuple(prompt), answer=answer))
    return tuple(found)


def passage(model: Model, place: int, tokens: int) -> tuple[str, int]:
    """Neutral prose of a length.

    Args:
        model: For its tokenizer.
        place: Word of the text to start at.
        tokens: Length wanted; met exactly or by one more or less, at the end of a word where one ends there.

    Returns:
        The prose, and the word behind its last one.
    """
    if not tokens:
        return "", place
    words = neutral_words()
    # A word takes a token at least; those behind the cut let it fall one token later.
    text = " ".join(islice(cycle(words), place, place + tokens + 2))
    encoded = model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    stops = [right for _, right in encoded["offset_mapping"]][max(0, tokens - 3) : tokens + 2]
    cuts = filter(None, dict.fromkeys(text[:stop].strip() for stop in stops))

    def fault(cut: str) -> tuple[bool, bool, int]:
        off = abs(token_count(model, cut) - tokens)
        return off > 1, not text[len(cut) :].startswith(" "), off

    best = min(cuts, key=fault)
    return best, (place + len(best.split())) % len(words)


def token_count(model: Model, text: str) -> int:
    """Length of a text in tokens."""
    return len(model.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
