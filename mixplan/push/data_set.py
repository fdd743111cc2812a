"""Gathers a mixture for a data set repository: its shards, a card that the hub reads, and the recipe."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from mixplan.errors import RunError
from mixplan.mixture import Mixture, read_mixture
from mixplan.mixture.card import (
    COLUMNS,
    accepted_column,
    config_name,
    holdings,
    origins,
    provenance,
    settings_column,
    tools_column,
)
from mixplan.mixture.licences import WORDS, restrictions
from mixplan.mixture.trl_config import TEMPLATE
from mixplan.push.files_to_send import Gathered, Outgoing
from mixplan.push.licence_names import card_licence
from mixplan.push.private import OwnPlaces, is_absolute, last_part
from mixplan.push.request import Stated
from mixplan.recipe import DataSpec, LoadedRecipe
from mixplan.saved import Plan, plan_again
from mixplan.saved.plan import MixturePart

CARD = "README.md"
CATEGORIES = (
    *((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")),
    *((10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B")),
)
"""The hub's words for how many rows a data set has."""
OWN = "come from files or generators of this machine"


def gather_mixture(run: Path, loaded: LoadedRecipe, plan: Plan, stated: Stated, places: OwnPlaces) -> Gathered:
    """What of a run's mixture goes to the hub.

    Args:
        run: The run folder.
        loaded: Its recipe.
        plan: Its plan.
        stated: What the person says of the repository.
        places: The machine's own paths.

    Raises:
        RunError: there is no mixture, or it is not the plan's.
    """
    mixture = read_mixture(run / "mixture")
    if mixture is None or plan.mixture is None or mixture.hash != plan.mixture.hash:
        raise RunError(
            f"{run / 'mixture'}: the mixture is missing, was changed, or is not that of {run / 'plan.json'}. "
            f"{plan_again(run)}"
        )
    shards = [name for name in sorted(mixture.files) if name.endswith(".parquet")]
    files = [shard(mixture.folder / name) for name in shards]
    columns = pq.read_schema(mixture.folder / shards[0]).names
    text = places.cleaned(data_card(mixture, loaded, stated, columns, [file.name for file in files]))
    config = f"{mixture.method}.yaml"
    files += [
        Outgoing(CARD, text.encode()),
        Outgoing(config, trl_config((mixture.folder / config).read_text(encoding="utf-8"), stated, places).encode()),
        Outgoing("recipe.yaml", places.cleaned((run / "recipe.yaml").read_text(encoding="utf-8")).encode()),
    ]
    if TEMPLATE in mixture.files:
        files.append(Outgoing(TEMPLATE, mixture.folder / TEMPLATE))
    return Gathered("dataset", files, tuple(notes(mixture, loaded, stated)), tuple(restricted(mixture, loaded)))


def shard(path: Path) -> Outgoing:
    """A shard, its column `data` without the folders of local files."""
    table = pq.read_table(path)
    places = table.column("data").to_pylist()
    if not any(is_absolute(place) for place in places):
        return Outgoing(path.name, path)
    cut = pa.array([last_part(place) if is_absolute(place) else place for place in places], pa.string())
    buffer = io.BytesIO()
    pq.write_table(table.set_column(table.column_names.index("data"), "data", cut), buffer, compression="zstd")
    return Outgoing(path.name, buffer.getvalue())


def trl_config(text: str, stated: Stated, places: OwnPlaces) -> str:
    """TRL's config as it is read beside the downloaded rows, not in a run folder."""
    head = [line for line in text.splitlines() if line.startswith("#") and "run folder" not in line]
    values = yaml.safe_load(text)
    values["dataset_name"] = stated.repo
    if "chat_template_path" in values:
        values["chat_template_path"] = TEMPLATE
    lines = [
        f"# trl {'sft' if 'completion_only_loss' in values else 'grpo'} --config FILE, this file downloaded",
        *head,
    ]
    return places.cleaned("\n".join(lines) + "\n" + yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def data_card(
    mixture: Mixture, loaded: LoadedRecipe, stated: Stated, columns: Sequence[str], files: Sequence[str]
) -> str:
    """The data set's card, with the front matter that the hub reads.

    Args:
        mixture: The mixture.
        loaded: Its recipe.
        stated: What the person says of the repository.
        columns: Of its rows.
        files: Its shards.
    """
    sections = loaded.recipe.row_sections
    data_files = [{"split": "train", "path": list(files)}]
    front = {
        **stated.language_field(),
        **(stated.licence_field() or card_licence(part.licence for part in mixture.parts if part.rows)),
        "pretty_name": f"{loaded.path.parent.resolve().name} mixture",
        "size_categories": [size_category(mixture.rows)],
        "task_categories": ["text-generation"],
        "tags": ["mixplan", "trl", mixture.method],
        "source_datasets": source_data_sets([sections[part.name][1].data for part in mixture.parts if part.rows]),
        "configs": [{"config_name": config_name(mixture.method, mixture.hash), "data_files": data_files}],
    }
    taught = len(loaded.recipe.target_sections)
    target = sum(part.rows for part in mixture.parts[:taught])
    named = COLUMNS[mixture.method] | accepted_column(True) | provenance(taught)
    named |= tools_column(True) | settings_column({"": ""})
    lines = ["---", yaml.safe_dump(front, sort_keys=False, allow_unicode=True).rstrip(), "---"]
    lines += [f"# {front['pretty_name']}", ""]
    lines += [
        f"{mixture.rows:,} rows for {mixture.method.upper()}: {target:,} of a target and {mixture.rows - target:,} of "
        f"{sum(part.rows > 0 for part in mixture.parts[taught:])} other domains, planned by mixplan to keep what a "
        f"model can do in them while it is trained on the target. Shuffled with seed {loaded.recipe.seed}.",
        "",
        *(f"> {sentence}\n" for sentence in said_first(mixture, loaded)),
        *("## What it holds", "", *holdings(mixture.parts, mixture.rows), ""),
        *("## Where it comes from", "", *origins(shown(mixture.parts)), ""),
        *("## Columns", "", *(f"- `{name}`: {named[name]}" for name in columns if name in named), ""),
        *("## Use", "", "```python", "import datasets", ""),
        *(f'rows = datasets.load_dataset("{stated.repo}", split="train")', "```", ""),
        f"`{mixture.method}.yaml` is a config of TRL's own command that trains on them, `recipe.yaml` the recipe with "
        "all its values, in which files of the machine that planned are named without their folders.",
        "",
        f"Content hash of the planned rows (SHA-256, in order): `{mixture.hash}`",
        "",
    ]
    return "\n".join(lines)


def said_first(mixture: Mixture, loaded: LoadedRecipe) -> Iterator[str]:
    """What a reader of the card should know first: the mixture's warnings, and its restricted rows without a remedy."""
    for warning in mixture.warnings:
        if not any(words in warning for words in WORDS.values()):
            yield warning
    yield from restricted(mixture, loaded)


def shown(parts: Sequence[MixturePart]) -> list[MixturePart]:
    """The parts with local files named without their folders."""
    return [
        part.model_copy(update={"data": last_part(part.data)}) if is_absolute(part.data) else part for part in parts
    ]


def size_category(rows: int) -> str:
    """The hub's word for so many rows."""
    return next((name for below, name in CATEGORIES if rows < below), "1B<n<10B")


def source_data_sets(sources: Sequence[DataSpec]) -> list[str]:
    """The hub's names of the sources; `original` for rows that are on no hub."""
    return list(dict.fromkeys(data.hub or "original" for data in sources))


def restricted(mixture: Mixture, loaded: LoadedRecipe) -> Iterator[str]:
    """Say how many rows are under each restriction, by domain."""
    sections = loaded.recipe.row_sections
    for kind, words in WORDS.items():
        found = [part for part in mixture.parts if part.rows and kind in restrictions(sections[part.name][1])]
        if found:
            listed = ", ".join(f"{part.name} {part.rows:,}" for part in found)
            yield f"{sum(part.rows for part in found):,} rows {words}: {listed}."


def notes(mixture: Mixture, loaded: LoadedRecipe, stated: Stated) -> Iterator[str]:
    """What to know before the rows go, beside their restrictions."""
    sections = loaded.recipe.row_sections
    own = [part for part in mixture.parts if part.rows and sections[part.name][1].data.hub is None]
    own = [part for part in own if sections[part.name][1].data.package is None]
    if own:
        listed = ", ".join(f"{part.name} {part.rows:,}" for part in own)
        yield f"{sum(part.rows for part in own):,} rows {OWN}: {listed}."
    if not stated.languages:
        yield "The card names no language: `--language en`, once for each, states it."
    if not stated.licence and any(part.rows and not part.licence for part in mixture.parts):
        yield "The card's licence is `unknown`, as the recipe states none for some rows: `--license ID` states one."
    if any(is_absolute(part.data) for part in mixture.parts):
        yield "Local files are named without their folders, in the card and in the column `data`."
