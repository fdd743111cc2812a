"""Computes features in NumPy from whole sequences, one by one, for tests of what the package sums up as it reads."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file

from mixplan.domains import Row
from mixplan.features.queries import in_front
from mixplan.features.turns import query_tokens
from mixplan.model import Model, load_model
from mixplan.recipe import ModelSpec, SaeSpec
from mixplan.sae import load_sae

WORDS = (
    *("the", "quick", "brown", "fox", "jumps", "over", "lazy", "dog", "what", "is", "sum", "of", "patient", "fever"),
    *("doctor", "options", "right", "answer"),
)
D_SAE = 96


def make_rows(count: int, seed: int, *, turns: bool = True) -> tuple[Row, ...]:
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        question = " ".join(rng.choice(WORDS, rng.integers(4, 14))) + f" {seed}{index}?"
        rows.append(
            Row(
                id=f"r:{seed}:{index}",
                key=f"{seed}{index}",
                prompt=(("user", question),),
                answer=" ".join(rng.choice(WORDS, rng.integers(1, 6))),
                rationale="because " + " ".join(rng.choice(WORDS, 3)) if index % 2 else None,
            )
        )
    return tuple(rows)


def open_pair(model_folder: Path, tmp: Path, tiny_sae, kind: str, hook: str = "blocks.2.hook_resid_post", **changes):
    spec = ModelSpec(name=str(model_folder), dtype="float32", device="cpu", sae=SaeSpec(path=str(tmp)))
    model = load_model(spec)
    tiny_sae(kind, model.d_model, D_SAE, hook, tmp, **changes)
    return model, load_sae(spec.sae, model)


def numpy_encode(folder: Path, x: np.ndarray) -> np.ndarray:
    """Feature activations written out in NumPy from the saved file alone. x: [tokens, d_in] float32."""
    config = json.loads((folder / "cfg.json").read_text())
    w = load_file(folder / "sae_weights.safetensors")
    if config["normalize_activations"] == "layer_norm":
        x = x - x.mean(1, keepdims=True)
        x = x / (x.std(1, keepdims=True, ddof=1) + 1e-5)
    if config["apply_b_dec_to_input"]:
        x = x - w["b_dec"]
    kind = config["architecture"]
    if kind == "gated":
        open_gate = x @ w["W_enc"] + w["b_gate"] > 0
        return open_gate * np.maximum(x @ (w["W_enc"] * np.exp(w["r_mag"])) + w["b_mag"], 0)
    pre = x @ w["W_enc"] + w["b_enc"]
    if kind == "jumprelu":
        return np.maximum(pre, 0) * (pre > w["threshold"])
    if kind == "topk":
        if config["rescale_acts_by_decoder_norm"]:
            pre = pre * np.linalg.norm(w["W_dec"], axis=1)
        kept = np.zeros_like(pre)
        best = np.argsort(-pre, axis=1, kind="stable")[:, : config["k"]]
        np.put_along_axis(kept, best, np.maximum(np.take_along_axis(pre, best, 1), 0), 1)
        return kept
    return np.maximum(pre, 0)


def whole_stream(model: Model, ids: tuple[int, ...], layer: int) -> np.ndarray:
    """Residual stream after `layer` blocks from one ordinary forward pass over one sequence."""
    with torch.inference_mode():
        output = model.lm(input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=False)
    return output.hidden_states[layer][0].numpy()


def dense_pairs(model: Model, folder: Path, reading, rows, demos_by_id, layer: int):
    """Plain transcription: per unit, lists of ([tokens, d_sae] alone, [tokens, d_sae] with demonstrations)."""
    found = []
    for unit in reading.units:
        demos = [demos_by_id[name] for name in unit.demonstrations]
        for query in unit.queries:
            row = rows[query.row]
            alone, count = query_tokens(model, row.prompt)
            context, _ = query_tokens(model, in_front(demos, row.prompt))
            cut = count - query.count if query.alone != alone else 0
            alone, context = alone[: len(alone) - cut], context[: len(context) - cut]
            x0 = whole_stream(model, alone, layer)[-query.count :]
            x1 = whole_stream(model, context, layer)[-query.count :]
            found.append((numpy_encode(folder, x0), numpy_encode(folder, x1), x0, x1))
    return found


def dense_behind(model, folder, reading, rows, fronts):
    """`[tokens, d_sae]` features behind the first set and behind the second."""
    sides = ([], [])
    for unit, pair in zip(reading.units, fronts, strict=True):
        for query in unit.queries:
            bare, whole = query_tokens(model, rows[query.row].prompt)
            for side, front in zip(sides, pair, strict=True):
                ids, count = query_tokens(model, in_front(front, rows[query.row].prompt))
                assert count == whole
                ids = ids[: len(ids) - (count - query.count)]
                assert ids[-query.count :] == bare[: len(bare) - (count - query.count)][-query.count :]
                side.append(numpy_encode(folder, whole_stream(model, ids, 3)[-query.count :]))
    return [np.concatenate(side).astype(np.float64) for side in sides]


def dense_queries(model, target, sae: Path, tokens: int):
    """[tokens, d_sae] features and [tokens, d_in] stream of the first query tokens, one row read at a time."""
    features, streams, left = [], [], tokens
    for row in target.query:
        ids, count = query_tokens(model, row.prompt)
        stream = whole_stream(model, ids, 3)[-count:][: max(0, left)]
        left -= count
        streams.append(stream)
        features.append(numpy_encode(sae, stream))
    return np.concatenate(features), np.concatenate(streams)
