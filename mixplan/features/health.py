"""Checks an SAE on some query tokens of each domain; what each domain shows is kept, so that it is read once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mixplan.features.forward import first_queries, read_alone
from mixplan.features.queries import Reading, Unit
from mixplan.model import Model
from mixplan.runs import content_hash, store, unseal
from mixplan.sae import Sae
from mixplan.sae.health import Fit, Health, fit_of, health_of, refuse_doubtful

TOKENS = 200
"""Query tokens of the target and of each domain that are read."""

VERSION = 2
"""Of what is kept; part of every key."""


def measure_health(model: Model, sae: Sae, readings: Mapping[str, Reading], folder: Path) -> Health:
    """Check the SAE on some query tokens of the target and of each domain.

    Args:
        model: The model.
        sae: Its SAE.
        readings: What is read of each.
        folder: Where what they show is kept, sealed; damaged files are set aside and read again.

    Raises:
        SaeError: it may not belong to the model, and explains nothing of them.
    """
    fits = [kept_fit(model, sae, reading.units[0], folder) for reading in readings.values()]
    health = health_of(fits, d_sae=sae.d_sae)
    refuse_doubtful(sae, health, model)
    return health


def kept_fit(model: Model, sae: Sae, unit: Unit, folder: Path) -> Fit:
    """What a unit's first query tokens show, from the cache or read now and kept."""
    texts = [[query.alone, query.count] for query in first_queries(unit, tokens=TOKENS)]
    key = content_hash(
        "health", VERSION, model.fingerprint, model.device.type, torch.get_num_threads(), sae.fingerprint, sae.depth,
        texts,
    )  # fmt: skip
    place = folder / key[:2] / f"{key}.safetensors"
    data = unseal(place)
    found = None if data is None else from_bytes(data, sae.d_sae)
    if found is None:
        found = fit_of(sae, read_alone(model, sae.depth, unit, tokens=TOKENS))
        store(place, to_bytes(found))
    return found


def to_bytes(fit: Fit) -> bytes:
    """What a stream shows as safetensors bytes; equal ones give equal bytes."""
    sums = np.array([fit.active, fit.squares, fit.error], dtype=np.float64)
    tokens = np.array([fit.tokens], dtype=np.int64)
    return bytes(save({"tokens": tokens, "sums": sums, "total": fit.total, "fired": np.packbits(fit.fired)}))


def from_bytes(data: bytes, d_sae: int) -> Fit | None:
    """What `to_bytes` was given, of an SAE with so many features; None when the bytes are something else."""
    try:
        arrays = load(data)
        active, squares, error = arrays["sums"].tolist()
        fired = np.unpackbits(arrays["fired"], count=d_sae).astype(np.bool_)
        return Fit(int(arrays["tokens"].item()), active, squares, error, arrays["total"], fired)
    except (SafetensorError, KeyError, TypeError, ValueError):  # arrays of other names or shapes
        return None
