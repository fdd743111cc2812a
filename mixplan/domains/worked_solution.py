"""Ends a worked solution with the answer, where it does not already."""

from __future__ import annotations

import re

MARKS = re.compile(r"[\s.,;:!?…\"'`*_$”’»。！？、」』）)\]}\\]*")
"""What may stand behind an answer that a text ends with."""
OPENING = re.compile(
    r"(?:\A|(?<=[^\w.,/^\\}{*$(\[\"'`“‘«+-]))"
    r"(?P<marks>(?:\\(?:boxed|fbox|text\w*|math\w+)\s*\{\s*|\\?[(\[]\s*|_{1,2}(?=\W*\Z)|[\"'`*$“‘«])*)\Z"
)
"""What may open in front of it: marks behind a space or another sign; `2.5`, `1/5` and `f(5)` do not end with 5."""
REACHED = re.compile(r"(?:(?i:\banswer(?:\s+is|\s+was)?\s*:?)|(?i:\bequals)|####)\s*\Z|\\(?:boxed|fbox)\s*\{\s*\Z")
"""What states the answer right behind it, in whatever words the line goes on."""
SUM = re.compile(r"=\s*\Z")
"""What states it where no more than `UNIT_WORDS` stand behind it."""
OPERATOR = re.compile(r"(?:[\w)\]}][^\S\n]*[-+×·÷*/^–−]|\d[^\S\n]*:)[^\S\n]*\Z")
"""What makes it a part of a sum."""
UNIT_WORDS = 4
NEAR = 200
"""How many characters in front of an answer are looked at."""


def with_answer(rationale: str | None, answer: str) -> str | None:
    """A worked solution that ends with the answer: added below it, unless it ends with it or its last line states it.

    A line that only mentions the answer, as in `He had 5 apples and ate some.`, does not state it. Where that cannot be
    told the answer is added, which at worst says it twice.
    """
    # Worked answers often repeat the marker of the answer's turn.
    text = re.sub(r"\A\s*A:\s+", "", rationale or "").strip()
    if not text:
        return None
    line = text.splitlines()[-1]
    return text if _ends(text, answer) or _states(line, answer) else f"{text}\n\n{answer}"


def _ends(text: str, answer: str) -> bool:
    """Whether nothing but marks stands behind the answer's last mention."""
    head, found, tail = text.rpartition(answer)
    exclaimed = tail.startswith("!") and answer[-1:].isdigit()  # a factorial, as far as can be told
    return bool(found) and not exclaimed and MARKS.fullmatch(tail) is not None and _is_apart(head, tail)


def _states(line: str, answer: str) -> bool:
    """Whether a line says that the answer is what was found, with no other number behind it."""
    last_number = max((found.end() for found in re.finditer(r"\d+", line)), default=0)
    for found in re.finditer(rf"{re.escape(answer)}(?![\w%/^!])(?![.,:]\d)", line):
        if found.end() < last_number:
            continue
        head, rest = line[max(0, found.start() - NEAR) : found.start()], line[found.end() :]
        marks = OPENING.search(head)
        before = head[: marks.start()] if marks else head
        if REACHED.search(head) or (marks and REACHED.search(before)):
            return True
        if marks and SUM.search(before) and len(re.findall(r"[^\W\d]+", rest)) <= UNIT_WORDS:
            return True
    return False


def _is_apart(head: str, tail: str) -> bool:
    """Whether an answer between two texts is no part of another number, word or sum, and closes what it opens alone."""
    head = head[-NEAR:]
    marks = OPENING.search(head)
    if marks is None or OPERATOR.search(head[: marks.start()]):
        return False
    return sum(map(tail.count, ")]}）")) <= sum(map(marks["marks"].count, "([{"))
