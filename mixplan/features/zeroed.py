"""Takes some of an SAE's features out of every token's residual stream, for as long as a context is open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mixplan.model import Model, at_depth, check_depth, decoder_of
from mixplan.sae import Sae, columns_of


@contextmanager
def zeroed(model: Model, sae: Sae, features: Sequence[int]) -> Iterator[None]:
    """While open, take features out of the residual stream in every forward pass.

    At the hook point a token's stream x is replaced by

        x − Σ_j h_j(x) W_dec,j      over the features j

    with h the SAE's activations of that very x, and W_dec,j in the stream's own units where the SAE scales its input.
    What the SAE does not explain stays. So does a sequence's first token: it is an attention sink, up to hundreds of
    times as large as other tokens, which the SAE was not trained on and which counts in no reading either. Most
    features fire on it, so with it any features at all would be missed, and it is the sink's loss that showed.

    Args:
        model: The model, untrained or trained; other uses of the same `model.lm` meanwhile are changed as well.
        sae: Its SAE.
        features: Feature indices, none for no change.

    Raises:
        ModelError: the model has fewer blocks than the hook point says.
    """
    check_depth(model, sae.depth)
    if not len(features):
        yield
        return
    erasure = _Erasure(model, sae, features)
    handle = decoder_of(model).register_forward_pre_hook(erasure.begin, with_kwargs=True)
    try:
        with at_depth(model, sae.depth, erasure.without):
            yield
    finally:
        handle.remove()


class _Erasure:
    """Which tokens a forward pass is about, and the stream without the features."""

    def __init__(self, model: Model, sae: Sae, features: Sequence[int]) -> None:
        chosen = torch.as_tensor(features, dtype=torch.int64, device=model.device)
        part = columns_of(sae, chosen)
        # Top-k kinds are read whole: which features are active depends on all of them.
        self.sae = part or sae
        self.columns = chosen if part is None else torch.arange(len(chosen), device=model.device)
        self.first = torch.zeros(1, 1, dtype=torch.bool)

    def begin(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Note which tokens of a forward pass begin their sequence."""
        positions = kwargs.get("position_ids")
        if positions is None:
            cache = kwargs.get("past_key_values")
            ids = args[0] if args else kwargs["input_ids"]
            start = 0 if cache is None else tokens_in(cache)
            positions = torch.arange(start, start + ids.shape[1])[None]
        self.first = positions == 0

    def without(self, stream: Tensor) -> Tensor:
        """The stream without the features' part, `[batch, length, d_in]` in its own type."""
        read = ~self.first.to(stream.device).expand(stream.shape[:2])
        left = stream.clone()
        left[read] = (stream[read].float() - decoded_part(self.sae, self.columns, stream[read])).to(stream.dtype)
        return left


def tokens_in(cache: Any) -> int:
    """Tokens before those of a pass; a cache of recurrent states alone does not count them, and then it is 0 or 1."""
    try:
        return int(cache.get_seq_length())
    except ValueError:
        return int(cache.has_previous_state())


def decoded_part(sae: Sae, columns: Tensor, stream: Tensor) -> Tensor:
    """What some features add to the SAE's reconstruction: decoding is affine, so it is with them less without any.

    Args:
        sae: The SAE.
        columns: `[n]` int64 feature indices.
        stream: `[tokens, d_in]`, any floating type.

    Returns:
        `[tokens, d_in]` float32, in the stream's units.
    """
    features = sae.encode(stream)
    chosen = torch.zeros_like(features)
    chosen[:, columns] = features[:, columns]
    with_them = sae.decode(chosen)
    sae.encode(stream)  # SAELens keeps how it scaled a token's stream for one decoding only
    return with_them - sae.decode(torch.zeros_like(features))
