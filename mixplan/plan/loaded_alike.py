"""Loads a plan's model in one compute type in all processes that read for it."""

from __future__ import annotations

from pathlib import Path

from mixplan.model import DTYPES, Model, load_model
from mixplan.reading.workers import Workers
from mixplan.recipe import ModelSpec


def load_alike(spec: ModelSpec, workers: Workers, *, folder: Path, depth: int | None = None) -> Model:
    """Load the model in the type that the first process loads it in.

    On a CPU `dtype: auto` goes by each process's own timings. What is read is kept by the type that it was read in, so
    that processes of several types would wait for each other's readings in vain.

    Args:
        spec: As for `load_model`.
        workers: Which process this is, of how many.
        folder: As for `load_model`.
        depth: As for `load_model`.

    Raises:
        ModelError: as `load_model`.
        MixplanError: the processes form no group.
    """
    model, types = load_model(spec, folder=folder, depth=depth), list(DTYPES)
    (chosen,) = workers.agreed(lambda: [types.index(model.dtype)])
    if types[chosen] == model.dtype:
        return model
    return load_model(spec.model_copy(update={"dtype": types[chosen]}), folder=folder, depth=depth)
