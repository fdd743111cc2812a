"""Measures a trained SAE on held-out tokens, and writes its card: where it came from and how well it fits."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixplan.model import Model
from mixplan.recipe import SaeSpec
from mixplan.runs import file_hash, write_atomic, write_json
from mixplan.sae import load_sae
from mixplan.sae.corpus import Contexts, Corpus
from mixplan.sae.health import check_health
from mixplan.sae.spec import SaeTraining
from mixplan.sae.train import contexts_to_train, read_activations, without_sinks

LIBRARIES = ("sae-lens", "torch", "transformers")


Card = dict[str, Any]
"""What card.json says of a trained SAE."""


def measure_card(spec: SaeTraining, model: Model, corpus: Corpus, folder: Path, *, command: str) -> Card:
    """Measure the saved SAE on held-out tokens of each kind and of all together, and note where it came from.

    Args:
        spec: The training.
        model: The model it was trained on.
        corpus: With its held-out contexts.
        folder: Where the SAE was saved.
        command: What trained it.

    Returns:
        JSON values, also written to `card.json`.
    """
    sae = load_sae(SaeSpec(path=str(folder.resolve()), hook_name=spec.hook_name), model)

    def streams(contexts: Contexts) -> Iterator[Tensor]:
        for start in range(0, len(contexts), spec.batch_contexts):
            batch = contexts[start : start + spec.batch_contexts]
            yield without_sinks(read_activations(model, sae.depth, batch, spec.batch_contexts)).to(model.device)

    with torch.inference_mode():
        heldout = {kind: vars(check_health(sae, streams(contexts))) for kind, contexts in corpus.heldout.items()}
        everything = np.concatenate(list(corpus.heldout.values()))
        heldout["all"] = vars(check_health(sae, streams(everything)))
    card = {
        "model": spec.model,
        "hook_name": spec.hook_name,
        "kind": spec.trainer.kind,
        "d_in": sae.d_in,
        "d_sae": sae.d_sae,
        "command": command,
        "seed": spec.seed,
        "tokens": len(contexts_to_train(spec, corpus)) * (spec.context_tokens - 1) * spec.trainer.passes,
        "corpus": {"documents": corpus.documents, "excluded": corpus.excluded, "licences": corpus.licences,
                   "fingerprint": corpus.fingerprint},
        "training": spec.model_dump(mode="json"),
        "heldout": heldout,
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "sha256": file_hash(folder / "sae_weights.safetensors"),
    }  # fmt: skip
    write_json(folder / "card.json", card)
    return card


def card_text(card: Card, folder: Path) -> None:
    """Write the card as README.md beside the SAE."""
    trainer = card["training"]["trainer"]
    rows = [
        f"| {kind} | {figures['tokens']:,} | {figures['fvu']:.3f} | {figures['l0']:.1f} | {figures['dead_share']:.1%} |"
        for kind, figures in card["heldout"].items()
    ]
    size = f"{card['d_sae']:,} features on {card['d_in']} dimensions"
    settings = (
        f"learning rate {trainer['learning_rate']}, batches of {trainer['batch_tokens']:,} tokens, k = {trainer['k']}"
    )
    kinds = ", ".join(f"{name} ({count:,} documents)" for name, count in card["corpus"]["documents"].items())
    text = f"""# SAE of `{card["model"]}` at `{card["hook_name"]}`

{card["kind"]}, {size}, trained with SAELens on {card["tokens"]:,} tokens.

    {card["command"]}

Seed {card["seed"]}, {settings}.
Corpus: {kinds}; {card["corpus"]["excluded"]} documents were left out because a domain suite may hold them out.
Licences of the texts: {", ".join(card["corpus"]["licences"])}. Everything else about the training is in `card.json`.

| held-out tokens | count | fraction of variance unexplained | active features per token (L0) | dead features |
|---|---|---|---|---|
{chr(10).join(rows)}

Held-out documents were not trained on; a feature is dead when it fires on none of a row's tokens. Each context's first
token and other attention sinks (norm over ten times the median) are left out of training and of these figures.
"""
    write_atomic(folder / "README.md", text.encode())
