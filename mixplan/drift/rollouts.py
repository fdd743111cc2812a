"""Samples the untrained model's own answers to a target's rows, rewards and keeps them, and draws pairs of them.

GRPO has no worked examples: what moves the model is how its own answers to one prompt differ in reward. With rewards r
of a group of answers to one prompt, GRPO's advantage of answer i is

    A_i = (r_i − mean r) / std r,      std with n − 1 in its denominator,

and the group's gradient is Σ_i A_i ∇ log p(answer i). So an answer counts as accepted where A_i > 0 and as rejected
where A_i < 0, a group whose answers are rewarded alike teaches nothing, and demonstrations are drawn as the gradient
weighs them: P(prompt) ∝ Σ_i |A_i|, P(i accepted | prompt) ∝ A_i, P(i rejected | prompt) ∝ −A_i.

Source: advantages as in arXiv 2402.03300; drift from them is mixplan's.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mixplan.domains import Domain, Row
from mixplan.errors import DriftError
from mixplan.grading.process import GradingProcess
from mixplan.grading.rewards import ACCEPTED, total_rewards
from mixplan.grading.versions import grading_state
from mixplan.model import Model, Sampling, generate, render, sampled_ends, spoken
from mixplan.recipe import RolloutsSpec, TrainSpec
from mixplan.runs import canonical_json, content_hash, store, unseal

Doubles = npt.NDArray[np.float64]
Pair = tuple[tuple[Row, ...], tuple[Row, ...]]
"""A draw's demonstrations with rejected answers, and the same questions with accepted ones."""

VERSION = 3
"""Of how answers are sampled and kept; part of their key."""

BATCH_PROMPTS = 8
"""Prompts answered, rewarded and kept together."""


@dataclass(frozen=True)
class Rollout:
    """A row with its sampled answers.

    Attributes:
        row: The row.
        answers: What the model said.
        rewards: What GRPO would give each: the recipe's rewards times their factors, summed.
        ids: Each answer's token ids as they were drawn, the one that ended it included.
    """

    row: Row
    answers: tuple[str, ...]
    rewards: tuple[float, ...]
    ids: tuple[tuple[int, ...], ...] = ()

    @property
    def advantages(self) -> Doubles:
        """`[samples]` GRPO's advantage of each answer; all 0 where they are rewarded alike."""
        rewards = np.array(self.rewards, dtype=np.float64)
        if np.ptp(rewards) == 0:
            return np.zeros_like(rewards)
        return np.asarray((rewards - rewards.mean()) / rewards.std(ddof=1), dtype=np.float64)

    def saying(self, answer: int) -> Row:
        """The row with one of the sampled answers as its supervised one."""
        return replace(self.row, answer=self.answers[answer], rationale=None)


@dataclass(frozen=True)
class Batch:
    """Rollouts that were made and kept together.

    Attributes:
        rollouts: One a row.
        failures: Answers that counted as 0 because a reward's scorer failed on them or took too long.
        example: The first such failure, in words; empty without one.
    """

    rollouts: tuple[Rollout, ...]
    failures: int
    example: str


@dataclass(frozen=True)
class Sampler:
    """What sampling and rewarding a target's rows needs.

    Attributes:
        model: The untrained model.
        target: For its grader.
        spec: How many answers, how long, how hot.
        train: The rewards.
        seed: Of the sampling.
        folder: Where batches are kept.
    """

    model: Model
    target: Domain
    spec: RolloutsSpec
    train: TrainSpec
    seed: int
    folder: Path

    def batches(self) -> list[tuple[Row, ...]]:
        """The target's leading demonstration rows that fit the model's window with an answer, in batches."""
        fitting = [row for row in self.target.demonstration[: self.spec.prompts] if self.fits(row)]
        return [tuple(fitting[start : start + BATCH_PROMPTS]) for start in range(0, len(fitting), BATCH_PROMPTS)]

    def fits(self, row: Row) -> bool:
        """Whether a row's prompt and the longest answer fit the window."""
        return len(self.ids(row)) + self.spec.answer_tokens <= self.model.window

    def ids(self, row: Row) -> tuple[int, ...]:
        """A row's prompt as token ids."""
        return tuple(self.model.tokenizer(self.prompt(row), add_special_tokens=False, verbose=False)["input_ids"])

    def prompt(self, row: Row) -> str:
        """A row's prompt as the model reads it, up to where its answer begins."""
        return render(self.model, row.prompt, awaiting=True)

    def place(self, rows: Sequence[Row]) -> Path:
        """Where a batch is kept: everything that its answers and rewards depend on, as one hash."""
        settings = self.spec.model_dump(mode="json", exclude={"prompts"})
        train, graders = self.train, self.graders(rows)
        state = grading_state([graders] if isinstance(graders, str) else graders, train.rewards)
        key = content_hash(
            VERSION, self.model.fingerprint, self.model.device.type, self.tokenizer, settings, self.seed, graders,
            [train.rewards, train.answer_format, train.grader_seconds, state],
            [[self.prompt(row), *asdict(row).values()] for row in rows], *([ACCEPTED] if has_accepted(rows) else []),
        )  # fmt: skip
        return self.folder / key[:2] / f"{key}.json"

    @cached_property
    def tokenizer(self) -> str:
        """Hash of what turns prompts into tokens and tokens into answers."""
        backend: Any = self.model.tokenizer
        return content_hash(backend.backend_tokenizer.to_str())

    def graders(self, rows: Sequence[Row]) -> str | list[str]:
        """The target's grader; where it has several sources, that of each row."""
        return [self.target.part_of(row).grader for row in rows] if self.target.sources else self.target.grader

    def kept(self, rows: Sequence[Row]) -> Batch | None:
        """A batch from the cache, or None; a damaged one is set aside."""
        if (data := unseal(self.place(rows))) is None:
            return None
        return batch_of(rows, json.loads(data))

    def made(self, rows: Sequence[Row], process: GradingProcess) -> Batch:
        """Answer and reward a batch now, and keep it.

        Raises:
            RecipeError: a user's reward cannot be loaded.
            RunError: the cache cannot be written.
        """
        answers, ids = self.answered(rows)
        rewards, failures, example = self.rewarded(rows, answers, process)
        value = {"answers": answers, "rewards": rewards, "ids": ids, "failures": failures, "example": example}
        store(self.place(rows), canonical_json(value).encode())
        return batch_of(rows, value)

    def answered(self, rows: Sequence[Row]) -> tuple[list[list[str]], list[list[list[int]]]]:
        """`samples` answers to each row, and their token ids.

        An answer's seed comes from its prompt and its number alone.
        """
        count = self.spec.samples
        prompts = [self.prompt(row) for row in rows]
        seeds = [int(content_hash(self.seed, prompt, number)[:16], 16) for prompt in prompts for number in range(count)]
        found = generate(
            self.model,
            [prompt for prompt in prompts for _ in range(count)],
            max_new_tokens=self.spec.answer_tokens,
            sampling=Sampling(self.spec.temperature, seeds),
            ends=sampled_ends(self.model),
        )
        texts, ids = spoken(self.model, found), [list(answer.ids) for answer in found]
        starts = range(0, len(texts), count)
        return [texts[at : at + count] for at in starts], [ids[at : at + count] for at in starts]

    def rewarded(
        self, rows: Sequence[Row], answers: Sequence[Sequence[str]], process: GradingProcess
    ) -> tuple[list[list[float]], int, str]:
        """Rewards of each row's answers, as GRPO gives them to a batch; how many failed, and the first failure."""
        pairs = [(row, answer) for row, said in zip(rows, answers, strict=True) for answer in said]
        columns: dict[str, list[Any]] = {
            "prompts": [[{"role": role, "content": text} for role, text in row.prompt] for row, _ in pairs],
            "completions": [[{"role": "assistant", "content": answer}] for _, answer in pairs],
            "reference": [row.answer for row, _ in pairs],
            "grader": [self.target.part_of(row).grader for row, _ in pairs],
            "entry": [row.entry for row, _ in pairs],
            **({ACCEPTED: [list(row.accepted) for row, _ in pairs]} if has_accepted(rows) else {}),
        }
        with tempfile.TemporaryDirectory() as folder:
            tally = Path(folder) / "rewards.json"
            totals = total_rewards(self.train, process, tally, columns)
            counts = list(json.loads(tally.read_bytes()).values())
        failures = sum(one["failed"] + one["timed_out"] for one in counts)
        example = next((one["example"] for one in counts if one["example"]), "")
        count = self.spec.samples
        return [totals[start : start + count] for start in range(0, len(totals), count)], failures, example


def has_accepted(rows: Sequence[Row]) -> bool:
    """Whether any row has other answers that count as right, which rewards are then given."""
    return any(row.accepted for row in rows)


def batch_of(rows: Sequence[Row], value: Mapping[str, Any]) -> Batch:
    """A batch of what was kept of it, as JSON values."""
    said = zip(rows, value["answers"], value["rewards"], value["ids"], strict=True)
    rollouts = tuple(
        Rollout(row, tuple(answers), tuple(rewards), tuple(map(tuple, ids))) for row, answers, rewards, ids in said
    )
    return Batch(rollouts, value["failures"], value["example"])


def taught(rollouts: Sequence[Rollout]) -> list[Rollout]:
    """Those with at least one accepted and one rejected answer, which are all that GRPO learns from."""
    return [one for one in rollouts if one.advantages.any()]


def draw_pairs(rollouts: Sequence[Rollout], *, shots: int, draws: int, seed: int, spec: RolloutsSpec) -> list[Pair]:
    """Draw each draw's questions, and an accepted and a rejected answer to each, as the module's sentence says.

    Args:
        rollouts: What was sampled.
        shots: Different questions a draw.
        draws: How many.
        seed: Of the drawing.
        spec: What was asked for, for the message.

    Raises:
        DriftError: fewer than `shots` questions have both kinds of answers.
    """
    kept = taught(rollouts)
    if len(kept) < shots:
        raise DriftError(too_few(rollouts, len(kept), shots, spec))
    strength = np.array([np.abs(one.advantages).sum() for one in kept])
    pairs = []
    for number in range(draws):
        rng = np.random.default_rng([seed, 3, number])
        chosen = rng.choice(len(kept), size=shots, replace=False, p=strength / strength.sum())
        sides = [list(drawn_answers(kept[int(index)], rng)) for index in chosen]
        pairs.append((tuple(rejected for rejected, _ in sides), tuple(accepted for _, accepted in sides)))
    return pairs


def drawn_answers(rollout: Rollout, rng: np.random.Generator) -> Iterator[Row]:
    """A rejected answer's row, then an accepted one's."""
    for sign in (-1.0, 1.0):
        share = np.maximum(sign * rollout.advantages, 0)
        yield rollout.saying(int(rng.choice(len(share), p=share / share.sum())))


def against_nothing(pairs: Sequence[Pair]) -> list[Pair]:
    """The accepted answers with nothing to be held against: the shift that they bring to the bare question."""
    return [((), accepted) for _, accepted in pairs]


def too_few(rollouts: Sequence[Rollout], kept: int, shots: int, spec: RolloutsSpec) -> str:
    """Say that answers differ too seldom in reward, with what would help."""
    asked = f"drift.from is rollouts and drift.demonstrations is {shots}"
    return f"{asked}, but {rewarded_alike(rollouts, kept, spec)}"


def rewarded_alike(rollouts: Sequence[Rollout], kept: int, spec: RolloutsSpec) -> str:
    """How many questions have answers that differ in reward, and what would make them more."""
    alike = [one.rewards[0] for one in rollouts if np.ptp(one.rewards) == 0]
    levels = ", ".join(f"{alike.count(level)} at {level:g}" for level in sorted(set(alike))[:3])
    rewarded = f" (all answers rewarded alike: {levels})" if alike else ""
    return (
        f"of {len(rollouts)} target questions {kept} have answers that are rewarded differently{rewarded}. "
        f"Raise `drift.rollouts.samples` (now {spec.samples}) or "
        f"`drift.rollouts.temperature` (now {spec.temperature:g}), sample more questions with `drift.rollouts.prompts` "
        "and `target.split.demonstration`, or set `drift.from: icl`."
    )


@dataclass(frozen=True)
class Sampled:
    """What was sampled, in figures.

    Attributes:
        prompts: Questions answered.
        kept: Of them, those with accepted and rejected answers.
        samples: Answers a question.
        accepted: Share of all answers with an advantage above 0.
        mean_reward: Over all answers.
        failures: Answers that counted as 0 because a reward's scorer failed on them.
        temperature: Of the sampling.
        answer_tokens: Longest answer.
    """

    prompts: int
    kept: int
    samples: int
    accepted: float
    mean_reward: float
    failures: int
    temperature: float
    answer_tokens: int


def figures(batches: Sequence[Batch], spec: RolloutsSpec) -> Sampled:
    """Say what was sampled, for the plan."""
    rollouts = [one for batch in batches for one in batch.rollouts]
    accepted = [float((one.advantages > 0).mean()) for one in rollouts]
    return Sampled(
        prompts=len(rollouts),
        kept=len(taught(rollouts)),
        samples=spec.samples,
        accepted=float(np.mean(accepted)) if accepted else 0.0,
        mean_reward=float(np.mean([one.rewards for one in rollouts])) if rollouts else 0.0,
        failures=sum(batch.failures for batch in batches),
        temperature=spec.temperature,
        answer_tokens=spec.answer_tokens,
    )
