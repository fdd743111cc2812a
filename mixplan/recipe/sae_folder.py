"""Says what an SAE's folder lacks, by its file names, before anything of it is loaded."""

from __future__ import annotations

from pathlib import Path

from mixplan.recipe.paths import local_path
from mixplan.recipe.spec import SaeSpec

CONFIG = "cfg.json"
SAELENS_WEIGHTS = "sae_weights.safetensors"
SPARSIFY_WEIGHTS = "sae.safetensors"


def absent_sae(spec: SaeSpec, folder: Path, *, weights_too: bool = True) -> str | None:
    """What is wrong with `model.sae.path`, as one line; None where a whole SAE lies there, or it is not given.

    Args:
        spec: The recipe's `model.sae`.
        folder: Of the YAML that names it.
        weights_too: Whether its weights must be there, which its depth and sizes are told without.
    """
    if spec.path is None:
        return None
    place = folder / local_path(spec.path)
    library, weights = ("sparsify", SPARSIFY_WEIGHTS) if spec.format == "sparsify" else ("SAELens", SAELENS_WEIGHTS)
    if not (place / CONFIG).is_file():
        return (
            f"{place}: no SAE here: {CONFIG} is missing. `model.sae.path` is a folder in {library}'s layout, with "
            f"{CONFIG} and {weights}."
        )
    if spec.format is None and (place / SPARSIFY_WEIGHTS).is_file() and not (place / SAELENS_WEIGHTS).is_file():
        return f"{place}: this SAE was saved by sparsify. Set `model.sae.format: sparsify`."
    if weights_too and spec.format in (None, "sparsify") and not (place / weights).is_file():
        return f"SAE '{spec.path}' is not complete: {place / weights} is missing. Fetch or save it again."
    return None
