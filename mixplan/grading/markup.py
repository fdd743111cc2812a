r"""Removes from an answer what shows it and is no part of it: Markdown, LaTeX's text commands, quotes, odd characters.

A box, `\boxed{B}`, is how models mark what they commit to. It stays, as `OPENED`, its contents, and `CLOSED`.
"""

from __future__ import annotations

import re
import unicodedata

OPENED, CLOSED = "\x02", "\x03"
"""What stands for a box's ends in an answer without markup."""

BRACE = re.compile(r"\\boxed\s*\{|\\fbox\s*\{|\\.|[{}]")
WORDED = re.compile(r"\\(?:text|textbf|textit|textrm|texttt|mathrm|mathbf|mathit|mathsf|mbox|bf|emph)\s*\{([^{}]*)\}")
MATHEMATICAL = re.compile(r"\\[()\[\]]|\$|\\displaystyle|\\(?:left|right)(?![a-z])")
SPACES = re.compile(r"\\[,;: ]|\\q?quad\b|~(?=\S)")
HTML = re.compile(r"<(b|i|u|em|strong|code|p|span|mark)>(.*?)</\1>|<br\s*/?>", re.IGNORECASE | re.DOTALL)
STRONG = re.compile(r"\*\*|__|``?`?|(?<![\w*])\*(?=[^\s*])|(?<=[^\s*])\*(?![\w*])")
LEADING = re.compile(r"^[^\S\n]*(?:#{1,6}(?=\s)|>|[•✅☑✔✓])[^\S\n]*", re.MULTILINE)
QUOTES = re.compile("[\"“”„«»‟「」『』]|(?<!\\w)['‘’]|['‘’](?!\\w)")
CHECKS = re.compile("[✅☑✔✓👉\ufe0f\u200b-\u200f\u2060\ufeff]")
LIKE = str.maketrans(
    {"\u2212": "-", "\u2010": "-", "\u2011": "-", "\u2012": "-", "\ufe63": "-", "\u2018": "'", "\u2019": "'"}
)
"""The minus sign, hyphens and apostrophes that look like those of a keyboard."""


def boxes(text: str) -> list[tuple[int, int, int, int]]:
    r"""The closed boxes of a text, in the order of their beginnings.

    Returns:
        For each where `\boxed{` begins, where its contents begin and end, and where the box ends.
    """
    opened: list[re.Match[str]] = []
    found: list[tuple[int, int, int, int]] = []
    for brace in BRACE.finditer(text):
        if brace[0].endswith("{") and brace[0] != "\\{":
            opened.append(brace)
        elif brace[0] == "}" and opened and (box := opened.pop())[0] != "{":
            found.append((box.start(), box.end(), brace.start(), brace.end()))
    return sorted(found)


def stated(text: str) -> str:
    r"""The contents of the last `\boxed{}` that is closed; the whole text without one."""
    found = boxes(text)
    return text[found[-1][1] : found[-1][2]].strip().strip("$") if found else text


def without_markup(text: str) -> str:
    """An answer as plain text; boxes become marks, line ends stay.

    Args:
        text: Any text; one that holds the marks for boxes loses them.
    """
    text = unicodedata.normalize("NFKC", text.replace(OPENED, "").replace(CLOSED, ""))
    inner_first = sorted(boxes(text), key=lambda box: box[3] - box[0])
    pieces = {start: (begin, OPENED) for start, begin, _, _ in inner_first}
    pieces |= {end: (after, CLOSED) for _, _, end, after in inner_first}
    made, place = [], 0
    for start, (after, mark) in sorted(pieces.items()):
        made += [text[place:start], mark]
        place = after
    text = "".join([*made, text[place:]]).translate(LIKE)
    for _ in range(3):  # a bold letter within a text within a box
        text = WORDED.sub(r"\1", text)
    text = SPACES.sub(" ", text)
    text = HTML.sub(lambda match: match[2] or "\n", text)
    for pattern in (MATHEMATICAL, CHECKS, STRONG, QUOTES):
        text = pattern.sub("", text)
    return LEADING.sub("", text).strip()


def folded(text: str) -> str:
    """A plain text without case, doubled spaces and closing marks."""
    return " ".join(text.casefold().split()).rstrip(".!;,").strip()
