"""Checks once per model that reading texts together gives what plain passes give, and takes a slower way where not.

There are four ways to read texts that begin alike:

- parted: the beginning once, the rest of all texts in one row, whose tokens attend to the beginning and to their own
  text apart (see `prefix_attention`, and `slots` for answers), without a mask over the row;
- packed: the beginning once, the rest of all texts in one row, each hidden from the others by a mask;
- unpacked: the beginning once, the rest of each text by itself behind a copy of the model's own cache;
- whole: each text by itself from its first token, without a cache, which is the plain pass itself.

Packing is wrong where a layer keeps a state that no mask can part (recurrent and convolutional layers), counts tokens
for itself (alibi, some local attention) or is masked in a way of its own. Families are too many to list, so every
model is checked on its own weights: a text longer than its attention windows is read in each way, fastest first, and
held against plain passes over one text at a time. A window too long for a check that must stay cheap is shrunk for its
duration, in the plain passes too: how far a layer sees is no parameter of the model, so the masks' logic shows on a
short window as on a long one.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from mixplan.errors import ModelError
from mixplan.model.attention import reaches, shrunk, stretches_at
from mixplan.model.families import text_config
from mixplan.model.load import Model
from mixplan.model.stream import at_depth
from mixplan.runs import cache_folder, canonical_json, content_hash, store, unseal

VERSION = 2
"""Of what is checked and kept; part of the key."""

Way = Literal["parted", "packed", "unpacked", "whole"]
WAYS: tuple[Way, ...] = ("packed", "unpacked", "whole")
TOGETHER: tuple[Way, ...] = ("parted", "packed")
"""The ways that read several texts as one row."""
Ids = tuple[int, ...]
Plain = Callable[[Tensor, int], Tensor]
"""A plain pass over `[batch, length]` token ids: `[tokens, width]` of some tokens of the first row's first so many."""

SHORT_PREFIX, LONGEST_PREFIX = 24, 640
"""Tokens that the checked texts share: few, or more than the longest window that can be crossed within the check."""

TAILS = (9, 3, 6)
"""Tokens behind them."""

FOLLOWING = 4
"""Tokens behind a text that must change nothing of it."""

FITS_BELOW = {"float32": 1e-5, "bfloat16": 0.03, "float16": 0.004}
"""Differences that rounding alone makes, of the size of a token's vector; a wrong mask or state is off by over 0.1."""

NEVER_ABOVE = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.02}
"""What no noise of the model's own excuses."""

TIMES_NOISE = 8.0

CRASHES = (RuntimeError, IndexError, ValueError, TypeError, AttributeError, KeyError, AssertionError, StopIteration)
"""What a model raises that is read in a way it does not support."""


@dataclass(frozen=True)
class Checked:
    """How a model is read, and how that was found.

    Attributes:
        way: The fastest way that gives what plain passes give.
        error: Its largest difference from plain passes, of the size of a token's vector (in short types the upper
            quartile over tokens: a mixture of experts routes single tokens elsewhere by rounding).
        tolerance: What was allowed.
        failed: Each faster way with what it gave instead.
    """

    way: Way
    error: float
    tolerance: float
    failed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """Texts to read in a check.

    Attributes:
        texts: Token ids; they share the first `prefix` ones.
        prefix: How many.
        window: What windows are shrunk to meanwhile; None leaves them.
    """

    texts: tuple[Ids, ...]
    prefix: int
    window: int | None = None


def settled(
    model: Model,
    name: str,
    *,
    read: Callable[[Way, Sample], Tensor],
    plain: Plain,
    ways: Sequence[Way] = WAYS,
) -> Checked:
    """Find the fastest way that gives what plain passes give, or take it from where it is kept.

    Args:
        model: The model.
        name: What is read; part of what it is kept under, and of the message.
        read: Reads a sample in a way; `[tokens, width]`.
        plain: Reads the same tokens of one text in a plain pass.
        ways: Those there are, fastest first.

    Raises:
        ModelError: no way gives what plain passes give, or a plain pass is not possible.
        RunError: the cache cannot be read or written.
    """
    place = cache_folder() / "checked" / f"{key_of(model, name, ways)}.json"
    data = unseal(place)
    if data is not None:
        value = json.loads(data)
        return Checked(**{**value, "failed": tuple(value["failed"])})
    found = checked_now(model, name, read, plain, ways)
    store(place, canonical_json(asdict(found)).encode())
    return found


def slower(model: Model, checked: Checked, what: str) -> str | None:
    """What a person should know of a model that is not packed, in one sentence; None where it is.

    Args:
        model: The model.
        checked: How it is read.
        what: What is done to it: read, scored, answered.
    """
    how = {
        "unpacked": "one text at a time behind a copy of its own cache",
        "whole": "one text at a time, each from its first token on",
    }.get(checked.way)
    if how is None:
        return None
    return (
        f"{model.name} is {what} {how}: packed together, texts of {type(model.lm).__name__} do not give what plain "
        "passes give, as a check on its own weights found. The figures are right; it takes longer."
    )


def key_of(model: Model, name: str, ways: Sequence[Way]) -> str:
    """Everything that the outcome of a check depends on, as one hash."""
    versions = [importlib.metadata.version(package) for package in ("torch", "transformers")]
    attention = str(getattr(text_config(model.lm), "_attn_implementation", None))
    return content_hash(
        VERSION, name, list(ways), model.fingerprint, type(model.lm).__name__, model.device.type, attention, versions,
        model.window,
    )  # fmt: skip


def checked_now(
    model: Model,
    name: str,
    read: Callable[[Way, Sample], Tensor],
    plain: Plain,
    ways: Sequence[Way],
) -> Checked:
    """Read the samples in each way until one gives what plain passes give."""
    given = list(samples(model))
    expected = [plain_passes(model, sample, plain) for sample in given]
    check_causal(model, given[0], expected[0], plain)
    failed: list[str] = []
    for way in ways:
        try:
            ours = [read_sample(model, sample, way, read) for sample in given]
        except torch.OutOfMemoryError:
            raise
        except CRASHES as error:
            failed.append(f"{way}: {type(error).__name__}: {' '.join(str(error).split())[:120]}")
            continue
        error_of = max(difference(model, left, right) for left, right in zip(ours, expected, strict=True))
        allowed = FITS_BELOW[model.dtype]
        if not error_of <= allowed:
            allowed = tolerance(model, given, expected, plain)
        if error_of <= allowed:
            return Checked(way, error_of, allowed, tuple(failed))
        failed.append(f"{way}: off by {error_of:.2g}")
    remedy = "" if model.dtype == "float32" else f"{model.dtype} may be too narrow for it: try `model.dtype: float32`. "
    raise ModelError(
        f"model '{model.name}' ({type(model.lm).__name__}) cannot be trusted: its {name}, read in "
        f"{len(ways)} ways, never was what a plain pass gives ({'; '.join(failed)}). {remedy}Its weights may be "
        "damaged: fetch it again, or choose another model."
    )


def plain_passes(model: Model, sample: Sample, plain: Plain, *, shaken: bool = False, more: int = 0) -> Tensor:
    """What plain passes give on a sample's texts, one text after the other.

    Args:
        model: The model.
        sample: The texts.
        plain: Reads one.
        shaken: Whether each embedded number is changed by about its rounding.
        more: Tokens behind the text, which must not matter.

    Raises:
        ModelError: the model cannot be run.
    """
    change = rounding(model) if shaken else contextlib.nullcontext()
    try:
        with torch.inference_mode(), shrunk(model, sample.window), change:
            rows = [(torch.tensor([(*text, *text[-more:][:more])]), len(text)) for text in sample.texts]
            return torch.cat([plain(tokens.to(model.device), length) for tokens, length in rows])
    except torch.OutOfMemoryError:
        raise
    except CRASHES as error:
        raise ModelError(
            f"model '{model.name}': {type(model.lm).__name__} cannot read a plain text of {len(sample.texts[0])} "
            f"tokens ({type(error).__name__}: {' '.join(str(error).split())[:200]}). Choose a decoder-only model that "
            "is run on token ids alone."
        ) from error


def rounding(model: Model) -> AbstractContextManager[None]:
    """While open, the stream that enters the first block is changed by about its type's rounding, drawn at random."""
    generator = torch.Generator().manual_seed(0)

    def shake(stream: Tensor) -> Tensor:
        drawn = torch.randn(stream.shape, generator=generator).to(stream.device)
        return (stream.float() * (1 + torch.finfo(stream.dtype).eps / 2 * drawn)).to(stream.dtype)

    return at_depth(model, 0, shake)


def check_causal(model: Model, sample: Sample, expected: Tensor, plain: Plain) -> None:
    """Hold that what follows a token changes nothing of it.

    Raises:
        ModelError: it does.
    """
    first = replace(sample, texts=sample.texts[:1])
    longer = plain_passes(model, first, plain, more=FOLLOWING)
    apart = difference(model, longer, expected[: len(longer)])
    if apart > NEVER_ABOVE[model.dtype]:
        raise ModelError(
            f"model '{model.name}': a token of {type(model.lm).__name__} sees the tokens that follow it (what follows "
            f"changes it by {apart:.2g} of its size), so it is no causal language model. Set `is_decoder: true` in its "
            "config.json where it is meant to be one, or choose another model."
        )


def read_sample(model: Model, sample: Sample, way: Way, read: Callable[[Way, Sample], Tensor]) -> Tensor:
    """A sample read in a way."""
    with torch.inference_mode(), shrunk(model, sample.window):
        return read(way, sample)


def difference(model: Model, ours: Tensor, expected: Tensor) -> float:
    """How far vectors are from those expected, of their size: the largest, in short types the upper quartile.

    Not a number where either holds one, which no tolerance lets pass.
    """
    if ours.shape != expected.shape:
        return float("nan")
    ours, expected = ours.double().cpu(), expected.double().cpu()
    each = (ours - expected).norm(dim=1) / expected.norm(dim=1).clamp(min=1e-30)
    if not bool(each.isfinite().all()):
        return float("nan")
    return float(each.max() if model.dtype == "float32" else each.quantile(0.75))


def tolerance(model: Model, given: Sequence[Sample], expected: Sequence[Tensor], plain: Plain) -> float:
    """What rounding may make of this model: how far a change by the embeddings' rounding carries in plain passes.

    Every layer rounds anew, and some models (sharp attention, experts chosen by a hair) carry rounding far.
    """
    noise = max(
        difference(model, plain_passes(model, sample, plain, shaken=True), right)
        for sample, right in zip(given, expected, strict=True)
    )
    if not np.isfinite(noise):
        return FITS_BELOW[model.dtype]
    return min(max(FITS_BELOW[model.dtype], TIMES_NOISE * noise), NEVER_ABOVE[model.dtype])


def samples(model: Model) -> Iterator[Sample]:
    """What a check reads: texts longer than the windows, and, where one is too long for that, a shrunk window crossed.

    Texts are drawn from the vocabulary's ordinary tokens behind the token that begins a text.
    """
    # A text that its length turns otherwise is read whole in any case.
    room = min(model.window, stretches_at(model) or model.window) - max(TAILS) - FOLLOWING
    bounds = reaches(model).values()
    crossed = max((bound for bound in bounds if bound + 8 <= min(LONGEST_PREFIX, room)), default=0)
    yield sample_of(model, min(max(SHORT_PREFIX, crossed + 8), max(1, room)), None)
    if any(bound + 8 > min(LONGEST_PREFIX, room) for bound in bounds):
        yield sample_of(model, min(SHORT_PREFIX, max(1, room)), SHORT_PREFIX // 2)


def sample_of(model: Model, prefix: int, window: int | None) -> Sample:
    """Random texts that share a beginning."""
    ordinary = ordinary_tokens(model)
    rng = np.random.default_rng([prefix, len(ordinary)])

    def drawn(count: int) -> Ids:
        return tuple(ordinary[int(index)] for index in rng.integers(0, len(ordinary), count))

    start = model.tokenizer.bos_token_id
    shared = drawn(prefix) if start is None else (int(start), *drawn(prefix - 1))
    return Sample(tuple((*shared, *drawn(count)) for count in TAILS), prefix, window)


def ordinary_tokens(model: Model) -> list[int]:
    """Token ids that stand for text alone."""
    special = set(model.tokenizer.all_special_ids)
    config = text_config(model.lm)
    special |= {value for name, value in vars(config).items() if name.endswith("_token_id") and isinstance(value, int)}
    count = min(int(config.vocab_size), len(model.tokenizer))
    return [token for token in range(count) if token not in special]
