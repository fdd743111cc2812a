"""Makes the organism: a Llama of about a million parameters that learns all skills at once, resumable."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from organism_lessons import BEGIN, END, IDS, PAD, WINDOW, lesson, rows_of
from organism_skills import SKILLS, Item
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from mixplan.errors import RunError
from mixplan.runs import content_hash


@dataclass(frozen=True)
class Making:
    """How the organism is made; all of it counts for whether a checkpoint may go on.

    Attributes:
        steps, conversations: Optimiser steps, and conversations in each.
        learning_rate: At its highest, after `warm_up` steps; a cosine follows that would reach a twentieth of it after
            `horizon` steps, and over the last `decay` steps a line to nothing.
        hidden, layers, heads: The Llama's sizes; its feed-forward layers are three times as wide.
        seed: Of weights and conversations.
    """

    steps: int = 2400
    conversations: int = 16
    learning_rate: float = 1.5e-3
    warm_up: int = 200
    horizon: int = 4000
    decay: int = 500
    hidden: int = 128
    layers: int = 4
    heads: int = 4
    seed: int = 0


def new_model(making: Making) -> LlamaForCausalLM:
    """The untrained organism, by seed."""
    torch.manual_seed(making.seed)
    config = LlamaConfig(
        vocab_size=len(IDS),
        hidden_size=making.hidden,
        intermediate_size=3 * making.hidden,
        num_hidden_layers=making.layers,
        num_attention_heads=making.heads,
        num_key_value_heads=making.heads,
        max_position_embeddings=WINDOW,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        bos_token_id=BEGIN,
        eos_token_id=END,
    )
    model: LlamaForCausalLM = LlamaForCausalLM(config).float()
    model.generation_config = GenerationConfig(bos_token_id=BEGIN, eos_token_id=END, pad_token_id=PAD)
    return model


def answer_loss(model: LlamaForCausalLM, tokens: Tensor, trained: Tensor) -> Tensor:
    """Mean cross-entropy of the trained tokens, in nats; `[rows, length]` both."""
    hidden = model.model(input_ids=tokens).last_hidden_state
    asked = trained[:, 1:]
    return nn.functional.cross_entropy(model.lm_head(hidden[:, :-1][asked]), tokens[:, 1:][asked])


@torch.inference_mode()
def right_answers(model: LlamaForCausalLM, items: Sequence[Item], *, batch: int = 256) -> Tensor:
    """Whether the greedy answer to each item is its right answer, end token and all; `[items]` bool.

    A greedy answer equals the right one just where each token of the right one is the likeliest behind those before it.
    """
    found = []
    for start in range(0, len(items), batch):
        tokens, answers = rows_of(items[start : start + batch])
        hidden = model.model(input_ids=tokens).last_hidden_state
        likeliest = model.lm_head(hidden[:, :-1]).argmax(-1)
        found.append(((likeliest == tokens[:, 1:]) | ~answers[:, 1:]).all(1))
    return torch.cat(found)


def rate(making: Making, step: int) -> float:
    """The learning rate of a step, from 0."""
    if step < making.warm_up:
        return making.learning_rate * (step + 1) / making.warm_up
    gone = (step - making.warm_up) / (making.horizon - making.warm_up)
    cosine = 0.05 + 0.95 * (1 + math.cos(math.pi * gone)) / 2
    return making.learning_rate * cosine * min(1.0, (making.steps - step) / making.decay)


def make_model(
    making: Making, folder: Path, *, every: int, told: Callable[[str], None], stop_at: int | None = None
) -> LlamaForCausalLM | None:
    """Trains the organism, going on from the last checkpoint of the folder.

    Args:
        making: What is made.
        folder: Holds `checkpoint.safetensors` and `log.jsonl`.
        every: Steps between checkpoints.
        told: Given a line at each checkpoint.
        stop_at: A step to end before, as if it had been killed there.

    Returns:
        The trained organism; None where it was stopped.

    Raises:
        RunError: the checkpoint belongs to another training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = new_model(making)
    model.train()
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=making.learning_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    done = resume(model, optimiser, making, folder)
    began, processor, losses = time.monotonic(), time.process_time(), list[float]()
    for step in range(done, making.steps):
        if step == stop_at:
            return None
        for group in optimiser.param_groups:
            group["lr"] = rate(making, step)
        loss = answer_loss(model, *lesson(SKILLS, making.seed, step, making.conversations))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
        if (step + 1) % every == 0 or step + 1 == making.steps:
            save_checkpoint(model, optimiser, making, folder, step + 1)
            figures = {"step": step + 1, "loss": sum(losses) / len(losses), "seconds": time.monotonic() - began}
            figures["processor_seconds"] = time.process_time() - processor
            began, processor, losses = time.monotonic(), time.process_time(), []
            with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(figures) + "\n")
            told(f"step {step + 1} of {making.steps}: loss {figures['loss']:.4f}, {figures['seconds']:.0f} s")
    model.eval()
    return model


def moments(model: nn.Module, optimiser: torch.optim.Optimizer) -> Iterator[tuple[str, Tensor]]:
    """What AdamW keeps of each parameter, by name."""
    for name, parameter in model.named_parameters():
        for key, value in optimiser.state[parameter].items():
            yield f"adam.{key}.{name}", value


def save_checkpoint(
    model: LlamaForCausalLM, optimiser: torch.optim.Optimizer, making: Making, folder: Path, steps: int
) -> None:
    """Writes weights and moments, then puts the file in place of the last one at once."""
    tensors = {f"model.{name}": value.detach() for name, value in model.named_parameters()}
    tensors |= dict(moments(model, optimiser))
    part = folder / "checkpoint.part"
    save_file(tensors, part, metadata={"making": content_hash(asdict(making)), "steps": str(steps)})
    part.replace(folder / "checkpoint.safetensors")


def resume(model: LlamaForCausalLM, optimiser: torch.optim.Optimizer, making: Making, folder: Path) -> int:
    """Loads the folder's checkpoint, if there is one, and says how many steps it has done."""
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return 0
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
        if about["making"] != content_hash(asdict(making)):
            raise RunError(f"{path} belongs to another training. Choose another folder, or delete this one.")
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(file.get_tensor(f"model.{name}"))
                optimiser.state[parameter] = {
                    key: file.get_tensor(f"adam.{key}.{name}") for key in ("step", "exp_avg", "exp_avg_sq")
                }
    return int(about["steps"])
