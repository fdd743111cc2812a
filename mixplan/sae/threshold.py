"""Sets the threshold of a trained BatchTopK SAE from data, so that the saved SAE keeps the L0 of its training."""

from __future__ import annotations

import torch
from sae_lens import BatchTopKTrainingSAE
from torch import Tensor

from mixplan.errors import RunError

TOKENS = 16_384
"""Tokens on which a threshold is set: the share of k x 16,384 activations is exact to far below float16's rounding."""

SLICE_TOKENS = 1024


def set_threshold(sae: BatchTopKTrainingSAE, acts: Tensor) -> None:
    """Set the threshold so that on average k features a token are above it, in place.

    SAELens keeps a running mean of each batch's smallest kept activation, at a rate of 0.01 a step and from 0 on: after
    n steps it still holds 0.99^n of that 0 (37 % after 100), and it lags behind activations that grow.

    Args:
        sae: Trained, its activation scale folded in.
        acts: `[tokens, d_in]` of the stream, any floating type; like those that it was trained on.

    Raises:
        RunError: there are no tokens, or activations are not numbers.
    """
    wanted = round(float(sae.cfg.k) * len(acts))
    leading = torch.empty(0, dtype=torch.float32, device=sae.W_enc.device)
    with torch.inference_mode():
        for piece in acts.split(SLICE_TOKENS):
            _, before = sae.encode_with_hidden_pre(piece.float().to(sae.W_enc.device))
            both = torch.cat([leading, before.relu().flatten()])
            leading = both.topk(min(wanted + 1, len(both)), sorted=True).values
    if not len(leading) or not bool(leading.isfinite().all()):
        raise RunError("the SAE's activations are not numbers: its training diverged. Lower `trainer.learning_rate`.")
    # Between the last that stays and the first that does not, so that rounding on saving moves neither.
    low = leading[-2:].double().mean() if len(leading) > wanted else None
    sae.topk_threshold = torch.zeros_like(sae.topk_threshold) if low is None else low.clone()
