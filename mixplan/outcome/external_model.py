"""Finds a model that was trained without mixplan, and has it read what the untrained model reads."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from mixplan.domains import Row
from mixplan.errors import ModelError, RunError
from mixplan.evaluate.prompts import prompt_text, token_ids
from mixplan.model import Model
from mixplan.model.trained import ending_as_trained
from mixplan.runs import quoted
from mixplan.saved import read_outcome
from mixplan.saved.outcome import Harness

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
READ = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.py"]
"""A model's files on the hub that are fetched; weights that are pickles are not."""
ADAPTER = "adapter_config.json"
TRAINERS = "training_args.bin"
"""What transformers' Trainer saves beside each model."""


@dataclass(frozen=True)
class Judged:
    """A model that was trained without mixplan.

    Attributes:
        folder: Its files.
        given: How the person named it.
        label: What its measures are kept under; None where it stands in the run folder itself.
        hash: Of its weights, or of what another harness measured of it.
        harness: What measured it, where that was not mixplan.
    """

    folder: Path
    given: str
    label: str | None = None
    hash: str = ""
    harness: Harness | None = None


def find_judged(run: Path, given: str | None, label: str | None) -> Judged | None:
    """Find the model to judge.

    Args:
        run: The run folder.
        given: A folder or a hub id; the model in the run folder when None.
        label: What to keep its measures under; its own name when None.

    Returns:
        None where no model is named and the run folder holds none but mixplan's own.

    Raises:
        RunError: the label cannot name a folder.
        ModelError: there is no such folder, and it is on no hub that can be reached.
    """
    if given is None:
        return Judged(run / "model", str(run / "model")) if is_foreign(run) else None
    folder = Path(given).expanduser()
    if not folder.is_dir() and (given.startswith((".", "/", "~")) or given.count("/") != 1):
        raise ModelError(f"{given}: there is no such folder. Give the folder of a trained model, or a hub id.")
    name = (folder.resolve().name if folder.is_dir() else given.replace("/", "--")) if label is None else label
    hold_label(name)
    return Judged(folder if folder.is_dir() else from_hub(given), given, name)


def hold_label(name: str) -> None:
    """Hold that a label can name a folder.

    Raises:
        RunError: it cannot.
    """
    if not LABEL.fullmatch(name):
        raise RunError(
            f"the label {name!r} cannot name a folder. Give another one with `--label NAME`: at most 100 letters, "
            "digits, `_`, `.` or `-`, the first a letter or digit."
        )


def hold_same(folder: Path, model: str, *, harness: bool) -> None:
    """Hold that a label's folder is free, or holds what was measured of the same model by the same means.

    Models are often called alike (`model`, `final`, `checkpoint-500`), and one outcome is not to replace another's.

    Args:
        folder: Of the label.
        model: Folder or hub id of the model, or its name in another harness's results.
        harness: Whether another harness has measured it.

    Raises:
        RunError: the folder holds another model's outcome, or another harness's.
    """
    try:
        earlier = read_outcome(folder)
    except RunError:
        return  # damaged: it is written anew
    if earlier is None or earlier.elsewhere is None:
        return
    kind = (earlier.elsewhere.harness is not None) == harness
    if kind and os.path.realpath(earlier.elsewhere.model) == os.path.realpath(model):
        return
    by = earlier.elsewhere.harness.name if earlier.elsewhere.harness else "mixplan"
    raise RunError(
        f"{folder}: holds what {by} measured of '{earlier.elsewhere.model}'. Give another name with `--label NAME`, or "
        "move that folder away."
    )


def from_hub(name: str) -> Path:
    """Fetch a model from the hub, or find it in its cache.

    Raises:
        ModelError: it cannot be had.
    """
    try:
        return Path(snapshot_download(name, allow_patterns=READ))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:  # of three families
        why = " ".join(str(error).split()).split(". ")[0][:200]
        raise ModelError(
            f"{name}: neither a folder nor a model that the hub gave. Check the name, or fetch it once with "
            f"`hf download {name}`. (huggingface_hub: {why})"
        ) from error


def is_foreign(run: Path) -> bool:
    """Whether a run folder holds a trained model that no job of mixplan's has left there.

    Beside a job of mixplan's, one that another trainer has written over its model shows by what transformers' Trainer
    leaves in its output folder, and mixplan does not.
    """
    model, job = run / "model", run / "training" / "job.json"
    if not any((model / name).is_file() for name in (ADAPTER, "config.json")):
        return False
    return not job.exists() or (model / TRAINERS).is_file() or any(model.glob("checkpoint-*"))


def refuse_foreign(run: Path) -> None:
    """Hold that training replaces no model that mixplan did not train.

    Raises:
        RunError: there is one in the run folder.
    """
    if is_foreign(run):
        raise RunError(
            f"{run / 'model'}: holds a model that mixplan did not train, which training would replace. Measure it with "
            f"`mixplan eval {quoted(run)}`, or move it to another folder first."
        )


def comparable(trained: Model, untrained: Model, rows: Iterable[Row], place: Path) -> tuple[Model, list[str]]:
    """Have a trained model read what the untrained one reads: the same tokens behind the same template.

    Args:
        trained: As its own folder describes it.
        untrained: The plan's model.
        rows: Evaluation rows.
        place: The trained model's folder, for messages.

    Returns:
        The trained model with the untrained one's tokenizer and chat template, still ending its answers as its own
        tokenizer says, and what a reader should know.

    Raises:
        ModelError: its own tokenizer reads the very same text as other tokens.
    """
    warnings = list(base_of(place, untrained))
    if trained.adapter is not None or trained.tokenizer is untrained.tokenizer:
        return trained, warnings
    listed = list(rows)
    texts = [prompt_text(untrained, row) for row in listed]
    others = sum(token_ids(trained, text) != token_ids(untrained, text) for text in texts)
    if others:
        raise ModelError(
            f"{place}: its tokenizer reads {others} of {len(texts)} evaluation prompts as other tokens than that of "
            f"'{untrained.name}', so that answers cannot be compared item by item. Judge a model that was trained from "
            f"'{untrained.name}', or plan for its own base model."
        )
    try:
        rendered = sum(prompt_text(trained, row) != text for row, text in zip(listed, texts, strict=True))
    except ModelError:
        rendered = len(listed)
    if rendered:
        warnings.append(
            f"The chat template in {place.name} writes {rendered} of {len(texts)} evaluation prompts in another way "
            f"than that of '{untrained.name}'. Both models were measured with the latter: serve the trained model with "
            "it, or what is served is not what was measured."
        )
    read_alike = replace(trained, tokenizer=untrained.tokenizer, template_date=untrained.template_date)
    # With its tokenizer goes the token that it was taught to end its answers with.
    return ending_as_trained(read_alike, place), warnings


def base_of(place: Path, untrained: Model) -> Iterable[str]:
    """Say that an adapter was trained on a model of another name than the one it is put on."""
    try:
        base = json.loads((place / ADAPTER).read_bytes()).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):  # no JSON, or JSON that is no object
        return
    known = {untrained.name, untrained.place, str(Path(untrained.place).resolve())}
    if isinstance(base, str) and base not in known and str(Path(base).resolve()) not in known:
        yield (
            f"The adapter in {place.name} says that it was trained on {base!r}; here it is put on "
            f"'{untrained.name}', the plan's model. Where these differ, it was not trained for the weights under it."
        )
