"""Lists the SAEs that may suit a model: its own, those of the models that it was tuned from, those of its build."""

from __future__ import annotations

from mixplan.recipe.base_models import descent, read_json, shape_in
from mixplan.recipe.paths import local_path
from mixplan.recipe.releases import ListedSae, listed_saes, residual_saes
from mixplan.recipe.shapes import family, shape_of


def saes_for(model: str) -> tuple[list[ListedSae], bool]:
    """The SAEs of SAELens's table for a model that may be one's own.

    Args:
        model: Hub id, TransformerLens's short name, or folder.

    Returns:
        The SAEs made for the model or for those that its files say it was tuned from; where there are none, those made
        for any model of the same build, which `model.sae.accept: true` tries. And whether they are such.
    """
    folder = local_path(model)
    place = str(folder) if folder.is_dir() else model
    found: list[ListedSae] = []
    families: set[str] = set()
    for name in descent(model, place):
        if family(name) not in families:
            families.add(family(name))
            found += residual_saes(name)
    build = shape_in(read_json(place, "config.json"))
    if found or build is None:
        return found, False
    alike = [sae for sae in listed_saes() if sae.readable and shape_of(sae.model) == build]
    return sorted(alike, key=lambda sae: sae.layer or 0), True
