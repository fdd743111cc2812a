"""Has a model answer a few rows for a person to read, where no measure has had it answer them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from mixplan.domains import Row
from mixplan.evaluate.behaviour import kept_answers
from mixplan.evaluate.measure import VERSION, answers_key, content, identity, installed, kept_place
from mixplan.evaluate.prompts import prompt_text, token_ids
from mixplan.model import Answer, Model, generate, spoken
from mixplan.runs import canonical_json, content_hash, store, unseal


def written_answers(
    model: Model, rows: Sequence[Row], *, answer_tokens: int, begin: Callable[[], None]
) -> dict[str, str]:
    """A model's greedy answers to a few rows; they are kept, so that a run that is taken up again asks nothing.

    Args:
        model: The model.
        rows: What to answer.
        answer_tokens: Longest answer.
        begin: Called before the model is asked, where it is.

    Returns:
        Texts by row id, for the rows whose prompt fits the model's window with the longest answer.

    Raises:
        ModelError: the model cannot answer.
    """
    versions = [installed(one) for one in ("torch", "transformers")]
    key = content_hash(VERSION, identity(model), content(rows), "written answers", answer_tokens, versions)
    place = kept_place(key)
    if (standing := unseal(place)) is not None:
        return {name: str(text) for name, text in json.loads(standing).items()}
    begin()
    prompts = {row.id: prompt_text(model, row) for row in rows}
    fitting = {
        name: text for name, text in prompts.items() if len(token_ids(model, text)) + answer_tokens <= model.window
    }
    answers = generate(model, list(fitting.values()), max_new_tokens=answer_tokens) if fitting else []
    found = dict(zip(fitting, spoken(model, answers), strict=True))
    store(place, canonical_json(found).encode())
    return found


def own_texts(untrained: Model, rows: Sequence[Row], *, answer_tokens: int) -> dict[str, str] | None:
    """The untrained model's answers that `behaviour` has kept, as texts by row id; None where it has none.

    Args:
        untrained: The untrained model.
        rows: The very rows that were measured.
        answer_tokens: Longest answer, as they were asked for.
    """
    kept = kept_answers(kept_place(answers_key(identity(untrained), rows, answer_tokens)))
    if kept is None:
        return None
    decode = untrained.tokenizer.decode
    answers = [
        Answer(str(decode(list(ids), skip_special_tokens=True)).strip(), ids, len(ids) < answer_tokens)
        for ids in kept.values()
    ]
    return dict(zip(kept, spoken(untrained, answers), strict=True))
