"""Decides whether an SAE and a model belong together, by what their files say rather than by their names."""

from __future__ import annotations

from mixplan import embedded
from mixplan.errors import SaeError
from mixplan.model import Model, text_config
from mixplan.recipe.base_models import descent, read_json, shape_in, shape_in_cache
from mixplan.recipe.releases import hub_name
from mixplan.recipe.shapes import Shape, family, shape_of

ACCEPTED = (
    "SAE '{name}' was made for {made}; it reads '{model}' because `model.sae.accept` is true. Its health on the "
    "recipe's own tokens alone says whether it fits."
)


def belonging(name: str, made_for: list[str], model: Model, *, accept: bool) -> str | None:
    """Hold what an SAE says it was made for against the model that it is to read.

    Args:
        name: The SAE's, for messages.
        made_for: The model that its own config names, and the one that SAELens's table names; either may be missing.
        model: The model.
        accept: Whether the person takes any SAE that fits in width and layer.

    Returns:
        None where the files say that the model is the SAE's own or descends from it, or where the SAE names no model;
        else one sentence on what is not known.

    Raises:
        SaeError: it was surely made for a model of another build, and is not accepted.
    """
    made_for = list(dict.fromkeys(hub_name(made) for made in made_for))
    here = embedded.MODEL_NAME if model.name == "embedded" else model.name
    families = {family(made) for made in made_for}
    if family(here) in families:
        return None
    if not made_for:
        # A folder of one's own often names no model: it is trusted as far as it is asked to be.
        return ACCEPTED.format(name=name, made="an unnamed model", model=model.name) if accept else None
    named = made_for[-1]
    expected = shape_of(named) or shape_in_cache(named)
    difference = None if expected is None else shape_of_model(model).difference(expected)
    if difference is None and families & {family(it) for it in descent(here, model.place)}:
        return None
    if accept:
        return ACCEPTED.format(name=name, made=f"'{named}'", model=model.name)
    if difference is not None:
        raise SaeError(
            f"SAE '{name}' was made for '{named}', but the recipe's model is '{model.name}', {difference}. Choose an "
            f"SAE made for this model: `mixplan sae ls --model {here}` lists them. To try this one all the same, set "
            "`model.sae.accept: true`."
        )
    return (
        f"SAE '{name}' was made for '{named}', and no file says whether '{model.name}' descends from it. Width and "
        "layer fit; its health on the recipe's own tokens alone says whether the SAE does."
    )


def shape_of_model(model: Model) -> Shape:
    """The build of a loaded model: of its config.json where that is here, since fewer blocks may be loaded."""
    config = read_json(model.place, "config.json")
    return shape_in(config) or shape_in(text_config(model.lm).to_dict()) or Shape("unknown", model.d_model, 0)
