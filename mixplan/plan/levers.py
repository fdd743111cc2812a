"""Prices ways of keeping abilities beside each other: the recipe's line, tokens and time that are counted, evidence.

Time is counted in operations: reading a token costs one forward pass, training on one three of them in full and two
under an adapter, whose frozen weights get no gradients of their own. Optimiser, loading and output head are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mixplan.domains import Domain, Row
from mixplan.errors import RunError
from mixplan.forecast import Job
from mixplan.mixture import TokenCounter, messages, take_target
from mixplan.mixture.own_voice import prompt_of
from mixplan.mixture.trl_config import LORA_CONFIG, default_of
from mixplan.mixture.unread_rows import number, sources_of
from mixplan.plan.grounds import Grounds
from mixplan.plan.job import packs
from mixplan.recipe import Recipe, TrainSpec
from mixplan.recipe.levers import unfit_for_replay_kl
from mixplan.recipe.spec import DuringSpec
from mixplan.runs import cached, content_hash, version_of
from mixplan.saved.levers import NOT_MEASURED, Lever
from mixplan.saved.plan import Mixture

PASSES_IN_FULL, PASSES_UNDER_ADAPTER = 3.0, 2.0
"""Forward passes that training on a token costs: the gradients of states cost one, those of weights another."""

COUNTED_ROWS = 200
"""Target rows of which own_voice's tokens are counted; those of more rows are taken to be as long."""
KL_WEIGHT = 10.0
"""What is offered: the weight that surely kept skills in recipes/studies/organism, where 1 was not shown to."""


@dataclass(frozen=True)
class Trained:
    """What a job trains on, as far as levers' prices need it.

    Attributes:
        target_tokens: Of the target's rows; None where tokens were not counted.
        domain_tokens: Of the domains' rows; likewise.
        domain_rows: Rows of domains in the mixture.
        alone: How often a target row would be read without domain rows; None likewise.
        passes: How often a row is read; None where that is not known before training.
        fixed: Whether `max_steps` is given, so that further rows take the place of others.
        forward: Forward passes that training on a token costs.
    """

    target_tokens: int | None
    domain_tokens: int | None
    domain_rows: int
    passes: float | None
    alone: float | None
    fixed: bool
    forward: float

    @property
    def target_work(self) -> float | None:
        """Forward passes of tokens that training on the target's rows alone costs; None where not known."""
        if not self.target_tokens or self.alone is None:
            return None
        return self.target_tokens * self.alone * self.forward


def levers_of(
    recipe: Recipe, mixture: Mixture, target: Domain, job: Job | None, grounds: Grounds, count: TokenCounter | None
) -> list[Lever]:
    """Price each lever that the recipe's job could have.

    Args:
        recipe: The recipe, its budget a number.
        mixture: As it was written.
        target: The opened target.
        job: What is trained, where that is known.
        grounds: What this model's studies say of rows.
        count: What counts tokens; None where nothing does.
    """
    trained = trained_on(recipe.train, mixture, job)
    found = [rows(recipe, mixture, trained, grounds)]
    if recipe.train.method == "sft":
        found += [own_voice(recipe, target, trained, count), replay_kl(recipe, trained)]
    return [*found, *weaker(recipe.train, job), checkpoint(recipe)]


def trained_on(train: TrainSpec, mixture: Mixture, job: Job | None) -> Trained:
    """What a job trains on."""
    taught = [part for part in mixture.parts if part.name == "target" or part.name.startswith("target.")]
    others = [part for part in mixture.parts if part not in taught]
    known = all(part.tokens is not None for part in mixture.parts)
    values = train.model_dump()
    try:
        steps = number(train.args, "max_steps", sources_of(values))
        passes = alone = number(train.args, "num_train_epochs", sources_of(values))
        if steps > 0:
            a_step = number(train.args, "per_device_train_batch_size", sources_of(values))
            a_step *= number(train.args, "gradient_accumulation_steps", sources_of(values))
            passes, alone = steps * a_step / mixture.rows, steps * a_step / sum(part.rows for part in taught)
    except (RunError, ValueError, TypeError, ZeroDivisionError):  # a file or value that TRL refuses later
        steps, passes, alone = 0.0, None, None
    # How many rows a step of packed ones reads is not known, but how often an epoch does.
    counted = not steps > 0 if packs(values) else job is not None
    return Trained(
        target_tokens=sum(part.tokens or 0 for part in taught) if known else None,
        domain_tokens=sum(part.tokens or 0 for part in others) if known else None,
        domain_rows=sum(part.rows for part in others),
        passes=passes if counted else None,
        alone=alone if counted else None,
        fixed=steps > 0,
        forward=PASSES_IN_FULL if train.lora is None else PASSES_UNDER_ADAPTER,
    )


def share(work: float | None, trained: Trained) -> float | None:
    """Forward passes of tokens as a share of training on the target alone; None where either is not known."""
    return None if work is None or trained.target_work is None else work / trained.target_work


def rows(recipe: Recipe, mixture: Mixture, trained: Trained, grounds: Grounds) -> Lever:
    """Domain rows as planned."""
    passes, tokens = trained.passes, trained.domain_tokens
    work = None if tokens is None or passes is None else 0.0 if trained.fixed else tokens * passes * trained.forward
    counted = "tokens of the mixture's domain rows, once"
    if recipe.train.method == "grpo":
        counted += " with their reference answers; how long the answers are that GRPO samples is not known"
        work = None if work else work
    evidence = NOT_MEASURED
    if grounds.total is not None:
        evidence = grounds.total.text
    elif grounds.amount is not None and grounds.amount.unit is not None:
        evidence = grounds.amount.text
    unit = "rows" if recipe.budget.rows is not None else "tokens"
    amount = mixture.rows - mixture.target_rows if unit == "rows" else (tokens or 0)
    return Lever(
        name="rows",
        recipe=f"budget.{unit}={amount or ('auto' if unit == 'rows' else 0)}",
        on=trained.domain_rows > 0,
        tokens=tokens,
        time=share(work, trained),
        counted=f"{counted}; `max_steps` is fixed, so that they take the place of target rows"
        if trained.fixed
        else counted,
        evidence=evidence,
    )


def own_voice(recipe: Recipe, target: Domain, trained: Trained, count: TokenCounter | None) -> Lever:
    """Target answers in the model's own words: what is read and written while planning."""
    taken = [
        selection.domain.pool[selection.position(place)]
        for selection in take_target(target, recipe.mixture.target_rows)
        for place in range(selection.count)
    ]
    tokens = None
    if count is not None and count.question is not None:
        some = taken[:COUNTED_ROWS]
        tokens = round(own_voice_tokens(some, count) * len(taken) / len(some)) if some else 0
    return Lever(
        name="own_voice",
        recipe="mixture.target_answers=own_voice",
        on=recipe.mixture.target_answers == "own_voice",
        tokens=tokens,
        time=share(None if tokens is None else float(tokens), trained),
        counted="this job cannot have it: the target's grader none accepts no other words"
        if target.grader == "none"
        else "tokens read and written once while planning, each at one forward pass, counted of "
        f"{min(len(taken), COUNTED_ROWS)} rows; rewrites are taken to be as long as given answers, and writing is "
        "slower than reading",
        evidence=NOT_MEASURED,
    )


def own_voice_tokens(rows: Sequence[Row], count: TokenCounter) -> int:
    """Tokens read and written for these rows' answers in the model's own words, kept for the next plan."""
    question = count.question
    assert question is not None
    asked = [(messages(row), prompt, row.answer) for row in rows if (prompt := prompt_of(row)) is not None]

    def made() -> int:
        # Asked with the given answer, answered at its length, and both answers read once for their surprise.
        read = sum(question(prompt) + 3 * count.count(given, answer) for given, prompt, answer in asked)
        return read - sum(question(given) for given, _, _ in asked)

    tokens: int = cached("counts", content_hash("own voice", version_of("tokenizers"), count.fingerprint, asked), made)
    return tokens


def replay_kl(recipe: Recipe, trained: Trained) -> Lever:
    """KL to the untrained model on domain rows: one more pass over them, without gradients."""
    tokens = None
    if trained.domain_tokens is not None and trained.passes is not None:
        tokens = round(trained.domain_tokens * trained.passes)
    weight = recipe.train.replay_kl.weight if recipe.train.replay_kl else 0.0
    counted = "the domain rows' tokens, each time they are trained on, at one forward pass"
    if trained.domain_rows == 0:
        counted = "there are no domain rows, so that it does nothing: it needs a budget"
    elif (why := unfit_for_replay_kl(recipe.train)) is not None:
        counted = f"this job cannot have it: {why}"
    elif recipe.train.lora is None:
        counted += "; a frozen copy of the model needs its memory once more"
    return Lever(
        name="replay_kl",
        recipe=f"train.replay_kl.weight={weight or KL_WEIGHT:g}",
        on=weight > 0,
        tokens=tokens,
        time=share(None if tokens is None else float(tokens), trained),
        counted=counted,
        evidence=NOT_MEASURED,
    )


def weaker(train: TrainSpec, job: Job | None) -> Iterator[Lever]:
    """Half the learning rate, and half the rank of an adapter with the same factor on it; neither costs anything."""
    free = "the same tokens and passes; a weaker job may need more steps for as much gain, which is not counted"
    if job is not None:
        yield Lever(
            name="half_rate",
            recipe=f"train.args.learning_rate={job.learning_rate / 2:g}",
            on=False,
            tokens=0,
            time=0.0,
            counted=free,
            evidence=NOT_MEASURED,
        )
    rank, alpha = ((train.lora or {}).get(key, default_of(LORA_CONFIG, key)) for key in ("r", "lora_alpha"))
    if train.lora is not None and isinstance(rank, int) and rank >= 2:
        less: dict[str, float] = {"r": rank // 2}
        if not train.lora.get("use_rslora") and isinstance(alpha, int | float):
            # What an adapter adds is multiplied by alpha / r, which half the rank alone would double.
            less["lora_alpha"] = alpha * (rank // 2) / rank
        yield Lever(
            name="half_rank",
            recipe=" ".join(f"train.lora.{key}={value:g}" for key, value in less.items()),
            on=False,
            tokens=0,
            time=0.0,
            counted=free,
            evidence=NOT_MEASURED,
        )


def checkpoint(recipe: Recipe) -> Lever:
    """The checkpoint that a monitor chooses: measuring takes at most a share of the training's time."""
    during = recipe.evaluate.during
    return Lever(
        name="checkpoint",
        recipe="evaluate.during.keep=best",
        on=during is not None and during.keep == "best",
        tokens=None,
        time=(during or DuringSpec()).cost,
        counted="at most `evaluate.during.cost` of the whole training's time; tokens depend on how often that allows",
        evidence=NOT_MEASURED,
    )
