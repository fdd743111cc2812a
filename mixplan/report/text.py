"""Writes saved numbers and tokens as short strings that are safe to show to a person, whatever the data held."""

from __future__ import annotations

import math
import unicodedata

from mixplan.saved.base_types import Context, Expected, Interval
from mixplan.saved.plan import Domain
from mixplan.saved.scores import Ranking

JOINERS = "\u200c\u200d"
"""Format characters that scripts and emoji need; all others are shown by their code."""

MARKS = str.maketrans({"\n": "↵", "\t": "⇥", "\r": "␍"})
TOKEN_LENGTH = 16
SMALLEST = 1e-4
"""Size below which a number is written with an exponent."""
WORD = 3
"""Letters from which a token counts as a word."""


def visible(text: str) -> str:
    """Replace what would be obeyed instead of read: control, direction and other format characters.

    Args:
        text: Anything, such as a token of a data set.

    Returns:
        The text with `[U+202E]` and the like in place of such characters; line feeds stay.
    """
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character == "\n" or character in JOINERS:
        return character
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return f"[U+{ord(character):04X}]"
    return character


def in_line(text: str) -> str:
    """Make text safe to show on one line, with line ends and tabs as marks."""
    return visible(text.translate(MARKS))


def number(value: float, digits: int = 3) -> str:
    """Write a number in so many significant digits, whole from 1,000 on; an exponent only below 0.0001."""
    rounded = float(f"{value:.{digits}g}")
    size = abs(rounded)
    if size == 0:
        return "0"
    if size >= 1000:
        return f"{value:,.0f}"
    if size < SMALLEST:
        return f"{value:.1e}"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(size)))}f}"


def plain(value: float) -> str:
    """Write a round number, such as a place on an axis, without trailing zeros."""
    return f"{float(f'{value:.6g}'):,.10g}" if abs(value) >= 1e-4 else f"{value:.3g}"


def whole(value: float) -> str:
    """Write a count with thousands apart."""
    return f"{value:,.0f}"


def percent(share: float, decimals: int = 1) -> str:
    """Write a share of 1 as per cent."""
    return f"{100 * share:.{decimals}f} %"


def bounds(interval: Interval) -> str:
    """Write an interval's ends."""
    return ends(interval.low, interval.high)


def ends(low: float, high: float, digits: int = 3, *, signed: bool = True) -> str:
    """Write two ends, each in so many significant digits; one that is next to nothing beside the other is 0.

    Args:
        low: The lower end.
        high: The upper one.
        digits: Significant digits of each.
        signed: Whether an end above 0 says something, as of a change that may go either way; without, one is 0 earlier.
    """
    larger = max(abs(low), abs(high))
    # An end that would need an exponent is 0 earlier: nobody reads 2.4e-05 beside 0.097.
    least = [larger / ((5000 if signed else 500) if abs(end) >= SMALLEST else 1000) for end in (low, high)]
    shown = (end if abs(end) >= bound else 0.0 for end, bound in zip((low, high), least, strict=True))
    return f"[{', '.join(number(end, digits) for end in shown)}]"


def expected_ends(expected: Expected) -> str:
    """Write the ends of an expected change's interval: 0 and little more are the same where it cannot be below 0."""
    signed = expected.low < 0 or expected.sign is not None
    return ends(expected.low, expected.high, 2, signed=signed)


def few_words(domain: Domain, count: int = 3) -> list[str]:
    """Name a domain's reasons by the tokens that fire its leading drift dimensions most.

    Args:
        domain: A saved domain; its reasons are in order, each with its contexts in order.
        count: At most so many tokens.

    Returns:
        Distinct tokens, trimmed: each reason's first context before any reason's second.
    """
    depth = max((len(reason.contexts) for reason in domain.why), default=0)
    turns = (reason.contexts[i].token for i in range(depth) for reason in domain.why if i < len(reason.contexts))
    tokens = (_trimmed(token) for token in turns)
    return list(dict.fromkeys(token for token in tokens if token))[:count]


def best_context(domain: Domain) -> Context | None:
    """The passage that says most about a domain's score: the leading reason's, whose token is a word where one is.

    Args:
        domain: A saved domain; its reasons are in order, each with its contexts in order.

    Returns:
        The first context whose token holds a word of at least three letters, else the first of all; None where no
        token fires any of the domain's leading drift dimensions.
    """
    found = [context for reason in domain.why for context in reason.contexts]
    words = (context for context in found if sum(map(str.isalpha, context.token)) >= WORD)
    return next(words, found[0] if found else None)


def passage(context: Context, length: int) -> tuple[str, str, str]:
    """A context on one line: what stands before the token, the token, and what stands behind it.

    Args:
        context: A token with its surroundings.
        length: At most so many characters, the token's own not cut below `TOKEN_LENGTH`.
    """
    longest = max(TOKEN_LENGTH, length)
    token = in_line(context.token)
    token = token if len(token) <= longest else token[: longest - 1] + "…"
    before, after = in_line(context.before).lstrip(), in_line(context.after).rstrip()
    room = max(0, length - len(token))
    behind = min(len(after), max(room // 3, room - len(before)))
    return _end(before, room - behind), token, _beginning(after, behind)


def passage_line(context: Context, length: int) -> str:
    """A context on one line of plain text, the token in brackets.

    Args:
        context: A token with its surroundings.
        length: At most so many characters, as far as the token allows.
    """
    before, token, after = passage(context, length - 2)
    lead = len(token) - len(token.lstrip())
    return f"{before}{token[:lead]}[{token[lead:]}]{after}".strip()


def _end(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    return f"…{text[len(text) - length + 1 :]}" if length > 1 else ""


def _beginning(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    return f"{text[: length - 1]}…" if length > 1 else ""


def _trimmed(token: str) -> str:
    text = in_line(token.strip(" "))
    return text if len(text) <= TOKEN_LENGTH else text[: TOKEN_LENGTH - 1] + "…"


def stability_sentence(ranking: Ranking, score: str) -> str:
    """Say how stable the domains' order by a score is."""
    if ranking.stability is None:
        return f"Stability of the ranking by {score} is not defined: there are fewer than three domains, or all alike."
    return f"Stability of the ranking by {score} {number(ranking.stability, 2)}: {ranking.of}."
