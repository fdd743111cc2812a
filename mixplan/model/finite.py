"""Refuses weights and activations that are not numbers, in words."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mixplan.errors import ModelError

NEVER = 1000.0
"""Scores so much lower than a row's highest are of tokens that may never come: some models put minus infinity, a type's
lowest number or -10,000 there."""
LEEWAY = 100.0
"""Within which the two ways may differ in where they stand beside `NEVER`."""


def is_finite(tensor: Tensor) -> bool:
    """Whether every value is a number: no NaN, no infinity; one pass over it, without a copy."""
    if not tensor.is_floating_point() or tensor.numel() == 0 or tensor.is_meta:
        return True
    # Types of 8 bits and fewer have no minimum of their own; they are as small as the copy that gives them one.
    wide = tensor if tensor.element_size() > 1 else tensor.float()
    return bool(torch.isfinite(torch.stack(torch.aminmax(wide))).all())


def refuse_weights(lm: nn.Module, name: str, dtype: str) -> None:
    """Hold that every weight that was loaded is a number.

    Raises:
        ModelError: one is not, in the file or in the compute type; names the tensor.
    """
    for tensor_name, tensor in lm.named_parameters():
        if is_finite(tensor.detach()):
            continue
        if dtype == "float16":
            raise ModelError(
                f"model '{name}': the weight '{tensor_name}' holds values that are not numbers in float16, whose "
                "largest is 65,504. Set `model.dtype: bfloat16` or `float32`; if it is refused there too, its file is "
                "damaged: fetch it again."
            )
        raise ModelError(
            f"model '{name}': the weight '{tensor_name}' holds values that are not numbers (NaN or infinity). Its file "
            "is damaged or the training that made it diverged; fetch it again or choose another model."
        )


def refuse_activations(values: Tensor, name: str, dtype: str, what: str) -> None:
    """Hold that activations are numbers.

    Args:
        values: Of any shape.
        name: The model's.
        dtype: Its compute type.
        what: They are, for the message, such as `residual stream after block 3`.

    Raises:
        ModelError: one is NaN or infinite.
    """
    if is_finite(values):
        return
    raise not_numbers(name, dtype, what)


def refuse_scores(logits: Tensor, name: str, dtype: str) -> None:
    """Hold that next-token scores are numbers; that of a token which may never come is minus infinity.

    Args:
        logits: `[rows, vocabulary]`.
        name: The model's.
        dtype: Its compute type.

    Raises:
        ModelError: one is NaN.
    """
    if bool(torch.isnan(logits).any()):
        raise not_numbers(name, dtype, "row of next-token scores")


def same_scores(ours: Tensor, own: Tensor, noise: float) -> bool:
    """Whether two ways of making next-token scores give the same.

    Tokens that may never come must be such in both. They are held apart from the others, whose size is what differences
    are measured by.

    Args:
        ours: `[..., vocabulary]` float32.
        own: Likewise.
        noise: The largest difference, as a part of the largest score.
    """
    if ours.shape != own.shape or bool(torch.isposinf(ours).any() | torch.isposinf(own).any()):
        return False
    never = below(own, NEVER) | below(ours, NEVER)
    if not bool((below(own, NEVER - LEEWAY) & below(ours, NEVER - LEEWAY))[never].all()):
        return False
    left, right = ours[~never], own[~never]
    return bool((left - right).abs().max() <= noise * right.abs().max())


def below(scores: Tensor, gap: float) -> Tensor:
    """Which scores are lower than their row's highest by more than a gap."""
    return scores < scores.amax(dim=-1, keepdim=True) - gap


def not_numbers(name: str, dtype: str, what: str) -> ModelError:
    """The error for activations that are not numbers."""
    remedy = (
        "Its activations overflow float16, whose largest value is 65,504. Set `model.dtype: bfloat16` or `float32`."
        if dtype == "float16"
        else "Its weights are numbers, so a layer divides by zero or overflows: set `model.dtype: float32`, or choose "
        "another model."
    )
    return ModelError(f"model '{name}': its {what} holds values that are not numbers. {remedy}")
