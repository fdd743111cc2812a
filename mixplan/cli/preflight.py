"""Says what keeps a recipe's model and SAE from being used, by names and small files, before either is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mixplan import embedded
from mixplan.chat.template import PLAIN, ChatTemplate
from mixplan.chat.template_files import held_template, processors_alone
from mixplan.domains import Domain
from mixplan.errors import DriftError, ModelError
from mixplan.mixture.conversations import conversation_warnings, refuse_conversations
from mixplan.mixture.grpo_loss import loss_weights
from mixplan.reading.identity import checkpoint_folder, learning_rate
from mixplan.recipe import LoadedRecipe
from mixplan.recipe.generation_settings import answers_otherwise
from mixplan.recipe.model_folder import absent_model, untrainable
from mixplan.recipe.paths import local_path
from mixplan.recipe.releases import hub_name, listed_sae, release, release_names, sae_hint
from mixplan.recipe.sae_folder import absent_sae
from mixplan.recipe.shapes import Shape, shape_of
from mixplan.recipe.suggest import did_you_mean

FEW = 20
"""A release's ids are all named up to so many; of more, the nearest one."""

EMBEDDED_SHAPE = Shape("llama", width=576, layers=30)
"""The build of the model that the embedded SAE was made for."""


def problems_of_model(loaded: LoadedRecipe) -> Iterator[str]:
    """One line for each problem of the model, its chat template, the SAE, and what tells the drift."""
    looks = (unusable_model, unusable_template, unknown_sae, strange_sae, unusable_sae, unusable_drift)
    for problem in (look(loaded) for look in looks):
        if problem is not None:
            yield problem


def unusable_drift(loaded: LoadedRecipe) -> str | None:
    """What keeps the drift from being told from a checkpoint or a step along the reward's gradient, as one line."""
    try:
        if loaded.recipe.drift.from_ == "checkpoint":
            checkpoint_folder(loaded)
        if loaded.recipe.drift.from_ == "reward_step":
            learning_rate(loaded)
            loss_weights(loaded.resolved["train"])
    except DriftError as error:
        where = loaded.where(("drift", "from"))
        return str(error) if str(error).startswith(f"{loaded.where(('drift', 'checkpoint'))}:") else f"{where}: {error}"
    return None


def unusable_template(loaded: LoadedRecipe) -> str | None:
    """What is wrong with the model's chat template or its settings, as one line; None where it is not here."""
    try:
        template_here(loaded)
    except ModelError as error:
        key = "chat_template_kwargs" if loaded.recipe.model.chat_template_kwargs else "name"
        return f"{loaded.where(('model', key))}: {error}"
    return None


def template_here(loaded: LoadedRecipe) -> tuple[ChatTemplate, str | None] | None:
    """The model's chat template with the date that it prints; None where its files are not on this machine.

    Raises:
        ModelError: see `held_template`.
    """
    model = loaded.recipe.model
    return held_template(
        model_place(loaded), model.chat_template_kwargs, model.template_date, model.name, model.revision
    )


def model_place(loaded: LoadedRecipe) -> str:
    """The model's folder, or its hub id where none is here."""
    name = loaded.recipe.model.name
    if name == "embedded":
        return str(embedded.converted_folder())
    local = loaded.folder(("model", "name")) / local_path(name)
    return str(local) if local.is_dir() else name


def conversations(loaded: LoadedRecipe, target: Domain, domains: Mapping[str, Domain]) -> tuple[str | None, list[str]]:
    """What the model's chat template refuses of the rows, as one line, and what it leaves out of them or adds.

    Nothing where the template is not here, or where something is wrong with itself, which is said once.
    """
    try:
        here = template_here(loaded)
    except ModelError:
        return None, []
    if here is None:
        return None, []
    template, day = here
    try:
        refuse_conversations(template, target, domains)
    except ModelError as error:
        return str(error), []
    found = conversation_warnings(loaded.recipe, template, target, domains, day=day, tokens=None)
    if template.source == PLAIN:
        found += filter(None, [processors_alone(model_place(loaded), template.name)])
    return None, found


def generation(loaded: LoadedRecipe) -> list[str]:
    """What the model's generation config changes in answers elsewhere, as far as its file is here."""
    model = loaded.recipe.model
    said = answers_otherwise(model_place(loaded), model.name, loaded.recipe.train, model.revision)
    return [] if said is None else [said]


def unusable_sae(loaded: LoadedRecipe) -> str | None:
    """What is wrong with the SAE's folder, as one line; None where none is named or it is whole."""
    path = ("model", "sae", "path")
    sae = loaded.recipe.model.sae_spec
    problem = None if sae is None else absent_sae(sae, loaded.folder(path))
    return None if problem is None else f"{loaded.where(path)}: model.sae.path: {problem}"


def unusable_model(loaded: LoadedRecipe) -> str | None:
    """What is wrong with the model's folder, or with training it, as one line; None where it is a hub id or whole."""
    model, folder = loaded.recipe.model, loaded.folder(("model", "name"))
    where = loaded.where(("model", "name"))
    if (problem := absent_model(model.name, folder)) is not None:
        return f"{where}: model.name: {problem}"
    if (problem := untrainable(model.name, folder, adapter=loaded.recipe.train.lora is not None)) is not None:
        return f"{where}: model.name: {problem}"
    return None


def unknown_sae(loaded: LoadedRecipe) -> str | None:
    """What is wrong with an SAE's release or id, as one line.

    None when SAELens's table has both, its SAE is one of a residual stream, and its model is not surely of another
    build than the recipe's; what only the files say is held against them when they are loaded.
    """
    sae = loaded.recipe.model.sae_spec
    names = release_names()
    if sae is None or sae.release is None or not names:
        return None
    entry = release(sae.release)
    if entry is None:
        where = loaded.where(("model", "sae", "release"))
        return f"{where}: SAELens has no release {sae.release!r}.{did_you_mean(sae.release, names)}"
    one = listed_sae(sae.release, str(sae.id))
    where = loaded.where(("model", "sae", "id"))
    if one is None:
        ids = [str(listed["id"]) for listed in entry["saes"]]
        hint = f" It has {', '.join(ids)}." if len(ids) <= FEW else did_you_mean(str(sae.id), ids)
        return f"{where}: release {sae.release!r} has no SAE {sae.id!r}.{hint}"
    model = loaded.recipe.model.name
    remedy = f"`mixplan sae ls --model {model}` lists those that do."
    if not one.readable:
        return f"{where}: SAE '{sae.release}/{sae.id}' does not sit between two blocks of the residual stream. {remedy}"
    # A folder's name may be any model's.
    local = (loaded.folder(("model", "name")) / local_path(model)).is_dir()
    expected, found = shape_of(one.model), None if local else shape_of(hub_name(model))
    difference = found.difference(expected) if expected is not None and found is not None else None
    if difference is not None and not sae.accept:
        return (
            f"{where}: SAE '{sae.release}/{sae.id}' was made for '{one.model}', but the recipe's model is '{model}', "
            f"{difference}. Choose one made for this model: `mixplan sae ls --model {model}` lists them."
        )
    return None


def strange_sae(loaded: LoadedRecipe) -> str | None:
    """Say that the embedded SAE is given to a model of surely another build, as one line; None where it is not."""
    model, sae = loaded.recipe.model.name, loaded.recipe.model.sae_spec
    if sae is None or not sae.embedded or sae.accept or (loaded.folder(("model", "name")) / local_path(model)).is_dir():
        return None
    found = shape_of(hub_name(model))
    difference = None if found is None else found.difference(EMBEDDED_SHAPE)
    if difference is None:
        return None
    return (
        f"{loaded.where(('model', 'sae', 'embedded'))}: model.sae.embedded: the embedded SAE was made for "
        f"SmolLM2-135M-Instruct, but the recipe's model is '{model}', {difference}. {sae_hint(model)}"
    )
