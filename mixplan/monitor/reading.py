"""Reads texts through the live model in plain padded batches: next-token distributions, scores, and drift features.

A batch is padded on its right, where no token before it sees it, so that every family of causal models is read as its
own forward pass reads one text.

With P the untrained and Q the live model's next-token distribution, KL(P || Q) is summed over P's likeliest tokens and,
as one, all the rest:

    kl = sum over top of p (log p - log q) + r (log r - log s),  r = 1 - sum p,  s = 1 - sum q.

That is exact where the top is the whole vocabulary, and else at most the whole divergence (data processing inequality).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mixplan.evaluate.scoring import head, slices
from mixplan.model import Model, at_depth, decoder_of, taken
from mixplan.model.finite import refuse_activations, refuse_scores
from mixplan.monitor.rows import Text

if TYPE_CHECKING:
    from mixplan.sae import Sae

TOP = 1024
"""Likeliest tokens of the untrained model that are kept at each place: 8 KB a token."""
BATCH_TOKENS = {"cpu": 1024, "cuda": 16384}
"""Tokens in one batch, padding included."""
DRIFT_TOKENS = 128
"""Last tokens of a text whose features are read; its first token, whose stream is of another size, never."""
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


Take = Callable[[int, Tensor, Tensor | None], None]
"""Takes a text's number, the states `[targets, d_model]` that predict its continuation, and its stream."""


def read_texts(model: Model, texts: Sequence[Text], take: Take, *, depth: int | None = None) -> None:
    """Read texts batch by batch.

    Args:
        model: The live model, in evaluation mode.
        texts: What to read.
        take: Is given each text's states, and its stream `[tokens, d_model]` after `depth` blocks.
        depth: None where no stream is wanted.

    Raises:
        ModelError: a state is not a number.
    """
    decoder = decoder_of(model)
    for batch in batches([len(text.ids) for text in texts], BATCH_TOKENS.get(model.device.type, 1024)):
        longest = max(len(texts[number].ids) for number in batch)
        rows = [[*texts[number].ids, *[0] * (longest - len(texts[number].ids))] for number in batch]
        tokens = torch.tensor(rows, device=model.device)
        with recorded(model, depth) as streams:
            output = decoder(input_ids=tokens, **taken(decoder, use_cache=False)).last_hidden_state
        for place, number in enumerate(batch):
            text = texts[number]
            states = output[place, text.start - 1 : len(text.ids) - 1]
            refuse_activations(states, model.name, model.dtype, "last layer's output")
            first = max(1, len(text.ids) - DRIFT_TOKENS)
            take(number, states, streams[0][place, first : len(text.ids)] if streams else None)


@contextlib.contextmanager
def recorded(model: Model, depth: int | None) -> Iterator[list[Tensor]]:
    """While open, a forward pass leaves its stream after so many blocks in the list."""
    found: list[Tensor] = []

    def keep(stream: Tensor) -> Tensor:
        found.append(stream)
        return stream

    with at_depth(model, depth, keep) if depth is not None else contextlib.nullcontext():
        yield found


def batches(lengths: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Numbers of texts that are read together, the longest first, so that little is padded; at least one a batch."""
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda number: (-lengths[number], number)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > limit:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def log_probability(model: Model, text: Text, states: Tensor) -> float:
    """Log-probability of a text's continuation, natural logarithm."""
    targets = torch.tensor(text.targets, device=model.device)
    found = 0.0
    for rows in slices(model, len(targets)):
        logs = logs_of(model, states[rows])
        found += float(logs.gather(1, targets[rows][:, None]).double().sum())
    return found


def logs_of(model: Model, states: Tensor) -> Tensor:
    """Log-probabilities of all next tokens, `[rows, vocabulary]` float32."""
    logits = head(model, states)
    refuse_scores(logits, model.name, model.dtype)
    return logits.float().log_softmax(dim=1)


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
