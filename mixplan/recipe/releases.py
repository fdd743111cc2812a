"""Reads SAELens's table of pretrained SAEs, and TransformerLens's table of model names, as files: neither is loaded."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from mixplan.recipe.shapes import family, shape_of

RESIDUAL = re.compile(r"blocks\.(\d+)\.hook_resid_(pre|post)")
UNREAD_CONVERSIONS = ("temporal",)
"""Kinds of SAE that mixplan cannot read, wherever they sit."""

FLOAT32_BYTES = 4
WIDTHS = {"4k": 4096, "16k": 16_384, "32k": 32_768, "65k": 65_536, "131k": 131_072, "262k": 262_144, "524k": 524_288,
          "1m": 1_048_576}  # fmt: skip
"""Gemma Scope's names of widths, which are powers of two."""

MISLABELLED = {"gemma-scope-9b-it-res": "google/gemma-2-9b-it"}
"""Releases whose entry names another model than SAELens's own loader does."""

OFF_STREAM = re.compile(r"transcoder|\bclt\b|att|mlp|hook_z|_lx[am]_")
LAYERS = (
    re.compile(r"resid_post(?:_all)?/layer_(\d+)_"),  # Gemma Scope 2
    re.compile(r"^layer_(\d+)/width_"),  # Gemma Scope
    re.compile(r"resid_post_layer_(\d+)"),  # dictionary_learning
    re.compile(r"^layer(\d+)\.sae\.pt$"),  # Qwen-Scope
    re.compile(r"[-/]L(\d+)R(?:-\d+x)?$"),  # Llama Scope
    re.compile(r"-SAE-l(\d+)\.pth?$"),  # Goodfire, qresearch
)
"""How the paths of releases without a hook point in their ids say the layer whose output is read."""


@dataclass(frozen=True)
class ListedSae:
    """One SAE of SAELens's table, as far as the table tells without a download.

    Attributes:
        release: Its release.
        id: Its id in the release.
        repository: The hub repository that holds it.
        path: Folder or file in the repository.
        model: Hub id of the model that it was made for.
        conversion: SAELens's name of the layout; None for its own.
        hook_name: The hook point, such as `blocks.3.hook_resid_post`; None off the residual stream.
        d_sae: Number of features, None where the table does not say.
        l0: Mean number of active features per token, None where the table does not say.
        neuronpedia: Its name on Neuronpedia, such as `gpt2-small/6-res-jb`; None where the table has none.
    """

    release: str
    id: str
    repository: str
    path: str
    model: str
    conversion: str | None
    hook_name: str | None
    d_sae: int | None
    l0: float | None
    neuronpedia: str | None = None

    @property
    def layer(self) -> int | None:
        """The block whose input or output it reads."""
        found = re.match(r"blocks\.(\d+)\.", self.hook_name or "")
        return int(found[1]) if found else None

    @property
    def readable(self) -> bool:
        """Whether it sits between two blocks, on the residual stream, and is of a kind that mixplan reads."""
        return RESIDUAL.fullmatch(self.hook_name or "") is not None and self.conversion not in UNREAD_CONVERSIONS

    @property
    def size_bytes(self) -> int | None:
        """Memory of its parameters in float32, from the widths; None where one is not known."""
        shape = shape_of(self.model)
        if shape is None or self.d_sae is None:
            return None
        return FLOAT32_BYTES * (2 * shape.width * self.d_sae + 2 * self.d_sae + shape.width)

    @property
    def line(self) -> str:
        """What to paste under `model:` in a recipe."""
        return f"sae: {{release: {self.release}, id: {self.id}}}"


def listed_saes(model: str | None = None) -> Iterator[ListedSae]:
    """The SAEs of SAELens's table, in its order.

    Args:
        model: Only those of this model or of one in its family, by hub id or TransformerLens's short name.
    """
    for name in release_names():
        if model is not None and family(hub_name(_model_of(name))) != family(hub_name(model)):
            continue
        entry = release(name) or {}
        for sae in entry["saes"]:
            yield _listed(name, entry, sae)


def listed_sae(name: str, sae_id: str) -> ListedSae | None:
    """One SAE by its release and id; None when there is none."""
    entry = release(name) or {"saes": []}
    return next((_listed(name, entry, sae) for sae in entry["saes"] if str(sae["id"]) == sae_id), None)


def residual_saes(model: str) -> list[ListedSae]:
    """The SAEs of a model's residual stream that mixplan can load, by layer, those of the very model first."""
    own = hub_name(model).rsplit("/", 1)[-1].lower()

    def place(sae: ListedSae) -> tuple[object, ...]:
        tuned_otherwise = sae.model.rsplit("/", 1)[-1].lower() != own
        return sae.layer or 0, tuned_otherwise, sae.d_sae or 0, sae.l0 or 0, sae.release

    return sorted((sae for sae in listed_saes(model) if sae.readable), key=place)


def listed_models() -> dict[str, list[ListedSae]]:
    """The models of SAELens's table, each with the SAEs of its residual stream that mixplan can load."""
    found: dict[str, list[ListedSae]] = {}
    for sae in listed_saes():
        if sae.readable:
            found.setdefault(sae.model, []).append(sae)
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def sae_hint(model: str) -> str:
    """What a recipe of this model could name as its SAE, in one or two sentences."""
    if model == "embedded":
        return "The embedded model has one: `sae: {embedded: true}`."
    found, shape = residual_saes(model), shape_of(hub_name(model))
    listed = f"`mixplan sae ls --model {model}` lists them; `sae: none` plans without one."
    if not found:
        return (
            "SAELens's table has none for this model. `sae: none` plans without one; `mixplan sae train` trains one; "
            "`mixplan sae ls` lists the models that have one."
        )
    if shape is None:
        return f"SAELens has {len(found):,} for this model. {listed}"
    # Two thirds up the model, where features are about meaning rather than about spelling or the next token.
    layers = sorted({sae.layer or 0 for sae in found}, key=lambda layer: abs(layer + 1 - 2 * shape.layers / 3))
    one = next(sae for sae in found if sae.layer == layers[0])
    return f"SAELens has {len(found):,} for this model, such as `{one.line}`. {listed}"


Entry = dict[str, Any]
"""An entry of SAELens's own table, as its YAML holds it."""


def release(name: str) -> Entry | None:
    """One release's entry in SAELens's table; None when there is none."""
    text = _blocks().get(name)
    if text is None:
        return None
    # The C parser is five times as fast, but PyYAML can be built without it.
    entry: Entry = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))[name]  # noqa: S506
    return entry


def release_names() -> list[str]:
    """The names of all releases, in the table's order; none where SAELens is not installed."""
    return list(_blocks())


@cache
def _blocks() -> dict[str, str]:
    """The table's lines by release: parsing the whole of it takes seconds, one release almost nothing."""
    text = _file_of("sae_lens", "pretrained_saes.yaml")
    starts = [found.start() for found in re.finditer(r"^[A-Za-z0-9][^\n:]*:$", text, re.MULTILINE)]
    pieces = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
    return {piece.partition(":")[0]: piece for piece in pieces}


def _model_of(name: str) -> str:
    found = re.search(r"^  model: (\S+)$", _blocks()[name], re.MULTILINE)
    return found[1] if found else ""


def _file_of(package: str, inside: str) -> str:
    """The text of a file in an installed package, which is not imported; empty where it is not there."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        return ""
    path = Path(found.submodule_search_locations[0]) / inside
    return path.read_text(encoding="utf-8") if path.is_file() else ""


@cache
def _aliases() -> dict[str, str]:
    """TransformerLens's short names of models, each with the hub id it stands for."""
    text = _file_of("transformer_lens", "supported_models.py")
    for node in ast.parse(text).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "MODEL_ALIASES" and node.value is not None:
            table: dict[str, list[str]] = ast.literal_eval(node.value)
            return {short.lower(): name for name, shorts in table.items() for short in shorts}
    return {}


def hub_name(name: str) -> str:
    """A model's hub id: what TransformerLens's short name (`gpt2-small`) stands for, any other name as it is."""
    return _aliases().get(name.lower(), name)


def _listed(name: str, entry: Entry, sae: Entry) -> ListedSae:
    path, sae_id, model = str(sae["path"]), str(sae["id"]), MISLABELLED.get(name, hub_name(entry["model"]))
    text = f"{name} {entry['repo_id']} {path} {sae_id}"
    l0 = sae.get("l0") or next(iter(re.findall(r"l0_(\d+)$", path)), None)
    return ListedSae(
        release=name,
        id=sae_id,
        repository=entry["repo_id"],
        path=path,
        model=model,
        conversion=entry.get("conversion_func"),
        hook_name=_hook_name(name, path, sae_id),
        d_sae=_width(text, entry.get("conversion_func"), model),
        l0=None if l0 is None else float(l0),
        neuronpedia=sae.get("neuronpedia"),
    )


def _hook_name(name: str, path: str, sae_id: str) -> str | None:
    """The hook point on the residual stream, from what release, id and path say; None for any other."""
    if found := re.search(r"blocks\.\d+\.hook_resid_(?:pre|post|mid)", f"{sae_id} {path}"):
        return found[0]
    if path.startswith("embedding/"):
        return "hook_embed"
    if OFF_STREAM.search(f"{name} {path}"):
        return None
    found = next((match for pattern in LAYERS if (match := pattern.search(path))), None)
    return f"blocks.{found[1]}.hook_resid_post" if found else None


def _width(text: str, conversion: str | None, model: str) -> int | None:
    """Number of features, from the names of release, repository, path and id."""
    if found := re.search(r"width_(\d+[km])", text):
        return WIDTHS.get(found[1])
    if found := re.search(r"2pow(\d+)", text):
        return 1 << int(found[1])
    if found := re.search(r"(?:-W|[-_]w-?|v5[-_])(\d+)[kK]\b", text):
        return int(found[1]) * 1024
    if found := re.search(r"hook_resid_(?:pre|post)_(\d+)", text):
        return int(found[1])
    shape = shape_of(model)
    if conversion == "llama_scope" and shape is not None and (found := re.search(r"(\d+)x$", text)):
        return int(found[1]) * shape.width
    # What SAELens's own loaders of these two layouts say.
    return 65_536 if conversion in ("goodfire", "deepseek_r1") else None
