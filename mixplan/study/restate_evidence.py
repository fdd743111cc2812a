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
from mixplan.forecast.evidence import SCORE_NAMES
from mixplan.reading import Watcher
from mixplan.runs import translated, write_json
from mixplan.saved.base_types import JsonObject
from mixplan.saved.evidence import Evidence, EvidenceHead
from mixplan.saved.read import File, parsed
from mixplan.study.asked.spec import LoadedStudy, first_hash, load_study
from mixplan.study.evidence import Correlations, evidence_of, head_of, told_of
from mixplan.study.jobs import Bench, Taught
from mixplan.study.judged.table import Table, read_table

EVIDENCE_AGAIN = "Run the study again, `mixplan study run STUDY --run FOLDER`: it writes it from what is kept."
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
    file = File(evidence, "evidence", EVIDENCE_AGAIN)
    data = file.bytes()
    old = parsed(Evidence, data, file)
    if old.study != study.hash:
        raise RunError(
            f"{evidence}: the evidence of the study registered as {str(old.study)[:16]}, and {place} is "
            f"{study.hash[:16]}. Name the study that wrote it."
        )
    before: JsonObject = json.loads(data)  # as it stands, in its own order
    with tempfile.TemporaryDirectory() as folder:
        new = written_again(study, old, Path(folder), watcher)
    values: JsonObject = before | json.loads(json.dumps(new.values()))
    refuse_other_numbers(before, values, evidence)
    write_json(evidence, {**values, "restates": first_hash(data)})
    return evidence


def written_again(study: LoadedStudy, old: Evidence, folder: Path, watcher: Watcher) -> Evidence | EvidenceHead:
    """The evidence as this mixplan writes it; of a study of arms what it is of alone, which is all that may be added.

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
        return head_of(bench, {})
    table = read_table(study.path.parent / "table.json")
    # Correlations are resampled for minutes; they are of the same numbers, so those that stand are taken over.
    lacking = [name for name in SCORE_NAMES if name in table.predictors and name not in old.told]
    told = old.told | (told_of(table, lacking, seed=study.spec.seeds[0]) if lacking else {})
    return evidence_of(bench, table, Correlations(told, old.learned), headlines_in(old, table, study.path))


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


def headlines_in(old: Evidence, table: Table, place: Path) -> dict[str, dict[str, tuple[str, str]]]:
    """What stood for each domain when the evidence was written.

    Raises:
        RunError: a target or domain of the table is not in the evidence.
    """
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for target in table.targets:
        domains = old.targets.get(target, {})
        found[target] = {name: one.headline[:2] for name, one in domains.items() if one.headline is not None}
        if not found[target]:
            raise RunError(
                f"{place.parent / 'table.json'}: its target {target} is not in the evidence. Take both from one run of "
                "the study."
            )
    return found


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
