"""Holds the live model's next-token distributions against the untrained one's, and reads its drift features.

Both are of the tokens that predict the untrained model's own answer, from one pass.

With P the untrained and Q the live model's next-token distribution, KL(P || Q) is summed over P's likeliest tokens and,
as one, all the rest:

    kl = sum over top of p (log p - log q) + r (log r - log s),  r = 1 - sum p,  s = 1 - sum q.

That is exact where the top is the whole vocabulary, and else at most the whole divergence (data processing inequality).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mixplan.evaluate.scoring import head, slices
from mixplan.model import Model
from mixplan.model.finite import refuse_scores

if TYPE_CHECKING:
    from mixplan.sae import Sae

TOP = 1024
"""Likeliest tokens of the untrained model that are kept at each place: 8 KB a token."""
LEAST = 1e-9
"""Probability below which all the rest of the vocabulary counts as so much."""


@dataclass(frozen=True)
class Features:
    """The plan's drift dimensions, as an SAE reads them.

    Attributes:
        sae: The SAE, of these features alone where its kind allows.
        columns: `[features]` int64, which of its features.
    """

    sae: Sae
    columns: Tensor

    @classmethod
    def of(cls, sae: Sae, features: Sequence[int]) -> Features:
        """Of an SAE's features."""
        from mixplan.sae import columns_of  # loads SAELens, which takes seconds

        device = next(sae.sae.parameters()).device
        columns = torch.tensor(list(features), dtype=torch.int64, device=device)
        part = columns_of(sae, columns)
        return cls(part, torch.arange(len(columns), device=device)) if part is not None else cls(sae, columns)

    def read(self, stream: Tensor) -> Tensor:
        """Activations, `[tokens, features]` float32, of the stream `[tokens, d_model]`."""
        with torch.autocast(stream.device.type, enabled=False):
            return self.sae.encode(stream.to(self.columns.device))[:, self.columns]


def logs_of(model: Model, states: Tensor) -> Tensor:
    """Log-probabilities of all next tokens, `[rows, vocabulary]` float32."""
    logs = head(model, states.to(model.device)).float().log_softmax(dim=1)
    # Held behind the softmax, of which a score that has overflowed makes no number either.
    refuse_scores(logs, model.name, model.dtype)
    return logs


@dataclass(frozen=True)
class Distribution:
    """Next-token distributions at some places.

    Attributes:
        ids: `[places, top]` int32, the likeliest tokens.
        logs: `[places, top]` float32, their log-probabilities.
    """

    ids: Tensor
    logs: Tensor


def distribution(model: Model, states: Tensor, *, top: int = TOP) -> Distribution:
    """The distributions that final states predict, on the CPU."""
    parts = [logs_of(model, states[rows]) for rows in slices(model, len(states))]
    found = [part.topk(min(top, part.shape[1]), dim=1) for part in parts]
    return Distribution(
        torch.cat([one.indices.int().cpu() for one in found]), torch.cat([one.values.cpu() for one in found])
    )


def divergence(model: Model, before: Distribution, states: Tensor) -> float:
    """Mean over places of KL(before || the live model's), in nats; see above.

    Args:
        model: The live model.
        before: The untrained model's distributions.
        states: `[places, d_model]`, the live model's final states at the same places.
    """
    total = 0.0
    for rows in slices(model, len(states)):
        now = logs_of(model, states[rows])
        ids, logs = before.ids[rows].to(now.device).long(), before.logs[rows].to(now.device).double()
        total += float(coarse(logs, now.gather(1, ids).double(), whole=ids.shape[1] >= now.shape[1]).sum())
    return max(0.0, total / max(1, len(states)))


def coarse(logs: Tensor, others: Tensor, *, whole: bool) -> Tensor:
    """KL of each row's second distribution from its first, over the tokens given and the rest as one.

    Args:
        logs: `[rows, top]` float64 log-probabilities of the first.
        others: The same tokens' of the second.
        whole: Whether there is no rest.
    """
    found = (logs.exp() * (logs - others)).sum(dim=1)
    if whole:
        return found
    rest, other = ((1 - values.exp().sum(dim=1)).clamp(min=LEAST) for values in (logs, others))
    return found + rest * (rest.log() - other.log())


def quantity(measure: str, gold: int | None, answer: str, logs: Sequence[float]) -> float:
    """A row's value from its continuations' log-probabilities.

    Args:
        measure: `choice` gives the right option's share, `likelihood` bits per byte of the answer.
        gold: The right option's place.
        answer: The reference answer.
        logs: One a continuation.
    """
    if measure == "choice":
        values: npt.NDArray[np.float64] = np.array(logs)
        return float(np.exp(values[gold if gold is not None else -1] - np.logaddexp.reduce(values)))
    return -logs[0] / float(np.log(2)) / len(answer.encode())
