"""Trains an SAE, measures it, and leaves a folder with the SAE in SAELens's layout and its card."""

from __future__ import annotations

import json
from pathlib import Path

from mixplan.model import Model
from mixplan.runs import locked
from mixplan.sae import blocks_before
from mixplan.sae.card import Card, card_text, measure_card
from mixplan.sae.corpus import Corpus
from mixplan.sae.spec import SaeTraining
from mixplan.sae.train import Report, save_trained, train_sae


def make_sae(
    spec: SaeTraining,
    model: Model,
    corpus: Corpus,
    out: Path,
    *,
    command: str,
    report: Report,
    activations: Path | None = None,
) -> Card:
    """Train an SAE, going on where a training of the folder was stopped, and measure it on held-out tokens.

    Args:
        spec: The whole training.
        model: The model whose stream is read.
        corpus: Token contexts.
        out: Where checkpoints (in work/), the SAE and its card go.
        command: What asks for it, for the card.
        report: Told of progress.
        activations: As for `train_sae`.

    Returns:
        The card's JSON values.

    Raises:
        RunError: the folder is in use, or its checkpoint belongs to another training.
    """
    with locked(out):
        depth = blocks_before(spec.hook_name, str(out))
        work = out / "work"
        sae = train_sae(spec, model, corpus, depth=depth, folder=work, report=report, activations=activations)
        save_trained(sae, out)
        card = measure_card(spec, model, corpus, out, command=command)
        card_text(card, out)
    return card


def is_made(spec: SaeTraining, out: Path) -> bool:
    """Whether a folder holds the SAE of this very training, measured."""
    try:
        card = json.loads((out / "card.json").read_bytes())
        return bool(card["training"] == spec.model_dump(mode="json")) and (out / "README.md").is_file()
    except (OSError, ValueError, KeyError, TypeError):  # no card, or JSON of another shape
        return False
