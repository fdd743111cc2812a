"""Generates the untrained model's own answers to questions in batches, each kept once it is answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixplan.chat.reasoning import final_answer
from mixplan.domains import Domain, Row
from mixplan.errors import DataError, ModelError
from mixplan.mixture.order import Selection, remedy, take_domain, times
from mixplan.mixture.result import Messages, Progress
from mixplan.runs import content_hash, store, unseal

Said = tuple[str, bool]
"""An answer's text, and whether the model ended it before it was cut."""

BATCH_ROWS = 16
"""Rows answered before they are kept: little is lost to a kill, and a batch still fills the processor."""


HOPELESS_ROWS = 64
"""Rows after which asking ends where fewer than one in BATCH_ROWS was answered to its end."""


def all_fit(prompts: Sequence[Messages]) -> list[bool]:
    """Take every prompt, where no window is known."""
    return [True] * len(prompts)


def unmeasured(rows: Sequence[Row], answers: Sequence[str]) -> list[tuple[float, int] | None]:  # noqa: ARG001 - the answers
    """Measure nothing, where no model that reads answers is given."""
    return [None] * len(rows)


@dataclass(frozen=True)
class Untrained:
    """The untrained model, as far as a mixture needs it.

    Attributes:
        generate: Answers prompts, each once and in order; at most `mixture.answer_tokens` new tokens, where it is
            cut.
        fingerprint: Hash of the model and of how it generates; answers are kept under it.
        cache: Folder in which answered batches are kept.
        fits: Whether each prompt fits the model's window with the longest answer behind it.
        surprise: Measures rows with an answer each: its negative log-likelihood in nats, and its tokens; None where
            they do not fit the window.
    """

    generate: Callable[[Sequence[Messages]], list[Said]]
    fingerprint: str
    cache: Path
    fits: Callable[[Sequence[Messages]], list[bool]] = all_fit
    surprise: Callable[[Sequence[Row], Sequence[str]], list[tuple[float, int] | None]] = unmeasured


def messages(row: Row) -> Messages:
    """A row's prompt as chat templates take it."""
    return [{"role": role, "content": content} for role, content in row.prompt]


def take_answered(
    domain: Domain,
    count: int,
    *,
    max_repeats: int,
    tokens: int,
    untrained: Untrained,
    progress: Progress,
    keep_cut: bool = False,
) -> Selection:
    """Take a domain's planned rows with the model's own answers, passing over rows without a whole answer.

    An answer that is cut, or has no text, would teach the model to stop in the middle, or to say nothing; so would one
    that the model ended within its reasoning, or right behind it.

    Args:
        domain: The opened domain.
        count: Planned rows, repeats counted.
        max_repeats: How often one row may be used.
        tokens: At most so many new tokens an answer.
        untrained: The model.
        progress: Told of each answered batch.
        keep_cut: Whether cut answers are taken as they are.

    Raises:
        DataError: the pool, or what of it was answered, is too small.
        ModelError: `generate` did not give one answer a prompt.
    """
    take_domain(domain, count, max_repeats=max_repeats)
    answers: dict[int, str] = {}
    cut: set[int] = set()
    wanted, seen = min(count, len(domain.pool)), 0
    while len(answers) < wanted and seen < len(domain.pool) and not hopeless(seen, len(answers)):
        # A batch never runs past what is still wanted: answers nobody asked for cost as much as the others.
        missing = wanted - len(answers)
        asked = -(-missing * seen // len(answers)) if answers else BATCH_ROWS if seen else missing
        batch = range(seen, min(len(domain.pool), seen + min(BATCH_ROWS, asked)))
        said = answer([messages(domain.pool[i]) for i in batch], tokens=tokens, untrained=untrained)
        answers.update((i, one[0]) for i, one in zip(batch, said, strict=True) if usable(one, keep_cut=keep_cut))
        cut.update(i for i, (text, ended) in zip(batch, said, strict=True) if text and not ended)
        seen = batch.stop
        progress(f"answers of {domain.name}", len(answers), wanted)
    if count > len(answers) * max_repeats:
        raise DataError(
            f"mixture: domain '{domain.name}' is planned {count} rows with the model's own answers, but of its {seen} "
            f"pool rows the model answered {len(answers)} to the end with any text, each used at most {max_repeats} "
            f"{times(max_repeats)}; {len(cut)} were cut at {tokens} tokens. "
            f"{longer(len(cut - set(answers)), tokens)}{remedy(domain.name, count, len(answers), max_repeats)}"
        )
    empty = seen - len(answers.keys() | cut)
    return Selection(domain, count, sorted(answers), answers, empty, frozenset(cut))


def usable(said: Said, *, keep_cut: bool) -> bool:
    """Whether an answer can be trained: one that was ended says something behind its reasoning, which has ended too.

    Args:
        said: The answer.
        keep_cut: Whether one that was cut is taken as it is, within its reasoning or behind it.
    """
    text, ended = said
    return bool(final_answer(text).strip()) if ended else keep_cut and bool(text)


def hopeless(seen: int, answered: int) -> bool:
    """Whether so few answers come to their end that the rest of a pool is not worth asking."""
    return seen >= HOPELESS_ROWS and answered * BATCH_ROWS < seen


def longer(cut: int, tokens: int) -> str:
    """What lets answers come to their end, where some were cut."""
    return f"Raise `mixture.answer_tokens`, to {2 * tokens} for instance. Otherwise: " if cut else ""


def answer(prompts: Sequence[Messages], *, tokens: int, untrained: Untrained) -> list[Said]:
    """Answer one batch, or read the answers kept of an earlier run.

    Returns:
        One answer a prompt without space around it, empty where the model said nothing or the prompt leaves no room for
        one, and whether it was ended.
    """
    path = (
        untrained.cache / "answers" / f"{content_hash('answers', 3, untrained.fingerprint, tokens, list(prompts))}.json"
    )
    if (kept := unseal(path)) is not None:
        return [(str(text), bool(ended)) for text, ended in json.loads(kept)]
    said = [(text.strip(), ended) for text, ended in untrained.generate(prompts)]
    if len(said) != len(prompts):
        raise ModelError(
            f"mixture: the model gave {len(said)} answers to {len(prompts)} questions; one each is expected."
        )
    store(path, json.dumps(said, ensure_ascii=False).encode())
    return said
