"""Measures how well an SAE fits some tokens: the way to catch a wrong hook point or model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mixplan.errors import SaeError
from mixplan.model import Model
from mixplan.sae import Sae

FITS_BELOW_FVU = 0.5
"""Above it the SAE misses half of the variance: at the wrong layer or model this is near or over 1."""

NOTHING_FROM_FVU = 0.9
"""From here on the SAE explains less than a tenth of the variance: nothing, as far as its features can be trusted."""


@dataclass(frozen=True)
class Fit:
    """Sums over the tokens of one stream.

    Attributes:
        tokens: How many.
        active: Active features, of all tokens together.
        squares: Sum of x².
        error: Sum of the squared difference to the SAE's reconstruction.
        total: `[d_in]` float64, sum of x.
        fired: `[d_sae]` bool, whether a feature fired.
    """

    tokens: int
    active: float
    squares: float
    error: float
    total: npt.NDArray[np.float64]
    fired: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Health:
    """How well an SAE fits some tokens.

    Attributes:
        fvu: Fraction of variance unexplained, pooled over tokens; 0 is perfect, 1 no better than the mean.
        l0: Mean number of active features per token.
        dead_share: Share of features that fire on none of these tokens.
        tokens: How many tokens were read.
    """

    fvu: float
    l0: float
    dead_share: float
    tokens: int

    @property
    def fits(self) -> bool:
        """Whether features of these tokens can be trusted."""
        return self.fvu < FITS_BELOW_FVU and self.l0 > 0

    @property
    def explains_nothing(self) -> bool:
        """Whether the SAE is as good as none on these tokens; also where its figures are not numbers."""
        return not (self.fvu < NOTHING_FROM_FVU and self.l0 > 0)

    @property
    def warning(self) -> str | None:
        """What to tell the person, or None when all is well."""
        if self.fits:
            return None
        return (
            f"the SAE does not fit this model's tokens: it leaves {self.fvu:.0%} of their variance unexplained "
            f"(expected under {FITS_BELOW_FVU:.0%}) with {self.l0:.1f} active features per token. "
            "Scores from it mean little; check `model.sae` and its hook point."
        )


def refuse_doubtful(sae: Sae, health: Health, model: Model) -> None:
    """Refuse an SAE that no file says to belong to the model, where it explains nothing of the recipe's own tokens.

    Raises:
        SaeError: it does not.
    """
    if sae.doubt is not None and health.explains_nothing:
        raise SaeError(
            f"{sae.doubt} It does not: on {health.tokens:,} of them it leaves {health.fvu:.0%} of the variance "
            f"unexplained with {health.l0:.1f} active features per token. Choose an SAE made for this model: "
            f"`mixplan sae ls --model {model.name}` lists them."
        )


def check_health(sae: Sae, streams: Iterable[Tensor], *, slice_tokens: int = 2048) -> Health:
    """Measure an SAE on residual streams.

    Args:
        sae: The SAE.
        streams: `[tokens, d_in]` each, sequence-start tokens left out.
        slice_tokens: Tokens encoded at once.

    Returns:
        Figures over all tokens; sums in float64.
    """
    return health_of([fit_of(sae, stream, slice_tokens=slice_tokens) for stream in streams], d_sae=sae.d_sae)


def fit_of(sae: Sae, stream: Tensor, *, slice_tokens: int = 2048) -> Fit:
    """What a stream adds to an SAE's health: `[tokens, d_in]`, its tokens encoded so many at once."""
    active = squares = error = 0.0
    total = torch.zeros(sae.d_in, dtype=torch.float64)
    fired = torch.zeros(sae.d_sae, dtype=torch.bool)
    for piece in sae.read(stream).split(slice_tokens):
        features = sae.encode(piece)
        error += float((piece - sae.decode(features)).double().square().sum())
        total += piece.double().sum(0).cpu()
        squares += float(piece.double().square().sum())
        active += float((features > 0).sum())
        fired |= (features > 0).any(0).cpu()
    return Fit(len(stream), active, squares, error, total.numpy(), fired.numpy())


def health_of(fits: Sequence[Fit], *, d_sae: int) -> Health:
    """Add up what streams show of an SAE with so many features."""
    tokens = sum(fit.tokens for fit in fits)
    total = torch.from_numpy(np.sum([fit.total for fit in fits], axis=0) if fits else np.zeros(1))
    variance = sum(fit.squares for fit in fits) - float(total.square().sum()) / max(1, tokens)
    error, active = sum(fit.error for fit in fits), sum(fit.active for fit in fits)
    fired = np.any([fit.fired for fit in fits], axis=0) if fits else np.zeros(d_sae, dtype=np.bool_)
    return Health(
        fvu=error / variance if variance > 0 else float("inf"),
        l0=active / max(1, tokens),
        dead_share=1.0 - float(fired.mean()),
        tokens=tokens,
    )
