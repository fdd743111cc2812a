"""Writes a study's evidence again with all that this mixplan records of the same measurements, without measuring."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mixplan.domains import Domain, open_domains
from mixplan.errors import RunError
from mixplan.plan import Watcher
from mixplan.runs import translated, write_json
from mixplan.study.asked.spec import LoadedStudy, first_hash, load_study
from mixplan.study.evidence import evidence_of, head_of
from mixplan.study.jobs import Bench, Taught
from mixplan.study.judged.table import Table, read_table

SAME = 1e-9
"""Relative difference up to which a number is the one that stood there."""


def restate(place: Path, evidence: Path, *, watcher: Watcher) -> Path:
    """Write an evidence.json again, in its place.

    Args:
        place: The study's file, with compute.json, and table.json but for a study of arms, beside it.
        evidence: What this study's command wrote.
        watcher: Told of progress.

    Returns:
        The file, which holds the hash of what it was first written as. Scores, changes and their noise are taken from
        the table and held against what stood there; correlations, which were judged on the same numbers, stay.

    Raises:
        RunError: it is of another study, a file is missing or damaged, or the table does not give its numbers.
        MixplanError: the study, its data or its model cannot be opened.
    """
    study = load_study(place)
    with translated(evidence, reading=True):
        data = evidence.read_bytes()
    try:
        old = json.loads(data)
        if old["study"] != study.hash:
            raise RunError(
                f"{evidence}: the evidence of the study registered as {str(old['study'])[:16]}, and {place} is "
                f"{study.hash[:16]}. Name the study that wrote it."
            )
        with tempfile.TemporaryDirectory() as folder:
            new = written_again(study, old, Path(folder), watcher)
        refuse_other_numbers(old, new, evidence)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise RunError(f"{evidence}: no whole evidence.json. Have `mixplan study` write it again.") from error
    write_json(evidence, {**new, "restates": first_hash(data)})
    return evidence


def written_again(study: LoadedStudy, old: Mapping[str, Any], folder: Path, watcher: Watcher) -> dict[str, Any]:
    """The evidence as this mixplan writes it.

    Args:
        study: The study.
        old: The evidence as it was.
        folder: Where the study's model may keep what it needs.
        watcher: Told of progress.
    """
    compute = study.path.parent / "compute.json"
    with translated(compute, reading=True):
        write_json(folder / "compute.json", json.loads(compute.read_bytes()))
    bench = TargetsAlone(study, folder, watcher)
    if study.spec.arms is not None:
        return {**old, **head_of(bench, {})}
    table = read_table(study.path.parent / "table.json")
    # Correlations are resampled for minutes; they are of the same numbers, so those that stand are taken over.
    judged = {part: old.get(part, {}) for part in ("told", "learned")}
    return {**evidence_of(bench, table, {"pooled": {"all": {}}}, None, headlines_in(old, table)), **judged}


class TargetsAlone(Bench):
    """A study's data with each domain opened once, where its jobs open them all for each target."""

    def taught(self, name: str) -> Taught:
        """A target beside one domain."""
        if name not in self._taught:
            loaded = self.study.recipes[name]
            one = dict(list(loaded.recipe.domains.items())[:1])
            recipe = loaded.recipe.model_copy(update={"domains": one})
            self._taught[name] = Taught(name, loaded, *open_domains(recipe, folder=loaded.folder, where=loaded.where))
        return self._taught[name]

    @cached_property
    def domains(self) -> dict[str, Domain]:
        """Every domain beside the first target."""
        whole = self.study.whole
        return open_domains(whole.recipe, folder=whole.folder, where=whole.where)[1]


def headlines_in(old: Mapping[str, Any], table: Table) -> dict[str, dict[str, tuple[str, str]]]:
    """What stood for each domain when the evidence was written."""
    return {
        target: {
            name: (domain["headline"][0], domain["headline"][1]) for name, domain in old["targets"][target].items()
        }
        for target in table.targets
    }


def refuse_other_numbers(old: Mapping[str, Any], new: Mapping[str, Any], place: Path) -> None:
    """Stop where a number that stood in the evidence is another one now.

    Raises:
        RunError: says which.
    """
    for part in ("seeds", "told", "learned", "targets", "compared", "against_uniform"):
        if (where := differing(old.get(part), new.get(part), part)) is not None:
            raise RunError(
                f"{place}: {where} is another number by the study's table.json. Take both from one run of the study."
            )


def differing(old: Any, new: Any, where: str) -> str | None:
    """The first place where what was there before is not there as it was; what was added does not count."""
    if isinstance(old, Mapping):
        places = (differing(value, (new or {}).get(key), f"{where}.{key}") for key, value in old.items())
        return next((place for place in places if place is not None), None)
    if isinstance(old, list):
        if not isinstance(new, list) or len(old) != len(new):
            return where
        places = (differing(one, other, f"{where}[{at}]") for at, (one, other) in enumerate(zip(old, new, strict=True)))
        return next((place for place in places if place is not None), None)
    number = isinstance(old, float) and isinstance(new, int | float)
    same = bool(np.isclose(old, new, rtol=SAME, atol=0)) if number else old == new
    return None if same else where
