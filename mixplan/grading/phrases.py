"""Knows the words with which models commit themselves to an answer, in English and other languages."""

from __future__ import annotations

import re

from mixplan.grading.markup import OPENED

FOREIGN = r"r[ée]ponse|respuesta|resposta|risposta|antwort|ответ"
ANSWERS = (
    rf"answers?|ans|{FOREIGN}|antwoord|cevap|odpowiedź|odpověď|svar|vastaus|jawaban|đáp án|إجابة|الإجابة|जवाब|उत्तर"
)
"""Nouns that mean the answer wherever they stand."""
CHOSEN = "options?|choices?|response|solution|selection|pick|conclusion|letter|alternative"
"""Nouns that also speak of other things (`the solution is acidic`): they mean the answer where they are qualified."""
BEST = (
    r"(?:correct|right|best|final|my|our|only|true|proper|valid|(?:most|more) \w+|appropriate|suitable|accurate|ideal|"
    r"optimal|preferred|selected|chosen|remaining|answer)"
)
UNSPACED = "(?:答案|选项|正确选项|答え|正解|回答|解答|정답|답)"
"""Nouns of languages that write no space between words."""

ASKED = (
    r"(?:to|for) (?:(?:this|the|that|your) [\w ]{1,40}?|(?:question |problem |exercise )?\d[\dx +*/×÷·^()=.-]{0,40}?)"
)
"""`to the question` and `to 7 x 8`."""
QUALIFIED = (
    rf"(?:choice|option|letter|key|here|left|remaining|corre\w+|exacte|final|that is (?:correct|right|true)|{ASKED})"
)
CORRECT = (
    r"(?:left|remaining|corre\w+|that is (?:correct|right|true)|"
    r"(?:to|for) (?:this|the|that|your) (?:\w+ )?(?:question|problem|equation|puzzle|riddle|exercise|task))"
)
"""What makes an answer of a noun such as `option` from behind."""


def said(answers: str, chosen: str) -> str:
    """The pattern of nouns that mean the answer: `the answer to the question`, `my choice`, `the option left`."""
    return (
        rf"(?:\b(?:(?:statement that is (?:correct|right|true)|{answers})(?:\s+{QUALIFIED})?|"
        rf"{BEST}\s+(?:{chosen})(?:\s+{QUALIFIED})?|(?:{chosen})\s+{CORRECT})\b|{UNSPACED})"
    )


VERBS = "(?:is|was|would be|should be|must be|will be|has to be|ist|lautet|est|es|é|è|er|"
VERBS += r"(?<=odpowiedź\s)to|(?<=odpověď\s)to)"
DASH = r"(?:-+>|--+(?!(?-i:[a-z]))|(?<=\w)(?:--+|[-–])(?=[^\W\d])|[-–](?=\s)(?!\s?[\d.€£¥₹])|—)"
"""A dash that joins, as in `Answer-B`; one behind a space and right before a name or a number is its sign."""
LINK = rf"(?:(?:\s*(?:{VERBS}\b|:|=+>?|{DASH}|→|是|为|為|应该|應該|选|選|は|는|은)\s*)+|\s+[-–]\s+)"
ARTICLES = (
    r"(?:(?:la|el|le|die)(?=\s+\w\b)|"
    r"(?:a|la|el|o|l|die)\s+(?:letra|opci[óo]n|op[çc][ãa]o|lettre|lettera|option|opzione|alternativa))"
)
WORDS = (
    "(?:clearly|definitely|indeed|likely|most likely|probably|simply|therefore|thus|then|still|actually|option|choice|"
    "letter|answer|the option|the choice|the letter)"
)
FILLER = rf"(?:\s*(?:{OPENED}|:|\b(?:{WORDS}|{ARTICLES})\b))*"

SAYS = rf"{said(ANSWERS, CHOSEN)}(?:\s*,?\s*(?:then|therefore|thus),?)?{LINK}"
HEADED = r"^[^\w\n]{0,8}(?:option|choice|response|selection|pick|letter|alternative)\s*:"
"""`Choice:` at a line's beginning."""
STATES = re.compile(rf"(?:{SAYS}|{HEADED}){FILLER}", re.I | re.M)
"""`The correct answer is`, `Answer:`, `答案是`."""
NAMES = re.compile(rf"\b(?:{CHOSEN})(?:\s+{QUALIFIED})?{LINK}{FILLER}", re.I)
"""`The closest option is`, which names an answer only where an option's letter or text follows."""
PERHAPS = re.compile(rf"(?:\bthe\s+(?:{CHOSEN}){LINK}|^[^\w\n]{{0,8}}(?:solution|conclusion)\s*:){FILLER}", re.I | re.M)
"""`The solution is` and `Solution:`, which state the answer where nothing else does."""

ANNOUNCED = rf"{said(f'answers?|ans|{FOREIGN}', 'solution|response|output')}"
ANNOUNCES = re.compile(rf"(?:{ANNOUNCED}{LINK}|^[^\w\n]{{0,8}}(?:response|output)\s*:\s*)", re.I | re.M)
"""What stands before a text that is the answer; `option` and `choice` name one of those that were given."""
MAYBE_ANNOUNCES = re.compile(rf"\b(?:solution|response|output){LINK}", re.I)
"""What announces a text where `ANNOUNCES` finds nothing."""

PEOPLE = "(?:would|will|i|i'd|i'll|let's|we|to|'d|'ll)"
CHOICES = "(?:choose|pick|select|go with|opt for|say|guess|settle on|answer)"
CHOOSES = re.compile(
    rf"(?:\b(?:{PEOPLE}\s+(?:\w+\s+)?{CHOICES}|i'm going with|going with|i chose|i picked|"
    rf"(?:that|which) leaves(?: us with)?)\b|(?:选|選)(?:择|擇|项|項)?\s*:?)\s*(?:with\s+)?{FILLER}",
    re.I,
)
"""`I would choose`."""

CONCLUDES = re.compile(
    r"(?:\b(?:it|that)(?:'s| is| must be| would be| has to be| should be)|"
    r"(?:^|(?<=[.\n:;]\s)|(?<=[\n]))(?:so|therefore|thus|hence|in conclusion|conclusion|final|finally)\b[,:]?)"
    + FILLER,
    re.I | re.M,
)
"""`It is`, `Therefore,`."""

DIRECT = re.compile(
    r"^\s*(?:(?:so|therefore|thus|hence|final|correct|my),?\s+)*(?:answer|option|choice)\b", re.I | re.M
)
"""`Option` before a letter at a line's beginning."""

ASSURED = "(?:clearly|definitely|indeed|thus|therefore|to be|most|likely|the|my|our|only)"
PRAISE = "(?:correct|right|best|true|accurate|appropriate|suitable|answer|final|choice)"
OTHERS = r"\b(?:is|was|were|seems?|looks?|(?:and|but|so|while|whereas)\s+(?:option\s+)?[A-Z]\b)"
"""What an option's text holds no part of: it says something of this option, or of another."""
SURE = re.compile(
    r"(?<![\w'])(?:[(\[]\s*([A-Za-z])\s*[)\]]|([A-Z])(?![\w'])(?:\s*\([^()\n]{0,80}\))??)"
    rf"(?:(?:(?<=[)\]])|[.:)]+)\s*(?:(?!{OTHERS})[^.,;()\[\]\n]){{0,80}}?)??\s+"
    rf"(?:is|would be|must be|has to be|seems|appears|looks)\s+(?:{ASSURED}\s+)*{PRAISE}\b"
)
"""`B is correct`, `(b) blue is the best choice`; the letter is one of its two groups."""

UNSURE = re.compile(r"\b(?:if|whether|suppose|assume|assuming|could|might|not|why|unless)\b[^.\n]{0,20}$", re.I)
"""What stands before words that commit to nothing, such as those of `if B is correct`."""
