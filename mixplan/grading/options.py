r"""Finds the option that an answer commits to: `**B**`, `\boxed{B}`, `B) blue`, `the answer is blue`, `I choose b`.

Models weigh options by name before they settle on one. So a letter counts only where the answer commits to it: in a
box, behind words such as `the answer is`, before `is correct`, or alone on the first or the last line. Of several
commitments the last counts; a commitment to two options, or to another text, is to none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mixplan.grading.markup import CLOSED, OPENED, folded, without_markup
from mixplan.grading.phrases import CHOOSES, CONCLUDES, DIRECT, NAMES, PERHAPS, STATES, SURE, UNSURE

NONE_OF_THEM = ""
"""What an answer commits to that names two options, or something that is no option's letter."""

LABELLED = re.compile(r"\s*[(\[]?([A-Za-z])(?:[)\].:]+|$)\s*(.*)", re.DOTALL)
"""A reference: `B`, `(B)`, `B. text`."""

LETTER = re.compile(r"\s*([(\[{<]{0,2})\s*([A-Za-z])(?:\s*([)\]}>]))?")
BEHIND = re.compile(
    rf"\s*(?:$|[.,;:!)\]}}\n{CLOSED}]|[^\x00-\x7fÀ-ɏ]|—|–|-\s|\(|(?:because|since|as|due|given|which|where|whose|for|by|based)\b)",
    re.I,
)
LEADS = re.compile(r"\A(?:[^\S\n]|\n\s*(?:[-–]\s+)?|[-–](?=\s+[^\d\s.])|[:,()*]|\.(?!\d)|the\s+)*")
"""What may stand before an option's text and is no part of it."""
SIGN = re.compile(r"^[-–] (?=[\d.])")
FORMULA = re.compile(r"[\d=+*/^<>]|(?<![\w'])[b-z](?![\w'])")
"""What an option has that is a number or a formula: a term behind it makes it another one."""
WHY = "because|since|as|due|given|which|where|whose|for|by|based"
TEXT_ENDS = re.compile(
    rf"\s*(?:$|[.,](?!\d)|[;:!)\]}}]|[^\x00-\x7fÀ-ɏ]|-\s|\(|(?:{WHY})\b)",
    re.I,
)
TERM = r"(?:[-+]?\s*(?:[\d.(\\√π∞]|[b-hj-z](?![a-z'])|(?:sin|cos|tan|log|ln|exp|sqrt|pi)\b))"
FORMULA_ENDS = re.compile(
    rf"[)\]}}]*\s*(?:$|[.,:](?!\d)|;|!(?!\d)|(?<=\s)\(|[-–—]+(?!\s*{TERM})(?=\s)|—(?!\s*{TERM})|"
    rf"(?![×÷·±√≤≥≠∙–—])[^\x00-\x7fÀ-ɏ]|(?<=[)\]}}])(?![-+*/^=<>(]|\s+[-+*/^=<>×÷·±–])|(?:{WHY})\b)",
    re.I,
)
"""What ends an option's text, and one that is a number or a formula: `10.5` is not 10, nor `x + 1 - y` x + 1."""
SECOND = re.compile(
    rf"\s*(?:,|/|&|\+|\band\b|\bor\b|as well as)\s*(?:option\s+|choice\s+)?[(\[]?([A-Z])[)\]{CLOSED}]?(?![\w'])"
)
BARE = re.compile(r"(?:A:\s*|[-*]\s+|Q?\d+[.:)]\s*)?[(\[{<]{0,2}\s*([A-Za-z])\s*[)\]}>]{0,2}[.,:!。]?")
LISTED = re.compile(r"^\s*[-*]?\s*[(\[]?([A-Z])[)\].:]\s*\S", re.M)
DESCRIBED = re.compile(
    r"\s*(?:not|no|correct|right|wrong|incorrect|clear|obvious|as follows|the following|given|based|found|in|that|"
    r"because|to|a|an|only|also|consistent|unclear|unknown|what|still|therefore|this)\b",
    re.I,
)
LATIN = {"А": "A", "В": "B", "С": "C", "Е": "E"}
"""Cyrillic letters that look like Latin ones, as Russian answers have them."""
ALIKE = re.compile(r"(?<!\w)[АВСЕ](?!\w)")
LOOKED_AT = 400
"""Characters behind words such as `the answer is` that may name an option."""
OTHER_WORDS = 6
"""Longer statements about an answer are no option's text."""


def same_option(answer: str, reference: str) -> bool | None:
    """Whether the option that an answer commits to is the reference's.

    Args:
        answer: What a model said, without its reasoning.
        reference: `B. text`, a letter alone, or an option's text alone.

    Returns:
        None where it commits to nothing.
    """
    plain = ALIKE.sub(lambda match: LATIN[match[0]], without_markup(answer))
    letter, option = labelled(without_markup(reference).replace(OPENED, "").replace(CLOSED, ""))
    if letter != "*" and option.isalpha() and len(option) == 1:
        option = ""  # `B` as an answer to `A. B` names the other option
    if folded(plain) and folded(plain) in (folded(without_markup(reference)), option):
        return True  # said in the reference's own words, which may themselves read like another commitment
    found = list(commitments(plain, letter, option)) or list(statements(PERHAPS, plain, letter, option))
    if not found:
        return None
    return letter_or_text(max(found, key=lambda one: one[0])[1], letter)


def letter_or_text(given: str, letter: str) -> bool:
    """Whether what an answer commits to is right; an option's text stands as the reference's letter."""
    return given != NONE_OF_THEM and given == letter


def labelled(reference: str) -> tuple[str, str]:
    """A reference's letter, `*` where it has none, and its option's text without case and spacing."""
    match = LABELLED.fullmatch(reference)
    return (match[1].upper(), folded(match[2])) if match else ("*", folded(reference))


def commitments(plain: str, letter: str, option: str) -> Iterator[tuple[int, str]]:
    """What an answer commits to, each with its place: a letter, or `NONE_OF_THEM`.

    Args:
        plain: The answer without markup.
        letter: The reference's.
        option: The reference's text, folded; empty where only its letter is known.
    """
    for pattern in (STATES, CHOOSES, CONCLUDES, DIRECT):
        yield from statements(pattern, plain, letter, option)
    named = statements(NAMES, plain, letter, option)
    yield from (one for one in named if one[1] != NONE_OF_THEM)
    for match in SURE.finditer(plain):
        if not UNSURE.search(plain[max(0, match.start() - 40) : match.start()]):
            yield match.start(), (match[1] or match[2]).upper()
    for match in re.finditer(rf"{OPENED}([^{CLOSED}]*){CLOSED}", plain):
        given = read(match[1], letter, option)
        yield match.start(), NONE_OF_THEM if given is None else given
    yield from alone(plain, letter, option)


def statements(pattern: re.Pattern[str], plain: str, letter: str, option: str) -> Iterator[tuple[int, str]]:
    """What stands behind the words of a pattern that commit an answer, each with its place."""
    for match in pattern.finditer(plain):
        if UNSURE.search(plain[max(0, match.start() - 40) : match.start()]) and pattern is not CHOOSES:
            continue
        rest = plain[match.end() : match.end() + LOOKED_AT + 2 * len(option)]
        lines = match[0][len(match[0].rstrip()) :]  # a dash on a line of its own is a bullet, not a minus
        if (given := read(lines + rest, letter, option)) is not None:
            yield match.end(), given
        elif pattern in (STATES, PERHAPS) and another_text(rest, option):
            yield match.end(), NONE_OF_THEM


def read(rest: str, letter: str, option: str) -> str | None:
    """The option that a text begins with, by its letter or by the reference's text; None where it begins with none."""
    if option and begins_with(rest, option):
        return letter
    match = LETTER.match(rest)
    if not match:
        return None
    behind, given = rest[match.end() :], match[2].upper()
    if second := SECOND.match(behind):
        return given if second[1] == given else NONE_OF_THEM
    enclosed = bool(match[1]) and bool(match[3])
    if behind[:1] == "?" or re.match(r"[A-Za-z0-9_À-ɏ'+#&]|-\w", behind) or (match[1] and not match[3]):
        return None
    if enclosed or match[3] or BEHIND.match(behind):
        return given if enclosed or match[2].isupper() or not re.match(r"\s+\w|\s*-", behind) else None
    return given if given == letter and option and begins_with(behind, option) else None


def begins_with(rest: str, option: str) -> bool:
    """Whether a text begins with an option's text and goes on with no other word of it."""
    text, wanted = bare_text(rest[: 2 * len(option) + 40].replace(CLOSED, " ").casefold()), bare_text(option)
    if not wanted or not text.startswith(wanted):
        return False
    end = FORMULA_ENDS if FORMULA.search(wanted) else TEXT_ENDS
    return end.match(text, len(wanted)) is not None


def bare_text(text: str) -> str:
    """A folded text without the marks and the `the` before it; a minus stays, right before its number or term."""
    return SIGN.sub("-", " ".join(LEADS.sub("", text).split()))


def another_text(rest: str, option: str) -> bool:
    """Whether a statement about the answer names a short text that is not the reference's."""
    sentence = re.split(rf"[.!?。\n{CLOSED}]", rest, maxsplit=1)[0].strip()
    if not sentence or DESCRIBED.match(sentence) or "?" in rest[: len(sentence) + 2]:
        return False
    return bool(option) and len(sentence.split()) <= OTHER_WORDS


def alone(plain: str, letter: str, option: str) -> Iterator[tuple[int, str]]:
    """What the first and the last line are, where they are no more than an option."""
    lines = [(match.start(), match[0].strip()) for match in re.finditer(r"[^\n]*\S[^\n]*", plain)]
    if not lines:
        return
    listed = LISTED.findall(plain)
    is_list = len(set(listed)) > 1 and listed == sorted(listed)
    for (place, line), first in ((lines[0], True), (lines[-1], False)):
        bare = BARE.fullmatch(line)
        named = re.fullmatch(r"(.+?)\s*[(\[]([A-Z])[)\]]\W*", line)
        if bare:
            yield place, bare[1].upper()
        elif named and folded(named[1]) == option:
            yield place, named[2]
        elif option and folded(line) == option:
            yield place, letter
        elif (first or len(lines) == 1) and not is_list and (given := led(line, letter, option)) is not None:
            yield place, given
        elif not first and not is_list and (match := LABELLED.match(line)) and folded(match[2]) == option != "":
            yield place, match[1].upper()


def led(line: str, letter: str, option: str) -> str | None:
    """The option that a first line begins with, such as `B. blue`, `B: blue` and `(b) blue, because`."""
    match = re.match(
        r"(?:A:\s*(?=[(\[]?[A-Z][)\].:]))?(?:([(\[])([A-Za-z])[)\]]|([A-Z])(?=[).:,;]|\s+[-–—/]|$)|([a-z])[).])\s*",
        line,
    )
    if match:
        given = next(one for one in match.groups()[1:] if one).upper()
        two = SECOND.match(line[match.end() :].lstrip(").:")) or SECOND.match(
            line[match.start(3) + 1 :] if match[3] else ""
        )
        return NONE_OF_THEM if two and two[1] != given else given
    if re.match(r"[B-HJ-Z]\s+(?:because|since|as)\b", line):
        return line[0]
    if option and re.match(
        rf"{re.escape(option)}(?:[.:](?!\d)|[;!]|,?\s+(?:because|since|as)\b|,\s*$|\s+\()",
        " ".join(line.casefold().split()),
    ):
        return letter
    return (
        letter
        if option and letter != "*" and re.match(rf"{re.escape(letter)}\s", line) and begins_with(line[1:], option)
        else None
    )
