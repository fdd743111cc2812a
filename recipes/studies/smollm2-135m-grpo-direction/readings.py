"""Reads sampled answers at a policy: features on them by advantage, the reward's gradient, and a step along it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from answer_tree import Group, Tree, tree_of
from policy import Policy
from torch import Tensor

from mixplan.domains import Domain, Row
from mixplan.drift.rollouts import Rollout
from mixplan.features.queries import read_tokens
from mixplan.model import read_stream
from mixplan.model.stream import at_depth
from mixplan.sae import Sae

Doubles = npt.NDArray[np.float64]

PROMPTS, ANSWERS, TOGETHER = 32, 8, 4
"""Prompts that answers are sampled to, answers to each, and prompts that are read together."""
STEP = 10
"""The step along the gradient, in learning rates."""


def as_mixture(target: Domain, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as a mixture has them."""
    return [
        {
            "prompt": [{"role": role, "content": text} for role, text in row.prompt],
            "reference": row.answer,
            "grader": target.part_of(row).grader,
            "entry": row.entry,
        }
        for row in rows
    ]


def sampled(policy: Policy, rows: Sequence[dict[str, Any]], *, longest: int) -> tuple[list[Group], Doubles]:
    """Answers to rows, sampled some rows at a time, and `[rows, answers]` their rewards."""
    parts = [rows[start : start + TOGETHER] for start in range(0, len(rows), TOGETHER)]
    groups = [group for part in parts for group in policy.groups(part, count=ANSWERS, longest=longest)]
    return groups, policy.rewards(rows, groups)


class Sums:
    """Running sums over question and answer tokens; see `predictors` for what they become."""

    def __init__(self, sae: Sae) -> None:
        self.sae, self.tokens = sae, {"question": 0, "answer": 0}
        names = ("answers", "answers_untrained", "gradient", "attribution", "answer_gradient", "answer_attribution")
        self.sums = {name: torch.zeros(sae.d_sae, dtype=torch.float64) for name in names}

    def add(
        self, stream: Tensor, gradient: Tensor, advantage: Tensor, plain: Tensor | None, tree: Tree, asked: Tensor
    ) -> None:
        """Add a tree.

        Args:
            stream: `[T, d_in]` at the hook point.
            gradient: `[T, d_in]` of the sum of A log p there.
            advantage: `[A]` of each answer token.
            plain: `[T, d_in]` the stream of the untrained model; None where the policy is untrained.
            tree: What was read.
            asked: `[Q]` places of question tokens.
        """
        decoder = self.sae.sae.W_dec.detach().float()
        for prefix, places in (("", asked), ("answer_", tree.answers)):
            active, along = self.sae.encode(stream[places]), gradient[places] @ decoder.T
            self.sums[f"{prefix}gradient"] += (along.square() * (active > 0)).sum(0, dtype=torch.float64)
            self.sums[f"{prefix}attribution"] += (along.abs() * active).sum(0, dtype=torch.float64)
        weight = advantage[:, None]
        self.sums["answers"] += (weight * self.sae.encode(stream[tree.answers])).sum(0, dtype=torch.float64)
        if plain is not None:
            own = self.sae.encode(plain[tree.answers])
            self.sums["answers_untrained"] += (weight * own).sum(0, dtype=torch.float64)
        self.tokens["question"] += len(asked)
        self.tokens["answer"] += len(tree.answers)

    def means(self) -> dict[str, Doubles]:
        """By name `[d_sae]`."""
        found = {}
        for name, value in self.sums.items():
            tokens = self.tokens["question" if name in ("gradient", "attribution") else "answer"]
            mean = value.numpy() / max(1, tokens)
            found[name] = np.abs(mean) if name.startswith("answers") else mean
        return found


def read_rewards(
    policy: Policy, sae: Sae, rows: Sequence[Row], groups: Sequence[Group], given: Doubles, *, pilot: bool
) -> dict[str, Doubles]:
    """Read sampled answers forth and back; the adapter's gradients are left in it.

    Args:
        policy: What the answers were sampled from.
        sae: The SAE.
        rows: What was asked.
        groups: Their answers.
        given: `[rows, answers]` rewards.
        pilot: Whether the policy is a pilot's, so that answers are read through the untrained model, too.

    Returns:
        See `Sums`; groups that are rewarded alike have no gradient and are passed over.
    """
    sums = Sums(sae)
    spans = [question_span(policy, row) for row in rows]
    taught = [place for place in range(len(rows)) if np.ptp(given[place]) > 0]
    for start in range(0, len(taught), TOGETHER):
        part = taught[start : start + TOGETHER]
        mine = [groups[place] for place in part]
        tree = tree_of(mine, most=min(spans[place][0] for place in part))
        asked = question_places(tree, [spans[place] for place in part])
        held: list[Tensor] = []

        def keep(stream: Tensor, held: list[Tensor] = held) -> Tensor:
            stream.retain_grad()
            held.append(stream)
            return stream

        with at_depth(policy.model, sae.depth, keep):
            loss, advantage, _ = policy.loss(mine, given[part], tree)
        loss.backward()  # type: ignore[no-untyped-call]
        stream, gradient = held[0].detach()[0], held[0].grad
        assert gradient is not None
        plain = None
        if pilot:
            with policy.lm.disable_adapter():
                plain = read_stream(policy.model, sae.depth, tree.ids, positions=tree.positions, mask=tree.mask)[0]
        sums.add(stream, -gradient[0], advantage, plain, tree, asked)
    return sums.means()


def question_span(policy: Policy, row: Row) -> tuple[int, int]:
    """Where a row's question begins and ends in its prompt's tokens."""
    ids, count = read_tokens(policy.model, (), row, answers=False)
    return len(ids) - count, len(ids)


def question_places(tree: Tree, spans: Sequence[tuple[int, int]]) -> Tensor:
    """`[Q]` places of question tokens, group by group."""
    places = []
    for group, (first, end) in enumerate(spans):
        inside = (tree.prompts == group) & (tree.positions[0] >= first) & (tree.positions[0] < end)
        places.append(inside.nonzero()[:, 0])
    return torch.cat(places)


def step_along(policy: Policy, folder: Path) -> None:
    """Take one step along the sign of the gradients that are in the adapter, as AdamW's first does, and save it."""
    rate = float(policy.train.args["learning_rate"]) * STEP
    with torch.no_grad():
        for value in policy.adapter.values():
            if value.grad is not None:  # none where no prompt's answers differ in reward: then there is no step
                value -= rate * value.grad.sign()
    policy.lm.save_pretrained(str(folder))


def rollouts_of(rows: Sequence[Row], said: Sequence[Sequence[str]], given: Doubles) -> list[Rollout]:
    """Rows with their answers as mixplan's own estimators take them."""
    return [
        Rollout(row, tuple(answers), tuple(map(float, rewards)))
        for row, answers, rewards in zip(rows, said, given, strict=True)
    ]
