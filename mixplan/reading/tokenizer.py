"""Keeps a model's tokenizer in the cache as text, so that a later plan counts tokens without the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from mixplan.domains import Domain, Row
from mixplan.mixture import TokenCounter, messages, token_counter
from mixplan.mixture.trl_config import SFT_LENGTH
from mixplan.reading.progress import Watcher
from mixplan.recipe import LoadedRecipe
from mixplan.runs import cache_folder, canonical_json, content_hash, store, unseal

if TYPE_CHECKING:
    from mixplan.model import Model

COMPARED_ROWS = 20
"""Pool rows of each domain whose tokens are counted both ways before the kept text is relied upon."""


def keep_tokenizer(model: Model, domains: Sequence[Domain]) -> str | None:
    """Keep what counts tokens as this model's tokenizer does.

    Args:
        model: The loaded model.
        domains: Whose first pool rows are counted both ways.

    Returns:
        The kept text's hash; None when it counts otherwise than the model's tokenizer, which is then not kept.
    """
    kept = description(model.tokenizer) | ({"window": model.window} if model.window < SFT_LENGTH else {})
    counter = token_counter(kept, model.name)
    for row in (row for domain in domains for row in domain.pool[:COMPARED_ROWS]):
        if counter.count(messages(row), row.answer) != tokens_of(model, row):
            return None
    mark = content_hash(kept)
    if unseal(place(mark)) is None:
        store(place(mark), canonical_json(kept).encode())
    return mark


def description(tokenizer: Any) -> dict[str, object]:
    """A fast tokenizer as JSON values: its tokenizer.json without a length, its template, its special tokens."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    from mixplan.model import special_tokens, template_source  # loads torch, which is here when there is a tokenizer

    template = template_source(tokenizer) if tokenizer.chat_template else None
    return {"tokenizer": backend.to_str(), "template": template, "special": special_tokens(tokenizer)}


def tokens_of(model: Model, row: Row) -> int:
    """Tokens of a row by the model's own tokenizer."""
    from mixplan.model import render  # loads torch, which is here when there is a model

    text = render(model, (*row.prompt, ("assistant", row.answer)), awaiting=False)
    return len(model.tokenizer(text, add_special_tokens=False)["input_ids"])


def kept_counter(
    loaded: LoadedRecipe, mark: str | None, domains: Sequence[Domain], watcher: Watcher
) -> TokenCounter | None:
    """What counts tokens as the planned model does.

    Args:
        loaded: The recipe, whose model is loaded when the kept text is lost.
        mark: From `keep_tokenizer`.
        domains: As given there.
        watcher: Told when the model is loaded.

    Returns:
        None when there is no such text.
    """
    if mark is None:
        return None
    data = unseal(place(mark))
    if data is None:
        from mixplan.model import load_model  # loads torch, which a kept tokenizer does not need

        watcher.say(f"loading {loaded.recipe.model.name} for its tokenizer")
        model = load_model(loaded.recipe.model, folder=loaded.folder(("model", "name")), depth=0)
        keep_tokenizer(model, domains)
        data = unseal(place(mark))
    return None if data is None else token_counter(json.loads(data), loaded.recipe.model.name)


def place(mark: str) -> Path:
    """Where a tokenizer's text is kept."""
    return cache_folder() / "tokenizers" / f"{mark}.json"
