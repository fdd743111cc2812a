"""Opens a hub data set at a configuration, split and revision as a memory-mapped table, also from local caches."""

from __future__ import annotations

import errno
import importlib
import importlib.util
import re
from collections.abc import Callable, Iterator
from typing import Any

from mixplan.domains.hub_cache import copy_with_rows, snapshot, unfinished
from mixplan.domains.tables import BATCH_ROWS, Table
from mixplan.errors import DataError
from mixplan.recipe import DataSpec
from mixplan.recipe.suggest import did_you_mean


def hub_place(spec: DataSpec) -> str:
    """A hub data set as messages name it: `hub data set org/name (config, split test, revision abc)`."""
    details = [
        spec.config or "",
        f"split {spec.split or 'train'}",
        f"revision {spec.revision}" if spec.revision else "",
    ]
    return f"hub data set {spec.hub} ({', '.join(part for part in details if part)})"


def open_hub(spec: DataSpec) -> Table:
    """Open a hub data set; what is in a local cache is not downloaded again.

    Raises:
        DataError: it is missing, gated or out of reach, has no such configuration, split or revision, or is damaged.
    """
    place = hub_place(spec)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", spec.hub or ""):
        raise DataError(f"{place}: not a hub id. Write it as on the hub: organisation/name.")
    rows = _load(spec, place)
    if isinstance(rows, dict):
        raise DataError(f"{place}: that names several splits. Set `split` to one of: {', '.join(sorted(rows))}.")

    def batches(columns: list[str]) -> Iterator[Any]:
        yield from rows.select_columns(columns).with_format("arrow").iter(batch_size=BATCH_ROWS)

    return Table(spec.split or "train", place, tuple(rows.column_names), len(rows), batches)


def _load(spec: DataSpec, place: str) -> Any:
    """Load by the hub's name, or by the hub cache's copy where the hub cannot be reached.

    The `hf://` keeps `datasets` from reading a local folder that happens to be called like the data set. A pinned
    revision is looked up in the hub cache first while offline, since `datasets`' own cache forgets revisions.
    """
    import pyarrow as pa
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError
    from huggingface_hub import is_offline_mode
    from huggingface_hub.errors import HfHubHTTPError

    unreachable = broken_connections()
    failures = (DatasetsError, HfHubHTTPError, *unreachable, pa.ArrowException, OSError, ValueError, RuntimeError)
    split = spec.split or "train"

    def by_name() -> Any:
        return load_dataset(f"hf://datasets/{spec.hub}", name=spec.config, split=split, revision=spec.revision)

    def by_copy() -> Any:
        folder = _hub_copy(spec)
        if folder is None:
            raise FileNotFoundError(f"no copy of {spec.hub} in the hub cache")
        return load_dataset(folder, name=spec.config, split=split)

    try:
        if is_offline_mode() and spec.revision and _hub_copy(spec):
            return by_copy()
        try:
            return by_name()
        except unreachable:
            if _hub_copy(spec) is None:
                raise
            return by_copy()
    except failures as error:
        raise DataError(f"{place}: {explain(error, spec, offline=is_offline_mode())}") from error


def broken_connections() -> tuple[type[Exception], ...]:
    """What a hub that is switched off or out of reach raises; the hub's client has had two HTTP libraries so far."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    clients = [name for name in ("httpx", "httpx2") if importlib.util.find_spec(name)]
    return (ConnectionError, OfflineModeIsEnabled, *(importlib.import_module(name).HTTPError for name in clients))


def _hub_copy(spec: DataSpec) -> str | None:
    """Folder of the hub cache's copy of this revision, or None."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return snapshot_download(str(spec.hub), repo_type="dataset", revision=spec.revision, local_files_only=True)
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def explain(error: Exception, spec: DataSpec, *, offline: bool) -> str:
    """Say what a hub failure means and what to do about it.

    Args:
        error: What `datasets` or the hub's client raised.
        spec: What was asked for.
        offline: The hub is switched off by `HF_HUB_OFFLINE`.
    """
    import pyarrow as pa
    from datasets.exceptions import DataFilesNotFoundError, DatasetGenerationError, DatasetNotFoundError

    text = " ".join(str(error).split())
    if isinstance(error, broken_connections()):
        return _out_of_reach(spec, text, offline=offline)
    if offline and (lacks := _lacking(spec)):
        return _out_of_reach(spec, text, offline=True, lacks=f"only in part in a local cache ({lacks})")
    if isinstance(error, DatasetNotFoundError):
        return _not_found(spec, text)
    if isinstance(error, DataFilesNotFoundError):
        return "it holds no file that `datasets` reads. Choose a `revision` with Parquet, JSON or CSV files."
    if isinstance(error, DatasetGenerationError | pa.ArrowException):
        cause = " ".join(str(error.__cause__ or error).split()).rstrip(".")
        return f"its files cannot be read ({cause}). Choose another `revision`, or download and mend the file."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the disk is full. Free some space, or point HF_HOME to another disk."
    for pattern, mend in CHOICES.items():
        if found := re.search(pattern, text):
            names = re.findall(r"'([^']+)'", found["names"])
            return mend(spec, names)
    return f"cannot be loaded ({text.rstrip('.')})."


CHOICES: dict[str, Callable[[DataSpec, list[str]], str]] = {
    r"Unknown split .* one of \[(?P<names>.*?)\]": lambda spec, names: (
        f"no split {spec.split or 'train'!r}.{did_you_mean(spec.split or 'train', names)} Set `split`."
    ),
    r"BuilderConfig .* not found\. Available: \[(?P<names>.*?)\]": lambda spec, names: (
        f"no configuration {spec.config!r}.{did_you_mean(spec.config or '', names)} Set `config`."
    ),
    r"Config name is missing.*? available configs: \[(?P<names>.*?)\]": lambda _, names: (
        f"it has several configurations. Set `config` to one of: {', '.join(names)}."
    ),
    r"(?P<names>)scripts are no longer supported": lambda *_: (
        "it needs a loading script, which `datasets` no longer runs. Set `revision: refs/convert/parquet`."
    ),
}
"""What `datasets` says when a name is wrong, and how to say which names are right."""


def _lacking(spec: DataSpec) -> str | None:
    """What the hub cache's copy of a data set lacks, in words; None where it is whole or there is none."""
    folder = snapshot("dataset", str(spec.hub), spec.revision)
    if folder is None:
        return None
    return unfinished(folder) or (None if copy_with_rows(spec) else "no file of rows")


def _out_of_reach(spec: DataSpec, text: str, *, offline: bool, lacks: str = "not in a local cache") -> str:
    if offline:
        revision = f" --revision {spec.revision}" if spec.revision else ""
        return (
            f"{lacks}, and the hub is switched off by HF_HUB_OFFLINE. Unset it, or fetch the data once "
            f"with: hf download {spec.hub} --repo-type dataset{revision}"
        )
    return f"the hub cannot be reached ({text.rstrip('.')}). Check the network, or HF_ENDPOINT if it is set."


def _not_found(spec: DataSpec, text: str) -> str:
    if "gated" in text:
        return (
            f"gated. Ask for access at https://huggingface.co/datasets/{spec.hub} and log in once with: hf auth login"
        )
    if text.startswith("Revision"):
        return f"no revision {spec.revision!r}. Set `revision` to a commit, tag or branch, or remove it."
    return "the hub has none of that name, or it is private. Check `hub`, or log in once with: hf auth login"
