"""Chooses the evaluation rows that are measured while a model trains, and lays them out as tokens."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
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
Place = tuple[str, str]
"""A part's name and a row's id."""
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
        own: The untrained model's own answers, by row id; of rows that it has not answered yet, none.
        rows: All its rows, by id.
        prompts: Their prompts' tokens.
    """

    name: str
    measure: str
    headline: str
    scored: tuple[Scored, ...]
    own: dict[str, Text]
    rows: dict[str, Row]
    prompts: dict[str, Ids]

    def answered(self, answers: Mapping[str, Ids]) -> Asked:
        """With the untrained model's answers, by row id; an empty one is none."""
        texts = {
            row: Text((*self.prompts[row], *answers[row]), len(self.prompts[row]))
            for row in self.rows
            if answers.get(row)
        }
        return replace(self, own=texts)

    def only(self, rows: Collection[str]) -> Asked:
        """With these rows alone."""
        return replace(
            self,
            scored=tuple(one for one in self.scored if one.row.id in rows),
            own={row: text for row, text in self.own.items() if row in rows},
            rows={row: one for row, one in self.rows.items() if row in rows},
            prompts={row: ids for row, ids in self.prompts.items() if row in rows},
        )

    def tokens(self, row: str, longest: int) -> int:
        """What a measure reads of a row, with an answer of so many tokens."""
        trees = [one.tree for one in self.scored if one.row.id == row]
        return len(self.prompts[row]) + longest + sum(len(tree.trunk) + sum(map(len, tree.branches)) for tree in trees)


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


def ask(model: Model, name: str, domain: Domain, rows: Sequence[Row], evaluate: EvaluateSpec, *, tokens: int) -> Asked:
    """Lay out a part's rows; those that do not fit the model's window, with an answer of their own too, are left out.

    Graded answers would have to be generated at each measure: there the reference answer's likelihood is measured.

    Args:
        model: For its tokenizer, template and window.
        name: The part's.
        domain: Whose rows they are.
        rows: Which.
        evaluate: For its headline measure.
        tokens: The longest own answer.
    """
    standing = headline(name, domain, evaluate)
    measure = "choice" if standing == "choice" else "likelihood"
    prompts = {row.id: token_ids(model, prompt_text(model, row)) for row in rows}
    rows = [row for row in rows if len(prompts[row.id]) + tokens <= model.window]
    trees = ask_choice(model, rows) if measure == "choice" else ask_likelihood(model, rows)
    scored = tuple(
        Scored(row, tuple(Text((*tree.trunk, *branch), len(tree.trunk)) for branch in tree.branches))
        for row, tree in trees
    )
    fits = {row.id: row for row, _ in trees}
    return Asked(name, measure, standing, scored, {}, fits, {row: prompts[row] for row in fits})


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


def own_answers(
    model: Model, prompts: Mapping[Place, Ids], texts: Mapping[Place, str], tokens: int
) -> dict[Place, Ids]:
    """The untrained model's greedy answers, made now where they are not kept; rows without room for them have none.

    Args:
        model: The live model with the weights of its beginning.
        prompts: The prompt's tokens of each row.
        texts: Its text.
        tokens: Longest answer.
    """
    fits = [place for place, ids in prompts.items() if len(ids) + tokens <= model.window]
    kept = {place: kept_answers(answer_place(model, texts[place], tokens)) for place in fits}
    found = {place: answer["ids"] for place, answer in kept.items() if answer is not None}
    lacking = [place for place in fits if place not in found]
    answers = generate(model, [texts[place] for place in lacking], max_new_tokens=tokens)
    for place, answer in zip(lacking, answers, strict=True):
        found[place] = answer.ids
        write_atomic(answer_place(model, texts[place], tokens), seal(canonical_json({"ids": answer.ids}).encode()))
    return found


def answer_place(model: Model, prompt: str, tokens: int) -> Path:
    """Where a model's answer to a prompt is kept."""
    key = content_hash("monitor", model.fingerprint, prompt, tokens)
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
