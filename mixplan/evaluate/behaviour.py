"""Rows in, how far the trained model's next-token distributions are from the untrained model's on its answers out.

For each row the untrained model answers greedily; y(1) ... y(T) are the answer's tokens, the one that ends it included,
and with P the untrained and Q the trained model's distribution over the whole vocabulary,

    kl = 1/T * sum over t of KL( P(. | prompt, y(1) ... y(t-1)) || Q(. | prompt, y(1) ... y(t-1)) ), in nats.

No token is sampled and no answer graded, so nearly all of what it shows is the model's change.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from mixplan.domains import Row
from mixplan.evaluate.answering import Answering
from mixplan.evaluate.prompts import prompt_text, token_ids
from mixplan.evaluate.result import Measured
from mixplan.evaluate.scoring import Ids, Tree, token_divergences
from mixplan.model import Model
from mixplan.runs import canonical_json, seal, unseal, write_atomic


def measure_behaviour(
    model: Model,
    untrained: Answering,
    rows: Sequence[Row],
    *,
    answer_tokens: int,
    kept_at: Path,
    advance: Callable[[int], None],
) -> Measured:
    """Measure the mean token KL of the model from the untrained one on the untrained one's own answers.

    Args:
        model: The trained model; when it is the untrained one itself, its answers are made and every `kl` is 0.
        untrained: Answers with the untrained model.
        rows: Rows of any format; only their prompts are used.
        answer_tokens: Longest answer.
        kept_at: File that keeps the untrained model's answers.
        advance: Told how many rows are done.

    Returns:
        `kl` of each row whose prompt fits the window with the longest answer.
    """
    trained = model is not untrained.model
    answers = own_answers(untrained, rows, answer_tokens, kept_at, (lambda _: None) if trained else advance)
    kept = [row for row in rows if row.id in answers]
    found = [0.0] * len(kept)
    if trained:
        trees = [
            Tree(token_ids(untrained.model, prompt_text(untrained.model, row)), (answers[row.id],)) for row in kept
        ]
        moved = token_divergences(untrained.model, model, trees, on_trees=advance)
        found = [float(tokens.mean()) for (tokens,) in moved]
    return Measured("behaviour", tuple(row.id for row in kept), {"kl": tuple(found)}, {})


def own_answers(
    untrained: Answering, rows: Sequence[Row], answer_tokens: int, kept_at: Path, advance: Callable[[int], None]
) -> dict[str, Ids]:
    """The untrained model's answers by row id, from the cache or made now."""
    if (standing := unseal(kept_at)) is not None:
        return {name: tuple(ids) for name, ids in json.loads(standing).items()}
    kept, answers = untrained.answers(rows, answer_tokens=answer_tokens, advance=advance)
    found = {row.id: answer.ids for row, answer in zip(kept, answers, strict=True)}
    write_atomic(kept_at, seal(canonical_json(found).encode()))
    return found
