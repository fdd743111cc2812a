"""Keeps a model near the untrained one where it answers domain rows: a loss term that TRL's SFT does not have.

With N the number by which TRL divides a batch's summed losses, u the untrained model's next-token distribution and p
the trained one's, both over the whole vocabulary and behind the same tokens,

    loss = 1/N * (sum over all trained tokens of -log p(token) + weight * sum over those of domain rows of KL(u || p)).

The term reads the final states that TRL's own pass has made, so that it costs one more pass of the untrained model over
the domain rows, without gradients, and the output head at their answers.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import PartialState
from peft import PeftModel
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mixplan.errors import TrainError
from mixplan.model.finite import same_scores
from mixplan.train.job import Job
from mixplan.train.pieces import Batch, predicted

REPLAY = "replay"
"""The key of a batch with which tokens are of domain rows, `[rows, length]` boolean."""

READ = ("input_ids", "attention_mask", "position_ids", "token_type_ids")
"""What of a batch the untrained model is given."""

LOGIT_VALUES = {"cpu": 1 << 24, "cuda": 1 << 28}
"""Logits held at once where there are more of them; these are then computed again for the gradients."""

HEAD_NOISE = 0.02
"""Rounding of the output head, of the largest logit, in the coarsest type; a factor left out shows above it."""


@dataclass
class ReplayKl:
    """The term, and what it has been in a step.

    Attributes:
        weight: Of the term, above 0.
        untrained: A frozen copy of the untrained model; None where the trained one is an adapter, which is switched
            off in its place.
        nats, tokens: The divergence of the step's tokens so far, summed, and how many they are.
        checked: Whether the output head was held against the model's own logits.
    """

    weight: float
    untrained: Any
    nats: float = 0.0
    tokens: int = 0
    checked: bool = field(default=False, repr=False)

    def check(self, model: Any, inputs: Batch) -> None:
        """Hold the output head against the model's own logits, before the first step.

        Raises:
            TrainError: the model makes its logits of more than its final states.
        """
        if not self.checked:
            # Without dropout, which would draw numbers that a job which goes on from a checkpoint draws later.
            with self.as_untrained(model) as untrained:
                check_head(untrained, inputs["input_ids"][:1, :8].to(model.device))
            self.checked = True

    def term(self, model: Any, inputs: Batch, replay: Tensor, states: Tensor, items: Any) -> Tensor:
        """The term of a batch, or of a piece of one.

        Args:
            model: The trained model.
            inputs: What it has read.
            replay: `[rows, length]` boolean, which tokens are of domain rows.
            states: Final states of all tokens, `[rows, length, d_model]`; of a piece, of those alone whose next token
                is trained, `[1, tokens, d_model]`.
            items: What TRL divides summed losses by; the batch's own trained tokens where None.
        """
        wanted = predicted(inputs["labels"])
        at = wanted & replay
        if not bool(at.any()):
            return states.new_zeros(())
        near = states[0][at[wanted]] if "shift_labels" in inputs else states[at]
        rows = at.any(dim=1)
        given = {name: inputs[name][rows] for name in READ if name in inputs}
        with torch.no_grad(), self.as_untrained(model) as untrained:
            # By its own function, past the hooks that take states of a piece of the trained model's pass.
            far = backbone_of(untrained).forward(**given, use_cache=False).last_hidden_state[at[rows]]
        summed = self.divergence(model, far, near)
        self.nats, self.tokens = self.nats + float(summed.detach()), self.tokens + len(near)
        total = wanted.sum() if items is None else torch.as_tensor(items, device=summed.device)
        return self.weight * summed / total.clamp(min=1)

    def divergence(self, model: Any, far: Tensor, near: Tensor) -> Tensor:
        """KL of the trained model's next tokens from the untrained one's, summed over `[tokens, d_model]` states."""

        def summed(far: Tensor, near: Tensor) -> Tensor:
            with torch.no_grad(), self.as_untrained(model) as untrained:
                logs = logits_of(untrained, far).log_softmax(dim=-1)
            gap = logs - logits_of(whole_of(model), near).log_softmax(dim=-1)
            # A token that may never come has no part in the mean: 0 times an infinite gap is no number.
            return (logs.exp() * gap.masked_fill(logs.isneginf(), 0.0)).sum()

        step = max(
            1, LOGIT_VALUES.get(near.device.type, 1 << 24) // whole_of(model).config.get_text_config().vocab_size
        )
        if len(near) <= step:
            return summed(far, near)
        parts: list[Any] = [
            checkpoint(summed, *pair, use_reentrant=False)
            for pair in zip(far.split(step), near.split(step), strict=True)
        ]
        return torch.stack(parts).sum()

    @contextmanager
    def as_untrained(self, model: Any) -> Iterator[Any]:
        """The untrained model, without dropout: the copy, or the model with its adapter switched off meanwhile."""
        if self.untrained is not None:
            if self.untrained.device != model.device:
                self.untrained.to(model.device)
            yield self.untrained
            return
        training = [module for module in model.modules() if module.training]
        for module in training:
            module.training = False
        try:
            with model.disable_adapter():
                yield model.get_base_model()
        finally:
            for module in training:
                module.training = True

    def taken(self) -> float | None:
        """The step's mean divergence in nats per token, None without a domain row; counting begins anew."""
        mean = self.nats / self.tokens if self.tokens else None
        self.nats, self.tokens = 0.0, 0
        return mean


def replay_kl_of(job: Job, lm: Any) -> ReplayKl | None:
    """The term that a job asks for; None without one, and of weight 0, which trains as without.

    Args:
        job: The job.
        lm: The untrained model, of which full fine-tuning keeps a frozen copy.

    Raises:
        TrainError: several processes train.
    """
    asked = job.train.get("replay_kl")
    if asked is None or asked["weight"] == 0:
        return None
    if (processes := PartialState().num_processes) > 1:
        raise TrainError(
            f"train.replay_kl: {processes} processes train, and it trains in one alone. Give --processes 1, or plan "
            "with `--set train.replay_kl=null`."
        )
    untrained = None
    if job.train["lora"] is None:
        untrained = copy.deepcopy(lm).requires_grad_(False).eval()
    return ReplayKl(asked["weight"], untrained)


def is_replay(domain: str) -> bool:
    """Whether a mixture's row is a domain's, and not of the target or one of its sources."""
    return domain != "target" and not domain.startswith("target.")


def whole_of(model: Any) -> Any:
    """The causal model itself, whose layers an adapter has changed in their places."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def backbone_of(model: Any) -> Any:
    """What gives the final states that the output head reads."""
    return whole_of(model).base_model


@contextmanager
def final_states(model: Any) -> Iterator[list[Tensor]]:
    """While open, collects the final states of each pass, as they are handed to the output head."""
    seen: list[Tensor] = []
    handle = backbone_of(model).register_forward_hook(
        lambda _module, _args, output: seen.append(output.last_hidden_state)
    )
    try:
        yield seen
    finally:
        handle.remove()


def logits_of(lm: Any, states: Tensor) -> Tensor:
    """Logits of final states, `[..., vocabulary]` float32: output head, factor, soft capping."""
    config = lm.config.get_text_config()
    logits: Tensor = lm.get_output_embeddings()(states).float() * factor_of(config)
    cap = getattr(config, "final_logit_softcapping", None)
    return logits if cap is None else torch.tanh(logits / cap) * cap


def factor_of(config: Any) -> float:
    """What a family multiplies its logits by, under the names that TRL's own loss knows (1.16)."""
    for name in ("logit_scale", "output_multiplier", "lm_head_multiplier"):
        if (value := getattr(config, name, None)) is not None:
            return float(value)
    value = getattr(config, "logits_scaling", None)
    if value is None:
        return 1.0
    return float(value) if config.model_type == "hyperclovax" else 1.0 / float(value)


def check_head(lm: Any, tokens: Tensor) -> None:
    """Hold the logits of final states against the model's own, on a few tokens.

    Raises:
        TrainError: they are others.
    """
    with torch.no_grad(), final_states(lm) as seen:
        own = lm(input_ids=tokens).logits.float()
        ours = logits_of(lm, seen[-1])
    if not same_scores(ours, own, HEAD_NOISE):
        raise TrainError(
            f"train.replay_kl: {type(lm).__name__} makes its logits of more than its final states, so that its "
            "divergence from the untrained model cannot be computed. Plan with `--set train.replay_kl=null`."
        )
