"""Rewards GRPO completions by the grader of each mixture row, a named one, or a user's function."""

from __future__ import annotations

import fcntl
import functools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixplan.chat.reasoning import CLOSE, OPEN, final_answer
from mixplan.errors import RecipeError
from mixplan.grading.process import GradingProcess, ScorerError, ScorerTimedOut
from mixplan.recipe import TrainSpec
from mixplan.runs import translated, write_json

Columns = Mapping[str, Sequence[Any]]
"""A batch as TRL gives it: `prompts`, `completions` and the mixture's columns, one value for each answer."""
Score = Callable[[Columns], Sequence[float | None]]
"""Scores a batch of any size; raises `ScorerError` where a scorer fails."""
ACCEPTED = "accepted"
"""The column of a row's other answers that count as right, in mixtures that have any."""
EXAMPLE_CHARACTERS = 200
UNCOUNTED = {"graded": 0, "failed": 0, "timed_out": 0, "example": "", "groups": 0, "equal_groups": 0}
EQUAL_SHARE = 0.5
"""Groups of equal rewards beyond this share are told."""
EQUAL = (
    "The model solves none or all of its target questions, or the reward does not fit its answers: read a few of "
    "these, ask easier or harder questions, or raise `train.args.num_generations` or its temperature."
)
"""What to do about them."""
ZERO_STD = "frac_reward_zero_std"
"""What TRL logs: the share of groups whose rewards, weighted and summed, are equal; of all processes together."""


def reward_functions(
    train: TrainSpec, *, tally: Path, opened: str = "", group: int | None = None
) -> tuple[list[Callable[..., list[float | None]]], list[float]]:
    """Make the recipe's rewards for TRL's GRPOTrainer.

    Args:
        train: The recipe's section.
        tally: JSON file that counts, for each reward, `graded` answers (all that it was given), `failed` and
            `timed_out` ones (which scored 0), with one `example`. Counts are added to those it holds; several
            processes may share it.
        opened: What the prompt opens for the model's reasoning; an answer that never closes it has not answered.
        group: How many answers to one prompt are compared, so that a group of which another process has a part is not
            taken for one; any number that stand together when None.

    Returns:
        The reward functions and, as GRPOConfig's `reward_weights`, their factors; in the recipe's order.

    Raises:
        RecipeError: a user's function cannot be loaded.
    """
    process = GradingProcess(seconds=train.grader_seconds)
    rewards: list[Callable[..., list[float | None]]] = []
    for name in train.rewards:
        if ":" in name:
            refuse_unloadable(name, process)
        rewards.append(Reward(name, scoring(name, train, process, opened), tally, group))
    return rewards, list(train.rewards.values())


def total_rewards(train: TrainSpec, process: GradingProcess, tally: Path, columns: Columns) -> list[float]:
    """Reward a batch as GRPO would: each reward times its factor, summed; one without an opinion adds nothing.

    Args:
        train: The recipe's section.
        process: Grades within bounds.
        tally: See `reward_functions`.
        columns: `prompts`, `completions`, `reference`, `grader` and `entry`, and `accepted` where rows have it, one
            value for each answer.

    Raises:
        RecipeError: a user's function cannot be loaded.
    """
    totals = [0.0] * len(columns["completions"])
    for name, factor in train.rewards.items():
        if ":" in name:
            refuse_unloadable(name, process)
        scores = Reward(name, scoring(name, train, process), tally)(**columns)
        totals = [total + factor * (score or 0.0) for total, score in zip(totals, scores, strict=True)]
    return totals


def refuse_unloadable(name: str, process: GradingProcess) -> None:
    """Refuse a user's reward that is not there, before anything is trained.

    Raises:
        RecipeError: it cannot be loaded.
    """
    try:
        process.prepare(name)
    except ScorerError as error:
        raise RecipeError(
            f"train.rewards.{name}: it cannot be loaded: {error}\n"
            "Install its package, or start mixplan in the folder that holds its file."
        ) from error


def scoring(name: str, train: TrainSpec, process: GradingProcess, opened: str = "") -> Score:
    """How a reward of this name scores a batch.

    Args:
        name: As the recipe names it.
        train: The recipe's section.
        process: Grades within bounds.
        opened: As in `reward_functions`.
    """
    if ":" in name:
        return functools.partial(process.scores, name)
    if name == "format":
        # An expression that speaks of the marks of reasoning is meant for the whole completion.
        whole = OPEN in train.answer_format or CLOSE in train.answer_format
        return lambda columns: [
            float(process.finds(train.answer_format, text if whole else final_answer(opened + text)))
            for text in map(said, columns["completions"])
        ]
    return functools.partial(by_grader, process, None if name == "graded" else name, opened)


def by_grader(process: GradingProcess, grader: str | None, opened: str, columns: Columns) -> list[float]:
    """Grade answers by this grader, or each by its own row's; rows may have further answers that count as right."""
    given = [columns[name] for name in ("completions", "reference", "grader", "entry")]
    others = columns.get(ACCEPTED, [None] * len(columns["completions"]))
    return [
        process.grade(opened + said(turns), reference, grader or own, entry, accepted or ()).score
        for turns, reference, own, entry, accepted in zip(*given, others, strict=True)
    ]


def said(completion: str | Sequence[Mapping[str, str]]) -> str:
    """The text of a completion: plain, or its last message's."""
    return completion if isinstance(completion, str) else completion[-1]["content"]


@dataclass(frozen=True)
class Reward:
    """One reward as TRL calls it.

    Attributes:
        name: As the recipe names it; TRL's log has it as `rewards/NAME/mean`.
        score: What scores a batch.
        tally: Where failures are counted; None counts nowhere.
        group: As in `reward_functions`.
    """

    name: str
    score: Score
    tally: Path | None
    group: int | None = None

    @property
    def __name__(self) -> str:
        """The name under which TRL logs it."""
        return self.name

    def __call__(self, *, completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """Score a batch: an answer at a time, so that one failure costs one answer.

        A user's function has the whole batch, as TRL would give it, and single answers where it fails on that.

        Args:
            completions: What the model said.
            columns: `prompts`, the mixture's columns, and what TRL adds; those that are not JSON values are left out.

        Returns:
            One score an answer, in order; 0 where the scorer fails or takes too long.

        Raises:
            RunError: the tally cannot be written.
        """
        given = {"completions": completions} | columns
        batch = {name: values for name, values in given.items() if as_long_json(values, len(completions))}
        failures: list[ScorerError] = []
        scores = self._whole(batch) if ":" in self.name else None
        if scores is None:
            alone = [{name: [values[i]] for name, values in batch.items()} for i in range(len(completions))]
            scores = [self._one(row, failures) for row in alone]
        if self.tally is not None:
            groups = group_scores(columns.get("prompts"), scores, self.group)
            count(self.tally, self.name, len(completions), failures, groups)
        return scores

    def _whole(self, batch: Columns) -> list[float | None] | None:
        try:
            return list(self.score(batch))
        except ScorerError:
            return None

    def _one(self, row: Columns, failures: list[ScorerError]) -> float | None:
        try:
            return self.score(row)[0]
        except ScorerError as error:
            answer = said(row["completions"][0])[:EXAMPLE_CHARACTERS]
            failures.append(type(error)(f"{error}; the answer was {answer!r}"))
            return 0.0


def group_scores(prompts: Any, scores: Sequence[float | None], size: int | None = None) -> list[list[float | None]]:
    """Scores of answers to one prompt that stand together, by group; groups of one answer are left out.

    Args:
        prompts: As TRL gives them; None where it gives none.
        scores: One an answer.
        size: Answers of a group, of which parts are left out; any number when None.
    """
    if not isinstance(prompts, Sequence) or len(prompts) != len(scores):
        return []
    found: list[list[float | None]] = []
    for place, (prompt, score) in enumerate(zip(prompts, scores, strict=True)):
        if place and prompt == prompts[place - 1] and len(found[-1]) != size:
            found[-1].append(score)
        else:
            found.append([score])
    return [group for group in found if len(group) > 1 and size in (None, len(group))]


def as_long_json(values: Any, answers: int) -> bool:
    """Whether a column has one JSON value an answer: TRL adds its state and its loggers, which no process can share."""
    try:
        json.dumps(values)
    except (TypeError, ValueError):
        return False
    return isinstance(values, Sequence) and len(values) == answers


def count(
    tally: Path,
    name: str,
    graded: int,
    failures: Sequence[ScorerError],
    groups: Sequence[Sequence[float | None]] = (),
) -> None:
    """Add a batch to a tally.

    Args:
        tally: Its file.
        name: The reward's.
        graded: How many answers it was given.
        failures: On which of these.
        groups: Scores by group of answers to one prompt.

    Raises:
        RunError: it cannot be written.
    """
    timed_out = sum(isinstance(failure, ScorerTimedOut) for failure in failures)
    with translated(tally):
        tally.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(tally.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # each process of a job adds its own answers
        counts = json.loads(tally.read_bytes()) if tally.exists() else {}
        old = counts.get(name, UNCOUNTED)
        counts[name] = {
            "graded": old["graded"] + graded,
            "failed": old["failed"] + len(failures) - timed_out,
            "timed_out": old["timed_out"] + timed_out,
            "example": old["example"] or (str(failures[0]) if failures else ""),
            "groups": old["groups"] + len(groups),
            "equal_groups": old["equal_groups"] + sum(len(set(group)) == 1 for group in groups),
        }
        write_json(tally, counts)
    finally:
        os.close(folder)


def tally_warnings(tally: Path, log: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """Say what a tally holds against a job.

    Args:
        tally: Its file; there may be none.
        log: The trainer's, which tells of groups that processes share out between them; their tally counts none.

    Returns:
        A sentence for each reward that failed on some answer, and one where groups of answers had equal rewards, from
        which GRPO learns nothing; none where all were graded and told apart, or nothing was.
    """
    counts = json.loads(tally.read_bytes()) if tally.exists() else {}
    failed = [
        f"reward `{name}`: {one['failed'] + one['timed_out']:,} of {one['graded']:,} answers counted as 0 because its "
        f"scorer failed ({one['failed']:,}) or took too long ({one['timed_out']:,}). The first: {one['example']}."
        for name, one in counts.items()
        if one["failed"] or one["timed_out"]
    ]
    return [*failed, *equal_warnings(counts, log)]


def equal_warnings(counts: Mapping[str, Mapping[str, Any]], log: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """Say where answers to one prompt had equal rewards: their advantage, a reward less its group's mean, is then 0."""
    # The least equal of several rewards bounds how many groups had equal sums.
    parts = {name: one for name, one in counts.items() if one.get("groups")}
    if not parts:
        shares = [share for share in (line.get(ZERO_STD) for line in log) if share is not None]
        mean = sum(shares) / len(shares) if shares else 0.0
        if mean == 1.0:
            return [
                f"GRPO could learn nothing: rewards were equal within every group, so every advantage was 0. {EQUAL}"
            ]
        if mean > EQUAL_SHARE:
            return [
                f"GRPO learned from {1 - mean:.0%} of its groups only (the mean of the logged steps): in the others "
                f"rewards were equal for all answers, so their advantage was 0. {EQUAL}"
            ]
        return []
    name = min(parts, key=lambda name: parts[name]["equal_groups"] / parts[name]["groups"])
    groups, equal = parts[name]["groups"], parts[name]["equal_groups"]
    what = f"reward `{name}`" if len(parts) == 1 else "every reward"
    if equal == groups:
        return [
            f"GRPO could learn nothing: {what} was equal for all answers in each of {groups:,} groups, so every "
            f"advantage was 0. {EQUAL}"
        ]
    if equal > EQUAL_SHARE * groups:
        return [
            f"GRPO learned from {groups - equal:,} of {groups:,} groups only: in the others {what} was equal for all "
            f"answers, so their advantage was 0. {EQUAL}"
        ]
    return []
