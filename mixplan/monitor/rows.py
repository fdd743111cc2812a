"""Chooses the evaluation rows that are measured while a model trains, and lays them out as tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mixplan.domains import Domain, Row, by_name
from mixplan.evaluate.behaviour import kept_answers
from mixplan.evaluate.choice import ask_choice
from mixplan.evaluate.likelihood import ask_likelihood
from mixplan.evaluate.measure import answers_key, headline, identity, kept_place
from mixplan.evaluate.packing import Tree
from mixplan.evaluate.prompts import prompt_text, token_ids
from mixplan.model import Model, generate
from mixplan.recipe import DuringSpec, EvaluateSpec
from mixplan.runs import cache_folder, canonical_json, content_hash, seal, unseal, write_atomic
from mixplan.saved import Plan

Ids = tuple[int, ...]
Answers = dict[str, dict[str, Ids]]
"""A model's answers by part and row id."""


@dataclass(frozen=True)
class Text:
    """A prompt with one continuation.

    Attributes:
        ids: Token ids of both.
        start: Where the continuation begins, at least 1.
    """

    ids: Ids
    start: int

    @property
    def targets(self) -> Ids:
        """The continuation's tokens."""
        return self.ids[self.start :]

    @property
    def tree(self) -> Tree:
        """The prompt with this one continuation."""
        return Tree(self.ids[: self.start], (self.targets,))


@dataclass(frozen=True)
class Scored:
    """A row whose continuations are scored: the options of a choice, or its reference answer.

    Attributes:
        row: The row.
        texts: One a continuation.
    """

    row: Row
    texts: tuple[Text, ...]

    @property
    def tree(self) -> Tree:
        """The prompt with all continuations."""
        return Tree(self.texts[0].tree.trunk, tuple(text.targets for text in self.texts))


@dataclass(frozen=True)
class Asked:
    """What is asked of a part.

    Attributes:
        name: The part's.
        measure: `choice` or `likelihood`.
        headline: The measure that stands for it before and after training.
        scored: Rows for the measure.
        own: The untrained model's own answers, by row id.
        rows: All its rows, by id.
    """

    name: str
    measure: str
    headline: str
    scored: tuple[Scored, ...]
    own: dict[str, Text]
    rows: dict[str, Row]


def chosen_rows(
    target: Domain, domains: Mapping[str, Domain], evaluate: EvaluateSpec, during: DuringSpec
) -> dict[str, tuple[Row, ...]]:
    """The first evaluation rows of the target and of each domain, whose order is drawn by the recipe's seed.

    Args:
        target: The opened target.
        domains: The opened domains.
        evaluate: The recipe's section.
        during: What is measured while training.
    """
    found = {}
    for name, domain in by_name(target, domains).items():
        most = during.target_rows if domain.is_taught else during.rows
        if rows := domain.evaluation[: evaluate.rows][:most]:
            found[name] = rows
    return found


def ask(
    model: Model, name: str, domain: Domain, rows: Sequence[Row], evaluate: EvaluateSpec, own: Mapping[str, Ids]
) -> Asked:
    """Lay out a part's rows; those that do not fit the model's window are left out.

    Graded answers would have to be generated at each measure: there the reference answer's likelihood is measured.

    Args:
        model: For its tokenizer, template and window.
        name: The part's.
        domain: Whose rows they are.
        rows: Which.
        evaluate: For its headline measure.
        own: The untrained model's answers by row id.
    """
    standing = headline(name, domain, evaluate)
    measure = "choice" if standing == "choice" else "likelihood"
    trees = ask_choice(model, rows) if measure == "choice" else ask_likelihood(model, rows)
    scored = tuple(
        Scored(row, tuple(Text((*tree.trunk, *branch), len(tree.trunk)) for branch in tree.branches))
        for row, tree in trees
    )
    asked = {row.id: token_ids(model, prompt_text(model, row)) for row in rows if own.get(row.id)}
    texts = {name: Text((*prompt, *own[name]), len(prompt)) for name, prompt in asked.items()}
    return Asked(name, measure, standing, scored, texts, {row.id: row for row in rows})


def baseline_answers(
    model: Model, plan: Plan, part: Sequence[Row], evaluate: EvaluateSpec, tokens: int
) -> dict[str, Ids] | None:
    """What the untrained model answered when the run was evaluated before training, cut to so many tokens.

    A greedy answer begins as any longer one does.

    Args:
        model: The live model, of the plan's weights.
        plan: The run's plan.
        part: All evaluation rows that were then measured of a part.
        evaluate: The recipe's section.
        tokens: Longest answer.

    Returns:
        None where they are not kept.
    """
    if plan.model.settings is None:
        return None
    untrained = replace(model, weights=plan.model.hash, settings=plan.model.settings, dtype=plan.model.dtype)
    kept = kept_answers(kept_place(answers_key(identity(untrained), part, evaluate.behaviour_tokens)))
    return None if kept is None else {name: ids[:tokens] for name, ids in kept.items()}


def own_answers(model: Model, rows: Sequence[Row], tokens: int) -> dict[str, Ids]:
    """The live model's greedy answers, made now where they are not kept; rows without room for them are left out.

    Args:
        model: The live model, before the first step.
        rows: Rows of any format.
        tokens: Longest answer.
    """
    place = answers_place(model, rows, tokens)
    if (kept := kept_answers(place)) is not None:
        return kept
    prompts = {row.id: prompt_text(model, row) for row in rows}
    fits = {name: text for name, text in prompts.items() if len(token_ids(model, text)) + tokens <= model.window}
    answers = generate(model, list(fits.values()), max_new_tokens=tokens)
    found = {name: answer.ids for name, answer in zip(fits, answers, strict=True)}
    write_atomic(place, seal(canonical_json(found).encode()))
    return found


def answers_place(model: Model, rows: Sequence[Row], tokens: int) -> Path:
    """Where a model's answers to some rows are kept."""
    key = content_hash("monitor", model.fingerprint, [prompt_text(model, row) for row in rows], tokens)
    return cache_folder() / "monitor" / f"{key}.json"


def keep_answers(file: Path, answers: Answers, tokens: int) -> None:
    """Keep what the untrained model answered, for a training that is resumed.

    Args:
        file: Beside its reference.
        answers: Those that are measured.
        tokens: The longest that was asked for.
    """
    write_atomic(file, seal(canonical_json({"tokens": tokens, "answers": answers}).encode()))


def first_answers(file: Path, tokens: int) -> Answers:
    """What the untrained model answered when training began; nothing where it was not kept, or for another length."""
    data = unseal(file)
    if data is None or (kept := json.loads(data))["tokens"] != tokens:
        return {}
    return {name: {row: tuple(ids) for row, ids in part.items()} for name, part in kept["answers"].items()}
