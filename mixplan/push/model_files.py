"""Gathers a trained model for a model repository: safetensors, what loads them, a model card and evaluation results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from mixplan.chat.named_templates import further_files
from mixplan.errors import RunError
from mixplan.mixture.licences import WORDS, restrictions
from mixplan.push.data_set import CARD
from mixplan.push.files_to_send import Gathered, Outgoing
from mixplan.push.licence_names import identifier
from mixplan.push.private import OwnPlaces
from mixplan.push.request import Stated
from mixplan.push.results import result_files
from mixplan.recipe import LoadedRecipe
from mixplan.report.model_card import Published, base_of, is_adapter, model_card
from mixplan.runs import content_hash, quoted, translated
from mixplan.saved import Outcome, Plan
from mixplan.saved.evaluation import read_evaluation
from mixplan.train.job import files_hash
from mixplan.weights import weight_files, weights_hash

CONFIGS = ("*.json", "*.jinja", "*.model", "*.txt")
"""Files beside the weights that load a model or its tokenizer; none of them can run code."""
NOT_CONFIGS = ("training_args", "trainer_state", "optimizer", "scheduler")
"""How files begin that a trainer leaves for itself."""
ADAPTER_CONFIG = "adapter_config.json"


def gather_model(
    run: Path, loaded: LoadedRecipe, measured: tuple[Plan, Outcome], stated: Stated, places: OwnPlaces
) -> Gathered:
    """What of a run's trained model goes to the hub.

    Args:
        run: The run folder.
        loaded: Its recipe.
        measured: Its plan and outcome.
        stated: What the person says of the repository.
        places: The machine's own paths.

    Raises:
        ModelError: its weights are not whole.
        RunError: there is no model, it has no safetensors, or it is not the one that was measured.
    """
    (plan, outcome), folder = measured, run / "model"
    weights = weight_files(folder)
    if not weights:
        pickles = ", ".join(sorted(path.name for path in folder.glob("*.bin")))
        found = (
            f"weights as pickles alone ({pickles}), which run code when they are loaded" if pickles else "no weights"
        )
        raise RunError(
            f"{folder}: found {found}, expected safetensors. Save the model again with "
            "`model.save_pretrained(FOLDER, safe_serialization=True)`."
        )
    refuse_other_plan(run, plan, outcome)
    refuse_other_model(run, outcome)
    licence = identifier(stated.licence) if stated.licence else None
    published = Published(stated.repo, stated.languages, licence, stated.base)
    files = [Outgoing(path.name, path) for path in weights]
    left: list[str] = []
    with translated(folder, reading=True):
        for path in sorted(folder.iterdir()):
            if path.is_file() and path not in weights and path.name != CARD:
                if loads(path):
                    files.append(config(path, plan, stated, places))
                else:
                    left.append(path.name)
        files += [Outgoing(path.relative_to(folder).as_posix(), path) for path in further_files(folder)]
    card = places.cleaned(model_card(plan, outcome, published))
    files += [Outgoing(CARD, card.encode()), *result_files(loaded, plan, outcome)]
    return Gathered("model", files, tuple(notes(loaded, plan, outcome, stated, left)))


def refuse_other_plan(run: Path, plan: Plan, outcome: Outcome) -> None:
    """Hold that a model was measured for the plan that the card describes.

    Raises:
        RunError: it was measured for another one.
    """
    if outcome.hashes.get("plan") != plan.hashes.get("plan"):
        raise RunError(
            f"{run}: outcome.json was measured for another plan than the one in plan.json, so the card would describe "
            f"rows that the model did not train on. Train on this plan: `mixplan train {quoted(run)}`."
        )


def refuse_other_model(run: Path, outcome: Outcome) -> None:
    """Hold that the model's figures are its own.

    Raises:
        RunError: the folder's files are not those that were measured.
    """
    found = weights_of(run) if outcome.elsewhere else files_hash(run / "model")
    if found != outcome.hashes["trained"]:
        raise RunError(
            f"{run / 'model'}: its files are not those that outcome.json measured, so the card's figures would be "
            f"another model's. Measure it: `mixplan eval {quoted(run)}`."
        )


def weights_of(run: Path) -> str:
    """The hash of a model that other software trained, as it was measured: an adapter's is taken with its base's."""
    folder = run / "model"
    found = weights_hash(weight_files(folder))
    if not (folder / ADAPTER_CONFIG).is_file():
        return found
    settings = json.loads((folder / ADAPTER_CONFIG).read_bytes())
    settings = {name: value for name, value in settings.items() if name != "base_model_name_or_path"}
    return content_hash(read_evaluation(run / "evaluation" / "before.json").model.hash, found, settings)


def loads(path: Path) -> bool:
    """Whether a file beside the weights is one that loads a model or tokenizer."""
    return any(path.match(pattern) for pattern in CONFIGS) and not path.name.startswith(NOT_CONFIGS)


def config(path: Path, plan: Plan, stated: Stated, places: OwnPlaces) -> Outgoing:
    """A file beside the weights, without paths of this machine, an adapter's with the hub's name of its base."""
    if not path.name.endswith("config.json"):
        return Outgoing(path.name, path)  # a vocabulary among others, in which a path may be a token
    text = path.read_text(encoding="utf-8")
    if path.name == ADAPTER_CONFIG:
        values = json.loads(text)
        base = stated.base or base_of(plan)
        if base is not None:
            values["base_model_name_or_path"] = base
            text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    cleaned = places.cleaned(text)
    return Outgoing(path.name, cleaned.encode())


def notes(loaded: LoadedRecipe, plan: Plan, outcome: Outcome, stated: Stated, left: list[str]) -> Iterator[str]:
    """What to know before the model goes."""
    for kind, words in WORDS.items():
        names = [
            name
            for name, (_, spec) in loaded.recipe.row_sections.items()
            if kind in restrictions(spec) and trained_rows(plan, name)
        ]
        if names:
            listed = ", ".join(f"{name} {trained_rows(plan, name):,}" for name in names)
            yield f"Rows that it was trained on {words}: {listed}."
    if outcome.elsewhere:
        yield "It was trained without mixplan: the card says so."
    if is_adapter(plan) and not (stated.base or base_of(plan)):
        yield (
            "Its untrained model is from a folder of this machine, so nobody can load the adapter by its config: "
            "`--base-model NAME` states the hub's name of it."
        )
    if left:
        yield f"Left out, as files that no model is loaded from: {', '.join(left)}."
    if not stated.licence:
        yield "The card's licence is `unknown`: `--license ID` states one."
    if not stated.languages:
        yield "The card names no language: `--language en`, once for each, states it."
    if not any(True for _ in result_files(loaded, plan, outcome)):
        yield (
            "No `.eval_results`, which the hub takes for shares of right answers on the test or validation split of a "
            "data set of its own: the card's table has all figures."
        )


def trained_rows(plan: Plan, name: str) -> int:
    """Rows of a part in the plan's mixture."""
    parts = plan.mixture.parts if plan.mixture else []
    return next((part.rows for part in parts if part.name == name), 0)
