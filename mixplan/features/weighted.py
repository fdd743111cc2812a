"""Computes features' mean activations on the tokens of answers, weighted by a number for each answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mixplan.domains import Row
from mixplan.features.forward import PACK_TOKENS, packs_of, read_prefix, read_together, way_of
from mixplan.features.measure import ENCODED_VALUES
from mixplan.features.queries import Query, Unit, read_tokens, shared_prefix
from mixplan.features.statistics import Doubles
from mixplan.model import Model
from mixplan.runs import content_hash, store, unseal
from mixplan.sae import Sae

VERSION = 3
"""Of what is kept; part of every cache key."""


@dataclass(frozen=True)
class Weighted:
    """Means over answer tokens; h is a token's feature activations and A the number of the answer that it stands in.

    Attributes:
        tokens: Answer tokens.
        signed: `[d_sae]` float64, mean of A h.
        size: `[d_sae]` float64, mean of |A| h.
    """

    tokens: int
    signed: Doubles
    size: Doubles


def answers_unit(model: Model, rows: Sequence[Row]) -> tuple[Unit, tuple[int, ...]]:
    """Tokenise rows' answers behind their own questions, nothing else in front.

    Args:
        model: For its tokenizer, template and window.
        rows: With the answers to read; at least one is neither empty nor longer than the window.

    Returns:
        The unit, and the positions of the rows in it: empty answers and rows beyond the window are left out.

    Raises:
        ModelError: the chat template hides or alters an answer.
    """
    read = {i: read_tokens(model, (), row, answers=True) for i, row in enumerate(rows) if row.answer.strip()}
    fitting = {i: found for i, found in read.items() if len(found[0]) <= model.window and found[1] > 0}
    queries = tuple(Query(i, ids, ids, count) for i, (ids, count) in fitting.items())
    prefix = shared_prefix([(query.alone, query.count) for query in queries])
    return Unit(0, (), 0, queries, prefix, prefix), tuple(fitting)


def measure_weighted(
    model: Model, sae: Sae, unit: Unit, numbers: Sequence[float], *, on_tokens: Callable[[int], object] | None = None
) -> Weighted:
    """Read a unit once and reduce it; memory does not grow with the number of tokens.

    Args:
        model: The model.
        sae: Its SAE.
        unit: Answers, as `answers_unit` gives them.
        numbers: One for each of its queries.
        on_tokens: Told how many tokens each pack held.
    """
    signed, size = (torch.zeros(sae.d_sae, dtype=torch.float64, device=model.device) for _ in range(2))
    way = way_of(model, sae.depth, [query.alone for query in unit.queries])
    cache = read_prefix(model, sae.depth, unit.queries[0].alone[: unit.alone_prefix], way)
    step = max(1, ENCODED_VALUES // sae.d_sae)
    for part in packs_of(unit, PACK_TOKENS.get(model.device.type, 2048)):
        queries = [unit.queries[index] for index in part]
        counts = [query.count for query in queries]
        stream = read_together(model, sae.depth, [q.alone for q in queries], counts, unit.alone_prefix, cache, way)
        each = np.repeat([numbers[index] for index in part], counts)
        with torch.inference_mode():
            for left in range(0, len(each), step):
                features = sae.encode(stream[left : left + step].float())
                column = torch.tensor(each[left : left + step], dtype=torch.float32, device=model.device)[:, None]
                signed += (column * features).sum(0, dtype=torch.float64)
                size += (column.abs() * features).sum(0, dtype=torch.float64)
        if on_tokens:
            on_tokens(sum(counts))
    return Weighted(unit.tokens, signed.cpu().numpy() / unit.tokens, size.cpu().numpy() / unit.tokens)


def read_weighted(
    model: Model,
    sae: Sae,
    unit: Unit,
    numbers: Sequence[float],
    *,
    folder: Path,
    on_tokens: Callable[[int], object] | None = None,
) -> Weighted:
    """What `measure_weighted` gives, from the cache or read now and kept.

    Args:
        model: The model.
        sae: Its SAE.
        unit: Answers.
        numbers: One for each of its queries.
        folder: Where it is kept, sealed; damaged files are set aside and read again.
        on_tokens: Told how many tokens are done, those from the cache too.

    Raises:
        RunError: the folder cannot be read or written.
    """
    key = content_hash(
        "weighted", VERSION, model.fingerprint, model.device.type, torch.get_num_threads(), sae.fingerprint, sae.depth,
        unit.mark, [float(number) for number in numbers],
    )  # fmt: skip
    place = folder / key[:2] / f"{key}.safetensors"
    data = unseal(place)
    found = None if data is None else from_bytes(data, unit.tokens)
    if found is None:
        found = measure_weighted(model, sae, unit, numbers, on_tokens=on_tokens)
        store(place, save({"signed": found.signed, "size": found.size}))
    elif on_tokens:
        on_tokens(unit.tokens)
    return found


def from_bytes(data: bytes, tokens: int) -> Weighted | None:
    """What was kept, or None when the bytes are something else."""
    try:
        return Weighted(tokens, **load(data))
    except (SafetensorError, TypeError):
        return None
