"""Asks the untrained model for its own answers and how surprising others are; it is loaded when first asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from mixplan.domains import Row
from mixplan.mixture import Untrained
from mixplan.reading.progress import Watcher
from mixplan.recipe import LoadedRecipe
from mixplan.runs import cache_folder, content_hash
from mixplan.saved.scores import Scores

Messages = list[dict[str, str]]
"""A conversation: `role` and `content` of each turn."""


@dataclass(frozen=True)
class ReadBy:
    """The model that a mixture is for.

    Attributes:
        model: Hashes and names that tell its answers from any other model's: its weights, its compute type, its
            settings, its chat template.
        tokenizer: Hash of the kept text that counts tokens as its tokenizer does; None where none does.
    """

    model: tuple[str | None, ...]
    tokenizer: str | None

    @property
    def dtype(self) -> str:
        """The compute type that its answers are made and kept in."""
        return str(self.model[1])

    @classmethod
    def of(cls, scores: Scores) -> ReadBy:
        """The model that was scored."""
        model = scores.model
        return cls((model.hash, model.dtype, model.settings, model.chat_template), scores.tokenizer)


def untrained_of(loaded: LoadedRecipe, read_by: ReadBy, watcher: Watcher) -> Untrained:
    """The recipe's model as a mixture asks it; nothing is loaded before it is asked.

    Args:
        loaded: The recipe.
        read_by: The model, by what its answers are kept under.
        watcher: Told when the model is loaded.
    """
    tokens = loaded.recipe.mixture.answer_tokens

    @cache
    def model() -> Any:
        from mixplan.model import load_model  # loads torch, which given answers do not need

        watcher.say(f"loading {loaded.recipe.model.name} for its own answers")
        # In the type that its answers are kept under: `auto` might choose another one at each loading.
        spec = loaded.recipe.model.model_copy(update={"dtype": read_by.dtype})
        return load_model(spec, folder=loaded.folder(("model", "name")))

    return Untrained(
        generate=lambda prompts: answered(model(), prompts, tokens),
        fingerprint=content_hash(*read_by.model, read_by.tokenizer, "greedy", tokens),
        cache=cache_folder() / "answers",
        fits=lambda prompts: fits(model(), prompts, tokens),
        surprise=lambda rows, answers: surprise(model(), rows, answers),
    )


def answered(model: Any, prompts: Sequence[Messages], tokens: int) -> list[tuple[str, bool]]:
    """Answer prompts greedily with at most so many new tokens: each text, and whether the model ended it.

    A prompt that does not fit the model's window with so many tokens behind it gets no text: beyond its window a model
    says what it was never trained to say.
    """
    from mixplan.model import generate, spoken

    places = [place for place, fit in enumerate(fits(model, prompts, tokens)) if fit]
    answers = generate(model, [rendered(model, prompts[place]) for place in places], max_new_tokens=tokens)
    texts = zip(places, spoken(model, answers), answers, strict=True)
    said = {place: (text, answer.finished) for place, text, answer in texts}
    return [said.get(place, ("", False)) for place in range(len(prompts))]


def rendered(model: Any, prompt: Messages) -> str:
    """A prompt as the model reads it, up to where its answer begins."""
    from mixplan.model import render

    return render(model, [(turn["role"], turn["content"]) for turn in prompt], awaiting=True)


def fits(model: Any, prompts: Sequence[Messages], tokens: int) -> list[bool]:
    """Whether each prompt fits the model's window with so many new tokens behind it."""
    from mixplan.evaluate.prompts import token_ids

    return [len(token_ids(model, rendered(model, prompt))) + tokens <= model.window for prompt in prompts]


def surprise(model: Any, rows: Sequence[Row], answers: Sequence[str]) -> list[tuple[float, int] | None]:
    """Measure how surprising an answer to each row is.

    Args:
        model: The model.
        rows: Rows of any format; only their prompts are used.
        answers: One a row.

    Returns:
        The answer's negative log-likelihood behind the prompt, in nats, and its tokens as they are trained, without
        the end of the turn; None for a row that does not fit the model's window.
    """
    from mixplan.evaluate.prompts import tree_of
    from mixplan.evaluate.scoring import score_continuations

    trees = [tree_of(model, row, [answer]) for row, answer in zip(rows, answers, strict=True)]
    places = [place for place, tree in enumerate(trees) if tree.longest <= model.window]
    scored = score_continuations(model, [trees[place] for place in places])
    found = {place: (-one.log, len(one.logs)) for place, (one,) in zip(places, scored, strict=True)}
    return [found.get(place) for place in range(len(rows))]
