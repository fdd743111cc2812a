"""Has the untrained model say a target's answers in its own words, and takes those that the target's grader accepts."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from mixplan.chat.reasoning import final_answer
from mixplan.chat.tool_calls import OPEN, TOOLS
from mixplan.domains import Domain, Row
from mixplan.domains.cached_domains import row_values
from mixplan.errors import DataError, ModelError
from mixplan.grading.probes import SECONDS, bounded
from mixplan.grading.process import GradingProcess, ScorerError
from mixplan.grading.versions import grading_state
from mixplan.mixture.answers import BATCH_ROWS, Said, Untrained, answer
from mixplan.mixture.order import Selection
from mixplan.mixture.result import Messages, Progress
from mixplan.recipe import MixtureSpec
from mixplan.runs import cached, content_hash, store, unseal
from mixplan.saved.own_voice import REASONS, OwnVoice, Spoken

INSTRUCTION = (
    "Here is a question with its correct answer. Write the answer again in your own words, the way you would answer "
    "the question yourself. Keep every step of the given answer and end with the same result. Write the answer alone."
)
"""What the model is asked; part of the prompts under which its answers are kept."""

EXACT_WORDS = 12
"""Words of a reference, in the median, up to which an answer may hold it word by word and still be the model's own."""

VERSION = 1
"""Of what becomes of an answer; part of the key."""

Outcome = Literal["rewritten", "same", "wrong", "cut", "empty", "too_long", "not_asked"]
"""What became of one answer: taken, said as it was given, not accepted, cut, without text, or not asked for."""

Surprise = tuple[float, int]
"""An answer's negative log-likelihood in nats, and its tokens."""


def in_own_voice(selection: Selection, *, tokens: int, untrained: Untrained, progress: Progress) -> Selection:
    """Put the model's own words in the place of the target's answers where the target's grader accepts them.

    A rewrite is taken where the model ended it by itself, it has text other than the given answer's, and the grader
    holds it right against the row's answer. Elsewhere the given answer stays.

    Args:
        selection: The target's rows, or those of one of its sources.
        tokens: At most so many new tokens an answer.
        untrained: The model; its `surprise` must be there.
        progress: Told of each answered batch.

    Returns:
        The selection with the rewrites by pool position, and what became of all answers.

    Raises:
        ModelError: `generate` or `surprise` did not give one result a row.
    """
    positions = [selection.position(number) for number in range(selection.count)]
    rows = [selection.domain.pool[position] for position in positions]
    asked = [prompt_of(row) for row in rows]
    said = said_by(asked, tokens, untrained, progress, f"{selection.domain.name} in the model's own words")
    outcomes = judged(rows, asked, said, selection.domain.grader)
    own = {
        position: final_answer(one[0])
        for position, one, outcome in zip(positions, said, outcomes, strict=True)
        if one is not None and outcome == "rewritten"
    }
    pairs = [(row, own[position]) for row, position in zip(rows, positions, strict=True) if position in own]
    given, spoken = surprises([row for row, _ in pairs], [text for _, text in pairs], untrained, progress)
    counts = Counter[str](outcomes)
    stays = {name: counts[name] for name in REASONS if counts[name]}
    voice = OwnVoice(rows=len(rows), rewritten=len(own), stays=stays, given=given, own=spoken, answer_tokens=tokens)
    return replace(selection, answers=own, voice=voice)


def require_judged(spec: MixtureSpec, source: Domain) -> None:
    """Refuse a target whose grader holds other words to be wrong, however right they are.

    Args:
        spec: What the mixture may hold.
        source: The opened target, or one of its sources.

    Raises:
        DataError: the model is to say its answers in its own words, they are long, and the grader compares words.
    """
    if spec.target_answers != "own_voice" or source.grader != "exact" or not source.pool:
        return
    words = statistics.median(len(final_answer(row.answer).split()) for row in source.pool)
    if words > EXACT_WORDS:
        raise DataError(
            f"mixture.target_answers: own_voice takes an answer in other words only where a grader accepts it, but "
            f"{source.name} has the grader exact, which accepts the same words alone, and its answers have {words:g} "
            f"words (median; at most {EXACT_WORDS} here). Set `{source.key}.grader` to number, math or generator where "
            "they end in a result, or leave `target_answers` out."
        )


def prompt_of(row: Row) -> Messages | None:
    """What the model is asked of a row: its conversation, whose last question holds the answer and what to do with it.

    Returns:
        The turns; None for a row with tools or calls, with reasoning in its answer, or whose last turn is not a
        user's: other words for these would be another conversation.
    """
    *before, (role, question) = row.prompt
    beyond_words = OPEN in row.answer or final_answer(row.answer) != row.answer
    if role != "user" or row.prompt[0][0] == TOOLS or beyond_words:
        return None
    content = f"{INSTRUCTION}\n\nQuestion:\n{question}\n\nCorrect answer:\n{row.answer}"
    return [*({"role": turn, "content": text} for turn, text in before), {"role": "user", "content": content}]


def said_by(
    asked: Sequence[Messages | None], tokens: int, untrained: Untrained, progress: Progress, step: str
) -> list[Said | None]:
    """What the model said to each prompt, each batch kept once it is answered; None where it was not asked."""
    prompts = {place: prompt for place, prompt in enumerate(asked) if prompt is not None}
    key = content_hash("fits", VERSION, untrained.fingerprint, tokens, list(prompts.values()))
    fits = cached("own-voice", key, lambda: untrained.fits(list(prompts.values()))) if prompts else []
    places = [place for place, fit in zip(prompts, fits, strict=True) if fit]
    said = dict[int, Said]()
    for start in range(0, len(places), BATCH_ROWS):
        batch = places[start : start + BATCH_ROWS]
        found = answer([prompts[place] for place in batch], tokens=tokens, untrained=untrained)
        said.update(zip(batch, found, strict=True))
        progress(step, len(said), len(places))
    return [said.get(place) for place in range(len(asked))]


def judged(
    rows: Sequence[Row], asked: Sequence[Messages | None], said: Sequence[Said | None], grader: str
) -> list[Outcome]:
    """What becomes of each answer; what the grader accepted before, of the same rows and texts, is read again."""
    failures: list[ScorerError] = []

    def grade_all() -> list[Outcome]:
        process = GradingProcess(seconds=SECONDS)
        try:
            graded = bounded(grader, process, failures.append)

            def right(row: Row, text: str) -> bool:
                return graded(row, text).outcome == "right"

            return [
                ("too_long" if prompt is not None else "not_asked")
                if one is None
                else became(row, one, partial(right, row))
                for row, prompt, one in zip(rows, asked, said, strict=True)
            ]
        finally:
            process.close()

    key = content_hash(
        "own voice", VERSION, grader, grading_state([grader]), list(map(row_values, rows)), said, list(asked)
    )
    found: list[Outcome] = cached("own-voice", key, grade_all, keep=lambda: not failures)
    if failures:
        raise DataError(
            f"mixture.target_answers: the grader {grader} failed on {len(failures)} of the model's answers, the first "
            f"time so: {failures[0]} What the model said is kept: plan again, or leave the key out."
        )
    return found


def became(row: Row, said: Said, right: Callable[[str], bool]) -> Outcome:
    """What becomes of an answer that the model gave.

    Args:
        row: The row.
        said: The model's text, and whether it ended by itself.
        right: Whether the row's grader accepts a text.
    """
    text, ended = said
    words = final_answer(text)
    if not ended:
        return "cut"
    if not words:
        return "empty"
    if words == row.answer.strip():
        return "same"
    return "rewritten" if right(words) else "wrong"


def surprises(
    rows: Sequence[Row], own: Sequence[str], untrained: Untrained, progress: Progress
) -> tuple[Spoken | None, Spoken | None]:
    """How surprising the rewritten rows' given answers and the model's own words are to the untrained model.

    Rows of which one of the two does not fit the model's window count in neither.
    """
    found: list[tuple[Surprise, Surprise]] = []
    for start in range(0, len(rows), BATCH_ROWS):
        part, words = rows[start : start + BATCH_ROWS], own[start : start + BATCH_ROWS]
        both = surprise([*part, *part], [*(row.answer for row in part), *words], untrained)
        pairs = zip(both[: len(part)], both[len(part) :], strict=True)
        found += [(given, said) for given, said in pairs if given is not None and said is not None]
        progress("surprise of answers", min(len(rows), start + BATCH_ROWS), len(rows))
    if not found:
        return None, None
    sides = [[pair[side] for pair in found] for side in (0, 1)]
    given, spoken = (
        Spoken(answers=len(side), nats=sum(n for n, _ in side), tokens=sum(t for _, t in side)) for side in sides
    )
    return given, spoken


def surprise(rows: Sequence[Row], answers: Sequence[str], untrained: Untrained) -> list[Surprise | None]:
    """Measure one batch, or read what was measured earlier; None for what does not fit the model's window."""
    texts = [[list(map(list, row.prompt)), text] for row, text in zip(rows, answers, strict=True)]
    path = untrained.cache / "surprise" / f"{content_hash('surprise', VERSION, untrained.fingerprint, texts)}.json"
    if (kept := unseal(path)) is not None:
        return [None if one is None else (float(one[0]), int(one[1])) for one in json.loads(kept)]
    found = untrained.surprise(rows, answers)
    if len(found) != len(rows):
        raise ModelError(f"mixture: the model scored {len(found)} of {len(rows)} answers; one each is expected.")
    store(path, json.dumps(found).encode())
    return found
