"""GRPO completions and their mixture rows in, one reward each out: every row graded by its own domain's grader."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from fractions import Fraction

TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:/\d+)?")
SAID_LETTER = re.compile(r"\b(?:answer|option|choice)\b(?:\s+is)?\s*:?\s*\(?([A-Z])\b(?!')")
LONE_LETTER = re.compile(r"\(?([A-Z])\)?(?:[.:)].*|\s*)", re.DOTALL)


def graded(
    completions: Sequence[Sequence[dict[str, str]]],
    reference: Sequence[str],
    grader: Sequence[str],
    entry: Sequence[str | None],
    **_columns: object,
) -> list[float]:
    """Reward a batch as TRL's GRPOTrainer asks for it.

    Args:
        completions: One assistant turn each.
        reference: The rows' reference answers.
        grader: The rows' graders: `choice`, `exact`, `number`, `math` or `generator`.
        entry: Generator rows: the reasoning-gym entry as JSON.

    Returns:
        One reward a completion, 0 to 1, in order.
    """
    rows = zip(completions, reference, grader, entry, strict=True)
    return [reward(turns[-1]["content"], wanted, kind, saved) for turns, wanted, kind, saved in rows]


def reward(text: str, reference: str, grader: str, entry: str | None) -> float:
    """Grade one answer; an `<answer>` tag, where there is one, holds all that counts."""
    tagged = TAGGED.findall(text)
    answer = (tagged[-1] if tagged else text).strip()
    if grader == "generator" and entry is not None:
        return generator_score(answer, entry)
    return float(GRADERS[grader](answer, reference))


def same_text(answer: str, reference: str) -> bool:
    """Whether the answer, or its last line, is the reference but for case and spacing."""
    wanted = folded(reference)
    last = answer.splitlines()[-1] if answer else ""
    return wanted in (folded(answer), folded(last))


def folded(text: str) -> str:
    """A text without case, spacing and closing full stop."""
    return " ".join(text.casefold().split()).rstrip(".")


def same_letter(answer: str, reference: str) -> bool:
    """Whether the answer names the reference's option: `answer is B`, `(B)`, `B. text`."""
    return (wanted := letter(reference)) is not None and letter(answer) == wanted


def letter(text: str) -> str | None:
    """The option a text names, the last one it says; None when it names none."""
    if said := SAID_LETTER.findall(text):
        return str(said[-1])
    match = LONE_LETTER.fullmatch(text.strip())
    return match[1] if match else None


def same_number(answer: str, reference: str) -> bool:
    """Whether the last number of the answer equals the last of the reference, exactly."""
    return (wanted := number(reference)) is not None and number(answer) == wanted


def number(text: str) -> Fraction | None:
    """The last number in a text: thousands commas, decimals and fractions understood; None without one."""
    found = NUMBER.findall(text)
    try:
        return parsed(found[-1]) if found else None
    except ZeroDivisionError:
        return None


def parsed(text: str) -> Fraction:
    """A number as written, as an exact fraction."""
    above, _, below = text.replace(",", "").partition("/")
    return Fraction(above) / Fraction(below or "1")


def same_mathematics(answer: str, reference: str) -> bool:
    r"""Whether the `\boxed{}` contents, or failing them the last numbers, are the same."""
    wanted, given = BOXED.findall(reference) or [reference], BOXED.findall(answer)
    if given and "".join(given[-1].split()) == "".join(wanted[-1].split()):
        return True
    return same_number(given[-1] if given else answer, wanted[-1])


def generator_score(answer: str, entry: str) -> float:
    """The entry's own reasoning-gym score, between 0 and 1."""
    import reasoning_gym

    value = json.loads(entry)
    score = reasoning_gym.get_score_answer_fn(value["metadata"]["source_dataset"])
    return float(score(answer, value))


GRADERS: dict[str, Callable[[str, str], bool]] = {
    "choice": same_letter,
    "exact": same_text,
    "number": same_number,
    "math": same_mathematics,
    "generator": same_text,
}
