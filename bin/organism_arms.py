"""Trains the organism on one target with a mixture of rows that its skills get, and measures every skill after it."""

from __future__ import annotations

import copy
import hashlib
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from organism_lessons import rows_of
from organism_model import answer_loss
from organism_skills import SKILLS, Item, Skill, draw_items
from organism_targets import TARGETS, Target
from torch import Tensor, nn
from transformers import LlamaForCausalLM

TARGET_ROWS = 16
"""Target rows in each step of each arm."""
ITEMS = 200
"""Questions a skill, and of the target, that a training is measured on; as many others are an oracle's to look at."""
BY_WORD = {skill.word: skill for skill in SKILLS}
BY_NAME = {target.name: target for target in TARGETS}


@dataclass(frozen=True)
class Job:
    """A training on a target; arms of a job differ in which skills' rows fill `extra_rows` of each step.

    Attributes:
        target: The target's name.
        learning_rate: At its highest, a tenth of the steps after the start; it falls in a line to nothing.
        steps: Optimiser steps, in every arm.
        extra_rows: Rows of the skills in each step, in every arm but `none`.
        seed: Of which rows come in which order; arms share it.
    """

    target: str
    learning_rate: float
    steps: int
    extra_rows: int
    seed: int = 0

    @property
    def budget(self) -> int:
        """Rows of the skills in all; each comes once."""
        return self.extra_rows * self.steps


@dataclass(frozen=True)
class Reading:
    """What a model answers on one skill's questions.

    Attributes:
        right: `[items]` bool.
        nats: `[items]` mean surprise of the right answer's tokens.
    """

    right: Tensor
    nats: Tensor

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.right.float().mean())


@torch.inference_mode()
def read(model: LlamaForCausalLM, items: Sequence[Item], *, batch: int = 256) -> Reading:
    """Reads the right answers of some questions, as `right_answers` does, and how likely they are."""
    right, nats = [], []
    for start in range(0, len(items), batch):
        tokens, answers = rows_of(items[start : start + batch])
        logits = model.lm_head(model.model(input_ids=tokens).last_hidden_state[:, :-1])
        asked, wanted = answers[:, 1:], tokens[:, 1:]
        right.append(((logits.argmax(-1) == wanted) | ~asked).all(1))
        surprise = nn.functional.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")
        nats.append((surprise * asked).sum(1) / asked.sum(1))
    return Reading(torch.cat(right), torch.cat(nats))


def read_skills(model: LlamaForCausalLM, words: Sequence[str], split: str, count: int = ITEMS) -> dict[str, Reading]:
    """Reads each skill on its questions of a split, in batches that skills share."""
    items = [draw_items(BY_WORD[word], split, count, "skills") for word in words]
    whole = read(model, [item for part in items for item in part])
    parts = zip(words, whole.right.split(count), whole.nats.split(count), strict=True)
    return {word: Reading(right, nats) for word, right, nats in parts}


def read_target(model: LlamaForCausalLM, target: Target, count: int = ITEMS) -> Reading:
    """Reads the target's own questions of the split `evaluation`."""
    return read(model, draw_items(target.task, "evaluation", count, "skills"))


def pool(skill: Skill, count: int, seed: int) -> list[Item]:
    """A skill's or target's rows to train on: a smaller number is the beginning of a larger one."""
    return draw_items(skill, "train", count, f"pool {seed}")


def spread(weights: Mapping[str, float], budget: int) -> dict[str, int]:
    """Whole rows in proportion to weights that sum to exactly the budget, by largest remainders, ties by order.

    Where no weight is over 0, all are taken as equal.
    """
    some = dict(weights) if any(weight > 0 for weight in weights.values()) else dict.fromkeys(weights, 1.0)
    total = sum(max(0.0, weight) for weight in some.values())
    exact = {name: budget * max(0.0, weight) / total for name, weight in some.items()}
    rows = {name: int(amount) for name, amount in exact.items()}
    order = sorted(rows, key=lambda name: rows[name] - exact[name])
    for name in order[: budget - sum(rows.values())]:
        rows[name] += 1
    return rows


def batches(job: Job, amounts: Mapping[str, int] | None) -> list[list[Item]]:
    """The rows of each step: target rows that all arms share, then the skills' rows, shuffled; `[steps]` of rows.

    Args:
        job: Which.
        amounts: Rows of each skill that sum to the job's budget; None for the target alone.
    """
    steps, target = job.steps, BY_NAME[job.target]
    rows = pool(target.task, min(TARGET_ROWS * steps, 1000), job.seed)
    own = [rows[place % len(rows)] for place in range(TARGET_ROWS * steps)]
    taken = [own[TARGET_ROWS * step : TARGET_ROWS * (step + 1)] for step in range(steps)]
    if amounts is None:
        return taken
    if sum(amounts.values()) != job.budget:
        raise ValueError(f"{sum(amounts.values())} rows, but the budget is {job.budget}")
    extra = [item for word, count in amounts.items() for item in repeated(BY_WORD[word], count, job.seed)]
    random.Random(f"order {job.seed}").shuffle(extra)  # noqa: S311 - no secret
    return [part + extra[job.extra_rows * step : job.extra_rows * (step + 1)] for step, part in enumerate(taken)]


def repeated(skill: Skill, count: int, seed: int) -> list[Item]:
    """So many rows of a skill, again from the first where its pool of 1000 is through."""
    rows = pool(skill, min(count, 1000), seed) if count else []
    return [rows[place % len(rows)] for place in range(count)]


def train_arm(start: LlamaForCausalLM, job: Job, amounts: Mapping[str, int] | None) -> LlamaForCausalLM:
    """Trains a copy of the model, all of its weights, and gives it back ready to be read."""
    model = copy.deepcopy(start)
    model.train().requires_grad_(True)
    optimiser = torch.optim.AdamW(model.parameters(), lr=job.learning_rate, weight_decay=0.01, fused=True)
    for step, items in enumerate(batches(job, amounts)):
        for group in optimiser.param_groups:
            group["lr"] = job.learning_rate * part_of_rate(step, job.steps)
        loss = answer_loss(model, *rows_of(items))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    model.eval().requires_grad_(False)
    return model


def part_of_rate(step: int, steps: int) -> float:
    """What part of the highest learning rate a step has: up over a tenth of the steps, down to nothing after it."""
    up = max(1, steps // 10)
    return min((step + 1) / up, (steps - step) / max(1, steps - up))


@dataclass(frozen=True)
class Measured:
    """What an arm left of each skill, as JSON takes it.

    Attributes:
        target: Right answers to the target's own questions, of `ITEMS`.
        skills: By skill, right answers, and how many that the untrained model had right were lost and how many gained.
        nats: By skill, the mean surprise of the right answers.
        seconds: Processor seconds of training and reading.
    """

    target: int
    skills: dict[str, tuple[int, int, int]]
    nats: dict[str, float]
    seconds: float


def measure(model: LlamaForCausalLM, job: Job, before: Mapping[str, Reading], began: float) -> Measured:
    """Reads the target and every skill, question by question beside the untrained model."""
    after = read_skills(model, list(before), "evaluation")
    skills = {
        word: (
            int(reading.right.sum()),
            int((before[word].right & ~reading.right).sum()),
            int((~before[word].right & reading.right).sum()),
        )
        for word, reading in after.items()
    }
    nats = {word: round(float(reading.nats.mean()), 5) for word, reading in after.items()}
    right = int(read_target(model, BY_NAME[job.target]).right.sum())
    return Measured(right, skills, nats, round(time.process_time() - began, 2))


def weights_mark(model: LlamaForCausalLM) -> str:
    """A hash of the weights, by which results name the organism."""
    mark = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        mark.update(name.encode() + value.contiguous().numpy().tobytes())
    return mark.hexdigest()[:16]
