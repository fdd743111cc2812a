"""Writes a job that was read from another trainer's config as a recipe."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mixplan.recipe.configs import SHIPPED
from mixplan.recipe.foreign.job import ForeignJob
from mixplan.recipe.paths import local_path
from mixplan.recipe.releases import residual_saes
from mixplan.recipe.section import Yaml
from mixplan.recipe.shapes import shape_of

STAND_IN = "smollm2-135m"
"""The model of a recipe whose config named none."""

EMBEDDED = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""What mixplan's embedded model is on the hub."""

BUDGET_ROWS = 200
"""Extra rows to begin with; `mixplan plan --budget 100,200,400` shows what others bring."""

HEAD = """\
# {name}: made from {source} ({trainer}).
#   mixplan check {name}    what is wrong with it, in seconds and without the model
#   mixplan plan {name}     how many rows of each domain to mix in, and why
# yaml-language-server: $schema=SCHEMA
"""


def recipe_of(job: ForeignJob, *, name: str, source: str, folder: Path) -> str:
    """A recipe's text.

    Args:
        job: What was read; what the recipe cannot say yet is added to what is left.
        name: The recipe's file.
        source: The config's file.
        folder: Where the recipe goes, which its paths are relative to.
    """
    values: Yaml = {"model": model_of(job, folder), "target": target_of(job, folder), "domains": "everyday"}
    values["budget"] = {"rows": BUDGET_ROWS}
    train: Yaml = {"method": "sft", "args": job.args}
    values["train"] = train if job.lora is None else {**train, "lora": job.lora}
    lines = [HEAD.format(name=name, source=source, trainer=job.trainer)]
    if job.left:
        lines.append("# Not taken over:\n")
        lines += [f"#   {key}: {advice}\n" for key, advice in job.left.items()]
    comments = {
        "domains": "# The abilities that should stay: a suite of sixteen small domains, or your own (`mixplan ls`).\n",
        "budget": "# How many extra rows of the domains may be mixed in.\n",
    }
    for key, value in values.items():
        lines.append("\n" + comments.get(key, "") + yaml.dump({key: value}, Dumper=Plain, **FORM))
    return "".join(lines)


class Plain(yaml.SafeDumper):
    """Writes a value again where it stands twice, and numbers so that YAML reads numbers."""

    def ignore_aliases(self, _data: Any) -> bool:
        """Never refer to another place."""
        return True


FORM: Mapping[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 110}


def model_of(job: ForeignJob, folder: Path) -> Yaml | str:
    """The recipe's section on the model: a shipped config where there is one, else its name with an SAE."""
    if job.model is None:
        job.left["model"] = f"the config names none: {STAND_IN} stands in. Put yours in"
        return STAND_IN
    shipped = config_of(job.model)
    if shipped is not None and job.revision is None:
        return shipped
    local = local_path(job.model)
    name = relative(local, folder) if local.is_dir() else job.model
    more: Yaml = {} if job.revision is None else {"revision": job.revision}
    more |= {"trust_remote_code": True} if job.trust_remote_code else {}
    if shipped is not None:
        return {"config": shipped, **more}
    return {"name": name, **more, "sae": sae_of(job)}


def config_of(model: str) -> str | None:
    """The shipped config of a model; None where there is none."""
    if model.lower() == EMBEDDED.lower():
        return STAND_IN
    for path in sorted((SHIPPED / "configs" / "models").glob("*.yaml")):
        if yaml.safe_load(path.read_text(encoding="utf-8")).get("name", "").lower() == model.lower():
            return path.stem
    return None


def sae_of(job: ForeignJob) -> Yaml | str:
    """An SAE of the model two thirds up, from SAELens's table; `none` where the table has none."""
    model = str(job.model)
    found, shape = residual_saes(model), shape_of(model)
    if not found or shape is None:
        job.left["model.sae"] = (
            f"SAELens lists none for '{model}', so `sae: none` plans without one. To read features, train one with "
            "`mixplan sae train` and name its folder: `sae: {path: FOLDER}`"
        )
        return "none"
    layers = sorted({sae.layer or 0 for sae in found}, key=lambda layer: abs(layer + 1 - 2 * shape.layers / 3))
    chosen = next(sae for sae in found if sae.layer == layers[0])
    return {"release": chosen.release, "id": chosen.id}


def target_of(job: ForeignJob, folder: Path) -> Yaml:
    """The recipe's target: one section, or a source for each data set."""
    sections = {one.name: placed(one.section, folder) for one in job.data}
    if not sections:
        job.left["data sets"] = "the config has none that could be taken over: name your rows under `target`"
        return {"data": {"file": "rows.jsonl"}, "format": "messages", "columns": {"messages": "messages"}}
    if len(sections) == 1:
        only = dict(next(iter(sections.values())))
        if rows := only.pop("rows", None):
            only["data"] = {**only["data"], "limit": rows}
        return only
    return {"sources": sections}


def placed(section: Yaml, folder: Path) -> Yaml:
    """A section with its file as the recipe names it."""
    data = section["data"]
    if "file" not in data:
        return section
    return {**section, "data": {**data, "file": relative(Path(data["file"]), folder)}}


def relative(path: Path, folder: Path) -> str:
    """A path as a recipe in a folder names it: relative where it lies beside or below it."""
    inside = os.path.relpath(path.resolve(), folder.resolve())
    return str(path.resolve()) if inside.startswith("..") else inside
