"""Grades an answer against its row's reference: right, wrong or unparsable, with a score from 0 to 1."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

from mixplan.chat.reasoning import final_answer
from mixplan.domains.generator import SCORER_OPTIONS
from mixplan.grading.markup import LIKE, stated
from mixplan.grading.numbers import same_number, written_number
from mixplan.grading.options import same_option
from mixplan.grading.texts import committed_text, fenced, same_text

TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
PLAIN_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
BOLD = re.compile(r"\*\*")
WORDED = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\{([^{}]*)\}")
LONE_EXPRESSION = re.compile(r"(?:\\(?:[A-Za-z]+|[^A-Za-z])|(?<![A-Za-z])[A-Za-z](?![A-Za-z])|[^A-Za-z$\\])+")
"""Mathematics without delimiters and without words: letters stand alone or belong to a LaTeX command."""
FORMULA_CHARACTERS, PROSE_CHARACTERS = 500, 2_000
"""What math-verify is given to read: no longer formula, for its time grows fast with length; of a text the end."""


@dataclass(frozen=True)
class Grade:
    """How good one answer is.

    Attributes:
        score: 0 to 1; between them only where a reasoning-gym scorer gives part of the credit.
        outcome: `unparsable` when the answer holds nothing that the grader could compare; it then scores 0.
    """

    score: float
    outcome: Literal["right", "wrong", "unparsable"]


def grade(text: str, reference: str, grader: str, entry: str | None, accepted: Sequence[str] = ()) -> Grade:
    """Grade one answer; an `<answer>` tag, where there is one, holds all that counts.

    Reasoning does not count: what stands behind it is graded, and an answer that has not ended its reasoning answers
    nothing.

    Args:
        text: What the model said.
        reference: The row's answer.
        grader: `choice`, `exact`, `number`, `math` or `generator`.
        entry: Generator rows: the reasoning-gym entry as JSON; without it, `generator` compares as `exact` does.
        accepted: Other answers that count as right.

    Returns:
        The grade. A generator row is graded by its own scorer, which may raise anything, hang or eat memory;
        `mixplan.grading.process` holds it within bounds.
    """
    answer = tagged(final_answer(text)).strip()
    if grader == "generator" and entry is not None:
        score = generator_score(answer, entry)
        return Grade(score, "right" if score >= 1 else "wrong" if answer else "unparsable")
    same = [GRADERS[grader](answer, final_answer(wanted)) for wanted in (reference, *accepted)]
    if any(same):
        return Grade(1.0, "right")
    return Grade(0.0, "unparsable" if same[0] is None else "wrong")


def tagged(text: str) -> str:
    """What stands in the last closed `<answer>` tag; the whole text without one."""
    # Pairs of tags are sought among the tags alone: one expression for a whole pair takes quadratic time on a text
    # that only opens them, as a model that repeats itself does.
    for opened, closed in reversed(list(itertools.pairwise(TAG.finditer(text)))):
        if not opened[1] and closed[1]:
            return text[opened.end() : closed.start()]
    return text


def same_mathematics(answer: str, reference: str) -> bool | None:
    r"""Whether answer and reference are the same mathematics, by math-verify; None when the answer holds none.

    Of a text with `\boxed{}` its last contents count. Spelling that is equal but for spaces and `\text{}` is right
    even where it is no mathematics, such as a name.
    """
    from math_verify import verify

    answer, reference = (BOLD.sub("", text.translate(LIKE)) for text in (answer, reference))
    if plain(stated(answer)) == plain(stated(reference)) != "":
        return True
    given = expressions(answer)
    if not given:
        return None
    return bool(verify(expressions(reference), given, timeout_seconds=None))


def expressions(text: str) -> list[Any]:
    """The sympy expressions, or failing them the text, that math-verify reads in a text; empty when there are none."""
    from math_verify import parse

    # Its own time limits hold in a main thread only; without them it warns, though the grading process has a limit.
    for name in ("math_verify.parser", "math_verify.grader"):
        logging.getLogger(name).setLevel(logging.ERROR)
    contents = stated(text)
    alone = contents is not text or LONE_EXPRESSION.fullmatch(contents)
    if not contents or (alone and len(contents) > FORMULA_CHARACTERS):
        return []
    return list(parse(f"${contents}$" if alone else contents[-PROSE_CHARACTERS:], parsing_timeout=None))


def plain(text: str) -> str:
    r"""A formula without spaces and `\text{}`."""
    return "".join(WORDED.sub(r"\1", text).split())


def generator_score(answer: str, entry: str) -> float:
    """The score that an entry's own reasoning-gym scorer gives to what an answer commits to.

    Scorers read plain answers: one that reads the first number of a text takes the first step of a worked solution for
    its result. So where the entry's answer is a number, the number that the answer commits to is scored; else the
    best of the answer, what stands in its box or behind words such as `Answer:`, and a code fence at its end.
    """
    value = json.loads(entry)
    own = scorer(value["metadata"]["source_dataset"], json.dumps(value.pop(SCORER_OPTIONS, {}), sort_keys=True))
    wanted = value["answer"] if isinstance(value["answer"], str) else ""
    if PLAIN_NUMBER.fullmatch(wanted) and (given := written_number(answer)) is not None:
        return float(own(given, value))
    inside = committed_text(answer)
    texts = dict.fromkeys([answer, inside, inside.rstrip("."), fenced(answer) or inside])
    scores, raised = [], []
    for text in texts:
        with Tried() as tried:
            scores.append(float(own(text, value)))
        if tried.raised is not None:
            raised.append(tried.raised)
    if not scores:
        raise raised[0]
    return max(scores)


class Tried(contextlib.AbstractContextManager["Tried"]):
    """Keeps what a scorer raised, which may be any exception; what ends a process goes on."""

    raised: Exception | None = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        """Keep an exception."""
        if isinstance(error, Exception):
            self.raised = error
        return self.raised is not None


@functools.cache
def scorer(name: str, options: str) -> Callable[[str, dict[str, object]], float]:
    """A reasoning-gym data set's scorer with the options that its entries were made with; some take a second to make.

    Args:
        name: The data set's.
        options: JSON object.
    """
    import reasoning_gym

    found: Callable[[str, dict[str, object]], float] = reasoning_gym.create_dataset(
        name, **json.loads(options)
    ).score_answer
    return found


GRADERS: dict[str, Callable[[str, str], bool | None]] = {
    "choice": same_option,
    "exact": same_text,
    "number": same_number,
    "math": same_mathematics,
    "generator": same_text,
}
"""For each grader, whether an answer is the reference; None when the answer cannot be compared."""
