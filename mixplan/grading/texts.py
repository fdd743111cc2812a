"""Compares an answer with a reference as texts, without case, spacing, quotes, markup and words that announce it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mixplan.grading.markup import CLOSED, OPENED, WORDED, boxes, folded, stated, without_markup
from mixplan.grading.numbers import NUMBER, arithmetic, parsed
from mixplan.grading.phrases import ANNOUNCES, MAYBE_ANNOUNCES

POINTS = re.compile(
    r"(?:a:\s+|(?:i (?:think|believe|guess|would say)(?: that)?,?\s+)?"
    r"(?:it|that|this)(?:'s| is| was| would be| must be| should be)\s+)(?=\S)",
    re.I,
)
"""`It's`, `That would be` and `A:` before all that a line says."""
FENCE = re.compile(r"[^\S\n]*(?P<marks>`{3,}|~{3,})(?P<language>[^`\n]*)")
"""A line that opens a code fence, or without a language closes one."""
FENCED = "\x00"
"""What stands for each character of a fence where words around it are sought."""
VERDICT = re.compile(r"(yes|no|true|false)(?:[,.;:!]|\s*[-–—]|\s+(?:because|since|as)\b)", re.I)
"""A verdict that the rest of its line gives reasons for."""
VERDICTS = ("yes", "no", "true", "false")
LONGEST_NUMBER = 100
SHORT_WORDS = 5
"""A first line of so many words may be the answer to what the rest explains."""


def same_text(answer: str, reference: str) -> bool | None:
    """Whether an answer is the reference, or commits to it; None when it is empty."""
    if not answer.strip():
        return None
    if answer.strip() == reference.strip():
        return True
    wanted = unboxed(reference)
    return bool(wanted) and any(same(given, wanted) for given in candidates(answer))


def unboxed(text: str) -> str:
    """A text without markup, folded."""
    return folded(without_markup(text).replace(OPENED, "").replace(CLOSED, ""))


def same(given: str, wanted: str) -> bool:
    """Whether two folded texts are equal, or are the same number written in two ways."""
    if given == wanted:
        return True
    if max(len(given), len(wanted)) > LONGEST_NUMBER:
        return False
    found = [NUMBER.fullmatch(arithmetic(text)) for text in (given, wanted)]
    # What begins with a zero is a code, an index or binary: `007` is not `7`.
    plain = [match for match in found if match and not match["divisor"] and not match["over"] and not padded(match)]
    return len(plain) == 2 and parsed(plain[0]) == parsed(plain[1])


def padded(match: re.Match[str]) -> bool:
    """Whether a number has a zero in front that its value does not need."""
    return re.match(r"0\d", match["digits"]) is not None


def committed_text(answer: str) -> str:
    """What stands in an answer's last box or behind the words that announce it, as written; else the answer itself.

    Bold and code marks around the whole are taken off, and a code fence that is the whole.
    """
    inside = stated(answer)
    if inside is not answer:
        return WORDED.sub(r"\1", inside)
    text = answer.strip()
    if [(start, end) for start, end, _ in fences(text)] == [(0, len(text))]:
        return fences(text)[0][2]
    text = re.sub(r"\A(?:\*\*|`+)(.*?)(?:\*\*|`+)\Z", r"\1", text, flags=re.DOTALL).strip()
    announced = announcements(text)
    return text[announced[-1].end() :].strip().strip("*`").strip() if announced else text


def announcements(text: str) -> list[re.Match[str]]:
    """The words that announce an answer; `the solution is` only where no surer words do."""
    return list(ANNOUNCES.finditer(text)) or list(MAYBE_ANNOUNCES.finditer(text))


def fences(text: str) -> list[tuple[int, int, str]]:
    """The closed code fences of a text: where each begins and ends, and what it holds, as written."""
    found: list[tuple[int, int, str]] = []
    opened: tuple[int, int, str] | None = None
    for line in re.finditer(r"[^\n]+", text):
        mark = FENCE.fullmatch(line[0])
        if mark and opened is None:
            opened = (line.start(), line.end() + 1, mark["marks"])
        elif mark and opened is not None and mark["marks"].startswith(opened[2]) and not mark["language"].strip():
            found.append((opened[0], line.end(), text[opened[1] : line.start()].strip("\n")))
            opened = None
    return found


def fenced(answer: str) -> str | None:
    """The contents of a code fence that an answer ends with, as written; None where it commits itself elsewhere.

    A box, and a statement that does not lead to the fence, commit an answer elsewhere. What stands behind a fence may
    take it back in any words, so that a fence before it is no answer.
    """
    found = fences(answer)
    if not found or boxes(answer) or answer[found[-1][1] :].strip():
        return None
    prose = answer.replace("**", "  ")
    for start, end, _ in found:
        prose = f"{prose[:start]}{FENCED * (end - start)}{prose[end:]}"
    start, _, inside = found[-1]
    announced = announcements(prose)
    if announced and (announced[-1].end() > start or prose[announced[-1].end() : start].strip(" \n\t*:")):
        return None
    return inside


def candidates(answer: str) -> Iterator[str]:
    """What an answer may be held to say, folded: all of it, and the one place where it commits itself."""
    plain = without_markup(answer)
    yield folded(plain.replace(OPENED, "").replace(CLOSED, ""))
    announced = announcements(plain)
    boxed = plain.rfind(CLOSED)
    if boxed >= 0 and boxes(answer):
        yield folded(plain[plain.rfind(OPENED, 0, boxed) + 1 : boxed].replace(CLOSED, ""))
    elif announced:
        line = plain[announced[-1].end() :].strip().partition("\n")[0]
        yield folded(line)
        yield folded(re.split(r"[.!;](?=\s)", line, maxsplit=1)[0])
        yield from verdict(line)
    else:
        line = committed_line(plain)
        yield folded(line)
        if (points := POINTS.match(line)) is not None:
            yield folded(line[points.end() :])
        if folded(line) not in VERDICTS:
            yield from verdict(plain.strip().partition("\n")[0])


def verdict(line: str) -> Iterator[str]:
    """The `yes`, `no`, `true` or `false` that a line begins with and gives reasons for, folded."""
    if (match := VERDICT.match(line.strip())) is not None:
        yield folded(match[1])


def committed_line(plain: str) -> str:
    """The last line; the first where it is short and what stands below it explains it."""
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    if not lines:
        return ""
    first, last = lines[0], lines[-1]
    explains = len(last.split()) > SHORT_WORDS and "\n\n" in plain
    return first if explains and len(first.split()) <= SHORT_WORDS and not first.endswith((":", "?", ",")) else last
