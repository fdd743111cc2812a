r"""Finds the number that an answer commits to: boxed, behind `####` or `the answer is`, alone on a line, else the last.

Read are signs (also U+2212), thousands by comma, space, point or apostrophe, decimals by point or comma, fractions
(`1/2`, `½`, `2 1/2`, `\frac{1}{2}`), powers of ten (`2e3`, `1.5 × 10^3`), per cent and `million`. Digits that belong to
a name or a unit (`cm^2`, `H2O`, `step 3`) are no numbers, nor is a minus between two numbers a sign.

A per cent sign and a word such as `million` may stand for a factor or for the unit that a question asks for. So where
one side alone has one, both readings count: `50%` is 0.5 and 50, but `50%` is not `0.5%`.
"""

from __future__ import annotations

import bisect
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from mixplan.grading.markup import CLOSED, OPENED, without_markup
from mixplan.grading.phrases import PERHAPS, STATES

BOLD_OPENED, BOLD_CLOSED = "\x04", "\x05"
BOLD = re.compile(r"\*\*([^*\n]+)\*\*|__([^_\n]+)__")
FRACTION = re.compile(r"\\[dt]?frac\s*(?:\{\s*(-?[\d,]+)\s*\}\s*\{\s*([\d,]+)\s*\}|(\d)\s*(\d))")
CURRENCY = re.compile(r"(?:\b(?:US|R|C|A|HK|NT)|\\)?\$\s?(?=[-\d.])|\b(?:USD|EUR|GBP|INR|Rs\.?)\s?(?=\d)")
APART = re.compile(
    r"((?:\\boxed|\\fbox)\s*\{\s*|(?<![\w)}\]$])\$\$?|\\[(\[]\s*|(?<=\S )\*\*)[-−–][^\S\n]+(?=\$?\.?\d)", re.M
)
"""A minus with spaces behind it where a box, mathematics, or bold within a line begins: `\\boxed{- 7}`."""
SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
RAISED = re.compile(f"([⁻⁺]?)([{SUPERSCRIPTS}]+)")
LATEX = (
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\[,!;: ]"), ""),
    (re.compile(r"\\(?:times|cdot)\b"), "×"),
    (re.compile(r"\\%"), "%"),
    (re.compile(r"\^\s*\{?\\circ\}?"), "°"),
    (re.compile(r"\^\s*\{\s*([+-]?\d+)\s*\}"), r"^\1"),
    (re.compile(r"\\(?:approx|equiv)\b"), "="),
    (re.compile(r"(?<!\*\*)(\b\d+(?:\.\d+)?)(?:\*\*|\s\*\*\s)([-+]?\d+)(?!\d|\*\*)"), r"\1^\2"),
    (re.compile(r"(?<![0-9A-Za-z)\]%\s])–(?=[\d.€£¥₹])|(?:(?<=\s)|^)–(?=[\d.€£¥₹])", re.M), "-"),
)

SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
DIGITS = (
    r"(?:\d{1,3}(?:[ '’_]\d{3})+(?:[.,]\d+)?(?!\d)"  # 1 234,5 and 1'234
    r"|\d{1,3}(?:\.\d{3})+,\d+(?!\d)|\d{1,3}(?:\.\d{3}){2,}(?![\d,])"  # 1.234,5 and 1.234.567
    r"|\d{1,3}(?:,\d{2,3})*,\d{3}(?!\d)(?:\.\d+)?"  # 1,234.5 and 12,34,567
    r"|\d+(?:[.,]\d+)?|\.\d+)"
)
NUMBER = re.compile(
    r"(?<![A-Za-z_\d.^,])"
    r"(?P<sign>(?<![\d)\]%])[-+](?=[\d.€£¥₹])|"
    r"(?:(?<=[=:][ ])|(?<=\b(?:is|be)[ ])|(?<=\bwas[ ]))-[ ](?=\d)|(?:minus|negative)\s+)?[€£¥₹]?\s?"
    rf"(?P<digits>{DIGITS})"
    r"(?:\s+(?P<over>\d+)\s?/\s?(?P<under>\d+)|\s?/\s?(?P<divisor>\d[\d,]*(?:\.\d+)?))?"
    r"(?:e(?P<exponent>[+-]?\d{1,4})\b|\s*[×x*·]\s*10\s*(?:\^|\*\*)\s*(?P<ten>[+-]?\d{1,4})|\^(?P<power>[-+]?\d{1,3})\b)?"
    rf"(?:\s*(?P<percent>%|percent\b|per cent\b)|\s+(?P<scale>{'|'.join(SCALES)})s?\b)?",
    re.I,
)
REFERRED = re.compile(
    r"(?:\b(?:steps?|equations?|eq\.|questions?|examples?|cases?|parts?|methods?|figures?|tables?|lines?|rows?|section|"
    r"chapter|page|note|option)|\bno\.)\s*[(#]?$",
    re.I,
)
ASIDE = re.compile(r"\([^()\n]*\)|\[[^\[\]\n]*\]")
REASON = re.compile(r"\b(?:because|since|given|so that|rather|instead|not|which|where)\b|[;\n]|\.(?=\s|$)", re.I)

SENTENCE = re.compile(r"[;\n]|\.(?=\s|$)")
BOUNDED = re.compile(
    r"\b(?:between|from|above|below|over|under|beyond|within|at (?:least|most)|"
    r"(?:more|less|greater|fewer|smaller|larger|higher|lower) than|"
    r"the (?:sum|difference|product|quotient|ratio|average|mean) of)\b",
    re.I,
)
"""Words between a statement and a number that is not the answer but bounds it or goes into it."""
OPERATOR = re.compile(
    r"\s*(?:[+*/×÷·]|[-](?=\s*\d)|x(?=\s*\d)|(?:plus|minus|times|divided by|multiplied by|less)\b)", re.I
)
RESULT = re.compile(
    r"\b(?:so|therefore|thus|hence|giving|equals|or|(?:which|that) (?:is|equals|gives|makes|comes to|leaves))\b", re.I
)
"""What stands before the result of what came before it."""

STATEMENT = 300
"""Characters of a statement that are looked at for its result."""
BEGINNING, END = 2_000, 10_000
"""Characters of a long answer that are read: its beginning and its end."""


@dataclass(frozen=True)
class Number:
    """A number as written.

    Attributes:
        value: Without what stands behind it.
        factor: What stands behind it as a factor: 1/100 for per cent, 10^6 for `million`, else 1.
    """

    value: Fraction
    factor: Fraction

    def equals(self, other: Number) -> bool:
        """Whether both are the same, by either reading where one side alone has a factor."""
        if self.value * self.factor == other.value * other.factor:
            return True
        return (self.factor == 1) != (other.factor == 1) and self.value == other.value


def same_number(answer: str, reference: str) -> bool | None:
    """Whether the number that an answer commits to equals the reference's, exactly; None when it has none."""
    given, wanted = number(answer), number(reference)
    if given is None:
        return None
    return wanted is not None and given.equals(wanted)


def number(text: str) -> Number | None:
    """The number that a text commits to; None without one."""
    plain = arithmetic(text if len(text) <= BEGINNING + END else f"{text[:BEGINNING]}\n{text[-END:]}")
    try:
        found = committed(plain) or last(plain)
        return None if found is None else parsed(found)
    except (ValueError, ZeroDivisionError):  # Python reads no number of more than 4,300 digits
        return None


def written_number(text: str) -> str | None:
    """The number that a text commits to, as plain digits; None where it has none, or one of another form."""
    plain = arithmetic(text)
    found = committed(plain) or last(plain)
    if found is None or any(
        found[part] for part in ("over", "divisor", "exponent", "ten", "power", "percent", "scale")
    ):
        return None
    sign = (found["sign"] or "").strip().lower()
    return f"{'-' if sign not in ('', '+') else ''}{decimal(found['digits'])}"


def arithmetic(text: str) -> str:
    """A text without markup, its fractions and powers written with `/` and `^`, bold parts between marks."""
    text = CURRENCY.sub("", APART.sub(r"\1-", text))
    text = FRACTION.sub(lambda match: f" {match[1] or match[3]}/{match[2] or match[4]}", text)
    for pattern, written in LATEX:
        text = pattern.sub(written, text)
    text = BOLD.sub(lambda match: f"{BOLD_OPENED}{match[1] or match[2]}{BOLD_CLOSED}", text)
    text = re.sub(r"^\s*####\s*(?=[-+−\d.€£¥₹])", "The answer is: ", text, flags=re.M)
    text = "".join(vulgar(character) for character in RAISED.sub(raised, text))
    return re.sub(r"-\s+(?=-?\d+/\d)", "-", without_markup(text))


def vulgar(character: str) -> str:
    """`½` as ` 1/2`; other characters as they are."""
    written = unicodedata.normalize("NFKC", character) if unicodedata.category(character) == "No" else ""
    return " " + written.replace("\u2044", "/") if "\u2044" in written else character


def raised(match: re.Match[str]) -> str:
    """Digits above the line behind digits as a power; those of a unit are left out."""
    before = match.string[: match.start()]
    digits = "".join(str(SUPERSCRIPTS.index(digit)) for digit in match[2])
    return f"^{'-' if match[1] == '⁻' else ''}{digits}" if before[-1:].isdigit() else ""


def parsed(match: re.Match[str]) -> Number:
    """A number as written, exactly."""
    value = Fraction(decimal(match["digits"]))
    whole, space, over = match["digits"].rpartition(" ")
    if match["over"]:
        value += Fraction(int(match["over"]), int(match["under"]))
    elif match["divisor"]:
        under = Fraction(decimal(match["divisor"]))
        mixed = space and over.isdigit() and int(over) < under  # `2 125/250`, not 2125/250
        value = Fraction(decimal(whole)) + int(over) / under if mixed else value / under
    ten = match["exponent"] or match["ten"]
    if ten:
        value *= Fraction(10) ** int(ten)
    elif match["power"]:
        value **= int(match["power"])
    sign = (match["sign"] or "").strip().lower()
    factor = Fraction(1, 100) if match["percent"] else Fraction(SCALES[match["scale"].lower()] if match["scale"] else 1)
    return Number(-value if sign not in ("", "+") else value, factor)


def decimal(digits: str) -> str:
    """Digits with a decimal point and without what groups them."""
    digits = re.sub("[ '’_]", "", digits)
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+,\d+|\d+,(?:\d{1,2}|\d{4,})|0,\d+", digits):
        return digits.replace(".", "").replace(",", ".")
    if re.fullmatch(r"\d{1,3}(?:\.\d{3}){2,}", digits):
        return digits.replace(".", "")
    return digits.replace(",", "")


def committed(plain: str) -> re.Match[str] | None:
    """The number that a text states as its answer: the last in a box or behind words such as `the answer is`."""
    found: list[tuple[int, re.Match[str]]] = []
    for match in re.finditer(rf"{OPENED}[^{CLOSED}]*{CLOSED}", plain):
        if inside := numbers(plain, match.start(), match.end()):
            found.append((match.start(), inside[-1]))
    for pattern in (STATES, PERHAPS):
        for match in pattern.finditer(plain) if pattern is STATES or not found else ():
            if (given := stated_number(plain, match.end())) is not None:
                found.append((match.end(), given))
    return max(found, key=lambda one: one[0])[1] if found else None


def stated_number(plain: str, start: int) -> re.Match[str] | None:
    """The number of a statement: the result of its equation, or of what bounds it or leads to it; else its first."""
    if (result := worked_out(plain, start)) is not None:
        return result
    cut = REASON.search(plain, start)
    end = cut.start() if cut else len(plain)
    inside = numbers(plain, start, end)
    if not inside or inside[0].start() - start > 60:
        return None
    equals = [place for place in range(start, end) if plain[place] == "="]
    results = [one for one in inside if equals and one.start() > equals[-1]]
    if not results and len(inside) > 1 and re.fullmatch(r"\s*or\s*", plain[inside[0].end() : inside[1].start()]):
        return inside[1]
    return (results or inside)[0]


def worked_out(plain: str, start: int) -> re.Match[str] | None:
    """The result of a statement whose first number is not yet the answer: `between 3 and 5, so 4`; else None."""
    cut = SENTENCE.search(plain, start, start + STATEMENT)
    inside = numbers(plain, start, cut.start() if cut else start + STATEMENT)
    if len(inside) < 2 or inside[0].start() - start > 60 or "=" in plain[start : inside[-1].start()]:
        return None
    bounded = BOUNDED.search(plain, start, inside[0].start())
    if not bounded and not OPERATOR.match(plain, inside[0].end()):
        return None
    behind = inside[0 if bounded else 1].end()
    results = [match.end() for match in RESULT.finditer(plain, behind, inside[-1].start())]
    return next((one for one in inside if one.start() >= results[-1]), None) if results else None


def numbers(plain: str, start: int, end: int) -> list[re.Match[str]]:
    """The numbers in a part of a text that no word such as `step` refers to."""
    found = [match for match in NUMBER.finditer(plain, start, end) if match["digits"]]
    return [match for match in found if not REFERRED.search(plain[max(0, match.start() - 12) : match.start()])]


def last(plain: str) -> re.Match[str] | None:
    """The number alone on the last line or the first; else the last of the last line that has one."""
    lines = [(match.start(), match.end()) for match in re.finditer(r"[^\n]*\S[^\n]*", plain)]
    with_number = [line for line in lines if numbers(plain, *line)]
    if not with_number:
        return None
    for line in (lines[-1], lines[0]):
        inside = numbers(plain, *line)
        if len(inside) == 1 and alone(plain[line[0] : line[1]], inside[0][0].strip()):
            return inside[0]
    start, end = with_number[-1]
    inside = numbers(plain, start, end)
    asides = [match.span() for match in ASIDE.finditer(plain, start, end)]
    outside = [one for one in inside if not within(one, asides)] or inside
    strong = bold_parts(plain, start, end)
    bold = [one for one in outside if within(one, strong)]
    return (bold or outside)[-1]


def within(one: re.Match[str], parts: Sequence[tuple[int, int]]) -> bool:
    """Whether a number stands in one of some parts, which are in order."""
    place = bisect.bisect_right(parts, one.start(), key=lambda part: part[0])
    return place > 0 and one.start() < parts[place - 1][1]


def alone(line: str, written: str) -> bool:
    """Whether a line is a number with at most three words of unit behind it."""
    before, _, behind = line.partition(written)
    return not re.search(r"\w", before) and re.fullmatch(r"\W*(?:[^\W\d_]+\W*){0,3}", behind) is not None


def bold_parts(plain: str, start: int, end: int) -> list[tuple[int, int]]:
    """The parts of a line in bold that are no headings."""
    parts = re.finditer(f"{BOLD_OPENED}([^{BOLD_CLOSED}]*){BOLD_CLOSED}", plain[start:end])
    return [(start + part.start(), start + part.end()) for part in parts if not part[1].rstrip().endswith(":")]
