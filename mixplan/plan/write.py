"""Writes the planned rows as a mixture; the model is loaded only when its own answers are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixplan import embedded
from mixplan.domains import Domain
from mixplan.mixture import Progress, Untrained, build_mixture, describe
from mixplan.reading.progress import Watcher
from mixplan.reading.tokenizer import kept_counter
from mixplan.recipe import LoadedRecipe
from mixplan.recipe.paths import local_path
from mixplan.runs import cache_folder, content_hash
from mixplan.saved import plan as saved
from mixplan.saved.scores import Scores


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

    @classmethod
    def of(cls, scores: Scores) -> ReadBy:
        """The model that was scored."""
        model = scores.model
        return cls((model.hash, model.dtype, model.settings, model.chat_template), scores.tokenizer)


def write_mixture(
    loaded: LoadedRecipe,
    folder: Path,
    target: Domain,
    domains: Mapping[str, Domain],
    rows: Mapping[str, int],
    read_by: ReadBy,
    watcher: Watcher,
) -> saved.Mixture:
    """Write the mixed data set.

    Args:
        loaded: The recipe.
        folder: The run folder.
        target: The opened target.
        domains: The opened domains.
        rows: Planned rows by domain.
        read_by: The model.
        watcher: Told of progress.

    Returns:
        The mixture, for the plan.
    """
    recipe = loaded.recipe
    untrained = None
    if recipe.mixture.answers == "self" and any(rows.values()):
        untrained = Untrained(
            generate=answerer(loaded, watcher),
            fingerprint=content_hash(*read_by.model, "greedy", recipe.mixture.answer_tokens),
            cache=cache_folder() / "answers",
        )
    made = build_mixture(
        target=target,
        domains=domains,
        rows=rows,
        spec=recipe.mixture,
        budget_max_repeats=recipe.budget.max_repeats,
        train=recipe.train,
        model=recipe.model,
        model_path=model_path(loaded),
        seed=recipe.seed,
        folder=folder / "mixture",
        untrained=untrained,
        count_tokens=kept_counter(loaded, read_by.tokenizer, (*target.parts, *domains.values()), watcher),
        progress=in_steps(watcher),
    )
    if made.set_aside is not None:
        watcher.say(f"{made.folder} held a damaged or foreign file; it is now {made.set_aside}")
    return saved.Mixture.model_validate(
        describe(made).fields()
        | {
            "folder": "mixture",
            "config": f"mixture/{recipe.train.method}.yaml",
            "target_rows": sum(part.rows for part in made.parts[: len(target.parts)]),
        }
    )


def in_steps(watcher: Watcher) -> Progress:
    """What tells a watcher how far each step is, from how many of its rows are done."""
    step, last = "", 0

    def progress(name: str, done: int, total: int) -> None:
        nonlocal step, last
        if name != step:
            step, last = name, 0
            watcher.stage(name, total, "rows")
        watcher.advance(done - last)
        last = done

    return progress


def model_path(loaded: LoadedRecipe) -> str:
    """From where TRL loads the model: a hub id, or an absolute folder."""
    name = loaded.recipe.model.name
    if name == "embedded":
        return str(embedded.converted_folder())
    local = loaded.folder(("model", "name")) / local_path(name)
    return str(local.resolve()) if local.is_dir() else name


def answerer(loaded: LoadedRecipe, watcher: Watcher) -> Any:
    """What answers prompts with the untrained model, loaded when the first answer is asked for."""
    kept: list[Any] = []

    def answer(prompts: Sequence[Sequence[Mapping[str, str]]]) -> list[tuple[str, bool]]:
        from mixplan.model import generate, load_model, render, spoken  # loads torch, which gold answers do not need

        if not kept:
            watcher.say(f"loading {loaded.recipe.model.name} for its own answers")
            kept.append(load_model(loaded.recipe.model, folder=loaded.folder(("model", "name"))))
        model = kept[0]
        texts = [
            render(model, [(turn["role"], turn["content"]) for turn in prompt], awaiting=True) for prompt in prompts
        ]
        answers = generate(model, texts, max_new_tokens=loaded.recipe.mixture.answer_tokens)
        return [(text, answer.finished) for text, answer in zip(spoken(model, answers), answers, strict=True)]

    return answer
