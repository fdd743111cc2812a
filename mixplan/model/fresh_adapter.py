"""Puts a fresh adapter on a model, differentiates answers' log-probability by it, and takes a step with it.

The adapter goes on a second tree of modules that shares all weights with the model, so that memory holds these once,
and the model itself answers as before. The gradient is that of

    sum over answers i of A_i log p(answer i),

p being the model's probability of the answer's tokens behind its prompt, at the temperature of the sampling. Blocks
are computed again on the way back (activation checkpointing), so that a batch keeps one stream a block.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from peft import get_peft_model
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from mixplan.errors import ModelError, TrainError
from mixplan.model.adapted import adapter_config
from mixplan.model.answer_logits import answer_logits, answer_way
from mixplan.model.attention import stretches_at
from mixplan.model.beginnings import Ids
from mixplan.model.device import is_dispatched
from mixplan.model.families import decoder_blocks
from mixplan.model.load import Model
from mixplan.model.selfcheck import Way
from mixplan.runs import content_hash

BATCH_TOKENS = 2048
"""Tokens that are differentiated together, padding included; a single answer may be longer."""


@dataclass(frozen=True)
class WeighedAnswers:
    """A prompt with answers to it and their weights.

    Attributes:
        prompt: Token ids.
        answers: Token ids of each answer, the one that ends it included.
        weights: A of each.
    """

    prompt: Ids
    answers: tuple[Ids, ...]
    weights: tuple[float, ...]

    def distinct(self) -> dict[Ids, float]:
        """Each answer that has tokens once, with the sum of its weights; those of weight 0 are left out."""
        sums: dict[Ids, float] = {}
        for answer, weight in zip(self.answers, self.weights, strict=True):
            sums[answer] = sums.get(answer, 0.0) + weight
        return {answer: weight for answer, weight in sorted(sums.items()) if answer and weight}


class FreshAdapter:
    """A model under an adapter that changes nothing yet.

    Attributes:
        parameters: What is trained, by name, in the order of names.
    """

    def __init__(self, model: Model, lora: Mapping[str, Any], *, seed: int) -> None:
        """Put the adapter on.

        Args:
            model: Whole, in float32; it stays as it is.
            lora: The recipe's `train.lora`.
            seed: Of the adapter's values.

        Raises:
            ModelError: the model is quantised, spread over devices, or not in float32.
            TrainError: the adapter does not fit the model.
        """
        refuse_undifferentiable(model)
        if model.dtype != "float32":
            raise ModelError(f"model '{model.name}': gradients are taken in float32, not in {model.dtype}.")
        lm = sharing_weights(model.lm)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                wrapped: Any = get_peft_model(lm, adapter_config(lora, lm))
            except (ValueError, TypeError) as error:  # of settings that peft refuses
                why = " ".join(str(error).split())[:300].rstrip(".")
                raise TrainError(f"train.lora: no adapter can be put on '{model.name}': {why}. Change it.") from error
        own_trained(wrapped, model.lm)
        trained = {name: value for name, value in wrapped.named_parameters() if value.requires_grad}
        self.parameters: dict[str, nn.Parameter] = dict(sorted(trained.items()))
        self._base, self._lora = model, copy.deepcopy(dict(lora))
        adapted = wrapped.eval().get_base_model()
        self._stepped = replace(model, lm=adapted, blocks=decoder_blocks(adapted))

    def gradient(
        self, groups: Sequence[WeighedAnswers], *, temperature: float, on_answers: Callable[[int], object]
    ) -> dict[str, Tensor]:
        """Differentiate the weighted sum of answers' log-probabilities.

        Args:
            groups: Prompts with their answers.
            temperature: What logits are divided by.
            on_answers: Told how many answers each batch held, those left out included.

        Returns:
            By name the gradient of each parameter, float32 on the CPU; 0 where nothing depends on it.

        Raises:
            ModelError: a value is not a number, or memory is short.
        """
        for value in self.parameters.values():
            value.grad = None
        undo = checkpointed(self._stepped.blocks)
        try:
            for group in groups:
                done, (way, alone) = 0, self._way(group)
                for batch in batches(group, way, alone=alone):
                    self._backward(group, batch, temperature, way)
                    on_answers(len(batch))
                    done += len(batch)
                on_answers(len(group.answers) - done)
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"model '{self._base.name}': its gradient in float32 does not fit the memory of its device. Shorten "
                "`drift.rollouts.answer_tokens`, or set `drift.from` to icl, rollouts or checkpoint."
            ) from error
        finally:
            undo()
        found = {}
        for name, value in self.parameters.items():
            found[name] = torch.zeros_like(value) if value.grad is None else value.grad.detach()
            value.grad = None
            if not bool(found[name].isfinite().all()):
                raise ModelError(
                    f"model '{self._base.name}': the gradient of {name} holds values that are no numbers. Its weights "
                    "are damaged, or it cannot be differentiated; set `drift.from: icl`."
                )
        return {name: value.cpu() for name, value in found.items()}

    def _way(self, group: WeighedAnswers) -> tuple[Way, bool]:
        """How answers are read, and whether each by itself, as where another's length would turn its positions."""
        stretch = stretches_at(self._base)
        longest = max(map(len, group.answers), default=0)
        alone = stretch is not None and len(group.prompt) + longest > stretch
        return "whole" if alone else answer_way(self._base).way, alone

    def _backward(
        self, group: WeighedAnswers, batch: Sequence[tuple[Ids, float]], temperature: float, way: Way
    ) -> None:
        """Add a batch's gradient to the parameters'."""
        answers = [answer for answer, _ in batch]
        with torch.enable_grad():
            logits = answer_logits(self._stepped, group.prompt, answers, way).float()
            chosen = torch.tensor([token for answer in answers for token in answer], device=logits.device)
            weights = [weight for answer, weight in batch for _ in answer]
            logs = (logits / temperature).log_softmax(-1).gather(1, chosen[:, None])[:, 0]
            (logs * torch.tensor(weights, device=logs.device)).sum().backward()

    def step(self, gradient: Mapping[str, Tensor], size: float) -> None:
        """Move each parameter up by `size` where its gradient is above 0, down where below, as AdamW's first step."""
        with torch.no_grad():
            for name, value in self.parameters.items():
                value.add_(gradient[name].to(value).sign(), alpha=size)

    def to_bytes(self) -> bytes:
        """The adapter's values as safetensors bytes."""
        return tensors_to_bytes(self.parameters)

    def put(self, data: bytes) -> bool:
        """Take on values from `to_bytes`; False, with nothing changed, where they are of another adapter."""
        values = tensors_from_bytes(data)
        if values is None or {name: value.shape for name, value in values.items()} != {
            name: value.shape for name, value in self.parameters.items()
        }:
            return False
        with torch.no_grad():
            for name, value in self.parameters.items():
                value.copy_(values[name])
        return True

    def model(self) -> Model:
        """The model under the adapter as it is now, for reading; its weights stay those of the model.

        What it is known by holds the adapter's settings, by whose scale equal values do more or less.
        """
        for value in self.parameters.values():
            value.requires_grad_(False)
        return replace(
            self._stepped,
            name=f"{self._base.name}, one step on",
            weights=content_hash(self._base.weights, self._lora, hashlib.sha256(self.to_bytes()).hexdigest()),
        )


def refuse_undifferentiable(model: Model) -> None:
    """Hold that all weights lie on one device, as plain numbers.

    Raises:
        ModelError: they do not.
    """
    if hasattr(model.lm, "hf_quantizer"):
        how, remedy = "quantised", "name the model as it was before quantisation"
    elif is_dispatched(model.lm):
        how, remedy = "spread over several devices", "leave `model.device_map` out"
    else:
        return
    raise ModelError(
        f"model '{model.name}' is {how}, and `drift.from: reward_step` takes its gradient in float32 on one device. "
        f"Set `drift.from` to rollouts or checkpoint, or {remedy}."
    )


def sharing_weights(lm: PreTrainedModel) -> PreTrainedModel:
    """A second tree of a model's modules around the same parameters and buffers, which take no memory again."""
    shared = {id(value): value for value in (*lm.parameters(), *lm.buffers())}
    return copy.deepcopy(lm, shared)


def own_trained(wrapped: nn.Module, lm: PreTrainedModel) -> None:
    """Give a tree that shares a model's weights copies of those that it trains itself, as the biases of `bias: all`."""
    shared = {id(value): value for value in lm.parameters() if value.requires_grad}
    copies = {key: nn.Parameter(value.detach().clone()) for key, value in shared.items()}
    for module in wrapped.modules():
        for name, value in module.named_parameters(recurse=False):
            if id(value) in copies:
                setattr(module, name, copies[id(value)])
    for value in shared.values():
        value.requires_grad_(False)


def checkpointed(blocks: nn.ModuleList) -> Callable[[], None]:
    """Have blocks compute again on the way back what they computed on the way there.

    Returns:
        Puts them back as they were.
    """

    def around(forward: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: checkpoint(forward, *args, use_reentrant=False, **kwargs)

    for block in blocks:
        block.forward = around(block.forward)

    def undo() -> None:
        for block in blocks:
            del block.forward

    return undo


def batches(group: WeighedAnswers, way: Way, *, alone: bool) -> Iterator[list[tuple[Ids, float]]]:
    """A prompt's answers with their weights in batches of `BATCH_TOKENS`, short ones first; at least one a batch."""
    batch: list[tuple[Ids, float]] = []
    start, total = len(group.prompt), 0
    for answer, weight in sorted(group.distinct().items(), key=lambda item: (len(item[0]), item[0])):
        length = len(answer)
        tokens = start + total + length if way == "packed" else (len(batch) + 1) * (start + length)
        if batch and (alone or tokens > BATCH_TOKENS):
            yield batch
            batch, total = [], 0
        batch.append((answer, weight))
        total += length
    if batch:
        yield batch


def tensors_to_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors by name as safetensors bytes; equal ones give equal bytes."""
    return bytes(save({name: value.detach().cpu().contiguous() for name, value in sorted(tensors.items())}))


def tensors_from_bytes(data: bytes) -> dict[str, Tensor] | None:
    """Tensors from `tensors_to_bytes`, or None where the bytes are something else."""
    try:
        return dict(load(data))
    except SafetensorError:
        return None
