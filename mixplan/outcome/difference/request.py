"""Finds the models, the domains and the SAE that `mixplan diff` was asked to compare, and writes them as a recipe."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from mixplan.embedded import converted_folder
from mixplan.errors import ModelError, RecipeError, RunError
from mixplan.outcome.external_model import ADAPTER, from_hub
from mixplan.recipe import LoadedRecipe, load_recipe
from mixplan.recipe.configs import SHIPPED
from mixplan.recipe.foreign.to_recipe import config_of
from mixplan.recipe.releases import listed_sae, residual_saes, sae_hint
from mixplan.recipe.section import Yaml
from mixplan.recipe.shapes import shape_of
from mixplan.runs import quoted, write_atomic
from mixplan.saved.diff import read_diff

STAND_IN: Yaml = {"data": {"file": "none.jsonl"}, "format": "messages", "columns": {"messages": "messages"}}
"""A recipe needs a target; none is opened here."""
CACHED = re.compile(r"models--([^/]+?)--([^/]+)/snapshots/[0-9a-f]+/?$")
"""A model's folder in the hub's cache."""
USUAL = "everyday"
"""The suite of domains that is compared on where none is named."""
FILE_KEYS = ("data", "demonstrations")


@dataclass(frozen=True)
class DiffRequest:
    """What `mixplan diff` was asked.

    Attributes:
        trained: The trained model: a folder, an adapter's folder, or a hub id.
        base: The untrained one: a folder, a hub id or `embedded`; as an adapter's folder says when None.
        domains: A suite's name, or a YAML file with domains or of a recipe.
        sae: A folder, `RELEASE:ID` of SAELens's table, or `none`; by SAELens's table when None.
        out: The folder of diff.json; `runs/diff-BASE-TRAINED`, with the domains' name unless usual, when None.
        overrides: `key=value` texts for the recipe that is written there.
    """

    trained: str
    base: str | None = None
    domains: str = USUAL
    sae: str | None = None
    out: Path | None = None
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What is compared.

    Attributes:
        folder: Where diff.json goes.
        loaded: The recipe with model, SAE and domains; its target is a stand-in that is never opened.
        base: The untrained model's name, as given or found.
        trained: The trained model's files.
        request: As it was asked.
        without_sae: Why no SAE is read; None where one is.
    """

    folder: Path
    loaded: LoadedRecipe
    base: str
    trained: Path
    request: DiffRequest
    without_sae: str | None

    @property
    def options(self) -> list[str]:
        """What else was asked, as words of the command."""
        asked = self.request
        given = [("--sae", asked.sae), ("--out", str(asked.out) if asked.out else None)]
        given += [("--set", text) for text in asked.overrides]
        return [word for name, value in given if value is not None for word in (name, value)]


def find_asked(request: DiffRequest) -> Asked:
    """Find what is to be compared, and write it as `recipe.yaml` in the folder of the result.

    Raises:
        ModelError: a model is not there, or the base is an adapter or not known.
        RecipeError: the domains or the SAE cannot be read.
        RunError: the folder holds another comparison.
    """
    trained = folder_of(request.trained) or from_hub(request.trained)
    base = request.base or base_of_adapter(trained, request.trained)
    base_folder = None if base == "embedded" else folder_of(base)
    if base_folder is not None and base_folder.resolve() == converted_folder().resolve():
        base, base_folder = "embedded", None  # as adapters that were trained on it say
    if base_folder is not None and (base_folder / ADAPTER).is_file():
        raise ModelError(
            f"{base}: an adapter, which is no model by itself. Give the model under it as BASE, such as "
            f"'{named_base(base_folder) or 'its base'}'."
        )
    name = str(base_folder.resolve()) if base_folder else base
    out = request.out or Path("runs") / default_name(base, request)
    hold_own(out, base, request.trained, request.domains)
    sae, why = sae_section(request.sae, known_name(name))
    values: Yaml = {
        "model": {"name": name, "sae": sae or "none"},
        "target": STAND_IN,
        "domains": domains_section(request.domains),
        "budget": {"rows": 1},
    }
    text = "# Written by `mixplan diff`: the models' domains and SAE; the target stands in and is not read.\n"
    write_atomic(out / "recipe.yaml", (text + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)).encode())
    return Asked(
        folder=out,
        loaded=load_recipe(out / "recipe.yaml", request.overrides),
        base=base,
        trained=trained,
        request=request,
        without_sae=why,
    )


def folder_of(given: str) -> Path | None:
    """A model's folder; None where the name can be a hub id.

    Raises:
        ModelError: it can only be a folder, and there is none.
    """
    folder = Path(given).expanduser()
    if folder.is_dir():
        return folder
    if given.startswith((".", "/", "~")) or given.count("/") > 1:
        raise ModelError(f"{given}: there is no such folder. Give the folder of a model, or a hub id.")
    return None


def base_of_adapter(trained: Path, given: str) -> str:
    """The model that an adapter says it was trained on.

    Raises:
        ModelError: the folder holds no adapter, or the adapter does not say.
    """
    if not (trained / ADAPTER).is_file():
        raise ModelError(
            f"{given}: a whole model, so that what it was trained from is not known. Give both: "
            f"`mixplan diff BASE {quoted(Path(given))}`."
        )
    found = named_base(trained)
    if not found:
        raise ModelError(
            f"{trained / ADAPTER}: names no base model. Give both: `mixplan diff BASE {quoted(Path(given))}`."
        )
    return found


def named_base(folder: Path) -> str | None:
    """What `adapter_config.json` says the adapter was trained on."""
    try:
        found = json.loads((folder / ADAPTER).read_bytes()).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):  # no JSON, or JSON that is no object
        return None
    return found if isinstance(found, str) and found else None


def short(name: str) -> str:
    """A model's name as part of a folder's."""
    last = Path(name).expanduser().resolve().name if Path(name).expanduser().is_dir() else name.rpartition("/")[2]
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in last) or "model"


def known_name(name: str) -> str:
    """A model's hub id, also of a folder in the hub's cache."""
    found = CACHED.search(name)
    return f"{found[1]}/{found[2]}" if found else name


def default_name(base: str, request: DiffRequest) -> str:
    """What a comparison's folder is called: by its models, and by its domains where they are not the usual suite's."""
    suite = Path(request.domains).stem
    further = "" if suite == USUAL else f"-{short(suite)}"
    return f"diff-{short(base)}-{short(request.trained)}{further}"


def hold_own(folder: Path, base: str, trained: str, suite: str) -> None:
    """Hold that a folder has no comparison of other models or over other domains, and no run.

    Raises:
        RunError: it has, or its diff.json is damaged.
    """
    if (folder / "plan.json").exists():
        raise RunError(f"{folder}: holds a planned run. Give another folder with `--out FOLDER`.")
    earlier = read_diff(folder)
    if earlier is not None and (earlier.base, earlier.trained, earlier.suite) != (base, trained, suite):
        raise RunError(
            f"{folder}: holds the comparison of '{earlier.trained}' with '{earlier.base}' over {earlier.suite}. Give "
            "another folder with `--out FOLDER`."
        )


def sae_section(asked: str | None, base: str) -> tuple[Yaml | None, str | None]:
    """The recipe's `model.sae`, or why there is none.

    Raises:
        RecipeError: the SAE that was asked for is neither a folder nor in SAELens's table.
    """
    if asked == "none":
        return None, "No SAE was asked for."
    if asked is not None:
        if Path(asked).expanduser().is_dir():
            return {"path": str(Path(asked).expanduser().resolve())}, None
        release, _, inside = asked.partition(":")
        if not inside or listed_sae(release, inside) is None:
            raise RecipeError(
                f"--sae {asked}: neither a folder nor RELEASE:ID of SAELens's table. {sae_hint(base)} `--sae none` "
                "compares by domain alone."
            )
        return {"release": release, "id": inside}, None
    if base == "embedded":
        return {"embedded": True}, None
    if (config := config_of(base)) is not None:
        shipped = yaml.safe_load((SHIPPED / "configs" / "models" / f"{config}.yaml").read_text(encoding="utf-8"))
        return dict(shipped["sae"]), None
    found, shape = residual_saes(base), shape_of(base)
    if not found or shape is None:
        return None, f"SAELens's table has no SAE of '{base}'. Name one with `--sae`."
    # Two thirds up, as a recipe made from another trainer's config takes it.
    nearest = min(found, key=lambda sae: abs((sae.layer or 0) + 1 - 2 * shape.layers / 3))
    return {"release": nearest.release, "id": nearest.id}, None


def domains_section(asked: str) -> Yaml | str:
    """The recipe's `domains`: a suite by its name, or the domains of a file with its paths made whole.

    Raises:
        RecipeError: the file holds no domains.
    """
    path = Path(asked).expanduser()
    if path.suffix.lower() not in (".yaml", ".yml"):
        return asked
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"--domains {asked}: cannot be read: {' '.join(str(error).split())[:200]}") from error
    inner = values.get("domains") if isinstance(values, dict) else None
    if isinstance(inner, str):
        return domains_section(inner)
    if isinstance(inner, dict) and "data" not in inner:  # else a domain of that name
        values = inner
    if not isinstance(values, dict) or not values or not all(isinstance(one, dict) for one in values.values()):
        raise RecipeError(
            f"--domains {asked}: expected domains by name, each a mapping with `data`, `format` and `columns`, as "
            "under a recipe's `domains:`; or the name of a suite (`mixplan ls` lists them)."
        )
    return {name: whole_paths(section, path.parent) for name, section in values.items()}


def whole_paths(section: Mapping[str, object], folder: Path) -> Yaml:
    """A domain's section whose files are named from the root, since the recipe stands elsewhere."""
    found = dict(section)
    for key in FILE_KEYS:
        data = found.get(key)
        if isinstance(data, dict) and "package" not in data and isinstance(data.get("file"), str):
            place = Path(os.path.expanduser(data["file"]))
            found[key] = {**data, "file": str(place if place.is_absolute() else (folder / place).resolve())}
    return found
