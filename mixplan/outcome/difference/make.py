"""Measures two models on the same domains and reads both with one SAE, and writes what training changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from mixplan import __version__
from mixplan.domains import Domain, Row
from mixplan.domains.split import open_some
from mixplan.errors import SaeError
from mixplan.evaluate.compare import changes
from mixplan.evaluate.measure import evaluate
from mixplan.features.forward import reading_way
from mixplan.features.health import measure_health
from mixplan.model import Model, give_back_memory, load_model, load_trained
from mixplan.outcome.assemble import measured_part
from mixplan.outcome.difference.features import concentration_of, leading_features, read_moved, readings_of
from mixplan.outcome.difference.request import Asked, DiffRequest, find_asked
from mixplan.outcome.examples import examples_of
from mixplan.outcome.external_model import comparable
from mixplan.outcome.make import Answers
from mixplan.outcome.summary import behaviour, floors, headlines
from mixplan.plan.scores import describe_sae
from mixplan.reading import Watcher
from mixplan.reading.units import Reader
from mixplan.reading.workers import Workers
from mixplan.runs import cache_folder, locked
from mixplan.sae import load_sae
from mixplan.saved.diff import ChangedDomain, Diff, MovedFeature, Shift, write_diff
from mixplan.saved.evaluation import Evaluation, items_hash, write_evaluation
from mixplan.saved.outcome import Answered
from mixplan.saved.scores import Sae as SavedSae

SAID = 3
"""Features named in the summary."""


class Read:
    """What was read with the SAE; all empty without one."""

    def __init__(self, why: str | None = None) -> None:
        self.sae: SavedSae | None = None
        self.why = why
        self.shifts: dict[str, Shift] = {}
        self.features: list[MovedFeature] = []
        self.concentration: list[tuple[int, float]] = []
        self.warnings: list[str] = []


def diff_models(request: DiffRequest, *, watcher: Watcher) -> Path:
    """Measure what a training changed, by domain and by feature.

    Each measure and reading is kept, so that the same command goes on where it was stopped.

    Args:
        request: The models and the domains.
        watcher: Told of progress.

    Returns:
        The folder of diff.json.

    Raises:
        MixplanError: anything that the person can mend.
    """
    asked = find_asked(request)
    recipe = asked.loaded.recipe
    domains = opened(asked)
    with locked(asked.folder):
        watcher.say(f"loading {asked.base}")
        untrained = load_model(recipe.model, folder=asked.loaded.folder(("model", "name")))
        before = measured(asked, untrained, domains, watcher)
        watcher.say(f"loading {asked.request.trained}")
        spec = recipe.model.model_copy(update={"dtype": untrained.dtype})
        trained = load_trained(spec, asked.trained, folder=asked.loaded.folder(("model", "name")))
        rows = [row for domain in domains.values() for row in domain.evaluation]
        trained, notes = comparable(trained, untrained, rows, asked.trained)
        after = measured(asked, trained, domains, watcher, untrained)
        read = read_features(asked, untrained, trained, domains, watcher)
        found = assembled(asked, domains, before, after, read)
        examples = example_answers(asked, untrained, trained, domains, (before, after), watcher)
        found = found.model_copy(
            update={
                "warnings": [*notes, *found.warnings],
                "domains": {
                    name: one.model_copy(update={"examples": examples[name]}) if examples.get(name) else one
                    for name, one in found.domains.items()
                },
            }
        )
        write_diff(asked.folder, found)
    give_back_memory()
    return asked.folder


def opened(asked: Asked) -> dict[str, Domain]:
    """Open the domains.

    Raises:
        DataError: rows cannot be read, or are too few.
    """
    recipe, loaded = asked.loaded.recipe, asked.loaded
    found, problems = open_some(recipe, list(recipe.domains), folder=loaded.folder, where=loaded.where, first=True)
    for problem in problems:
        raise problem
    return found


def measured(
    asked: Asked, model: Model, domains: Mapping[str, Domain], watcher: Watcher, untrained: Model | None = None
) -> Evaluation:
    """Measure a model on every domain's evaluation rows, and keep it beside diff.json."""
    found = evaluate(
        model,
        None,
        domains,
        spec=asked.loaded.recipe.evaluate,
        folder=asked.loaded.folder(("evaluate", "tasks")),
        watcher=watcher,
        untrained=untrained,
    )
    write_evaluation(found, asked.folder / "evaluation" / ("before.json" if untrained is None else "after.json"))
    return found


def read_features(
    asked: Asked, untrained: Model, trained: Model, domains: Mapping[str, Domain], watcher: Watcher
) -> Read:
    """Read both models with the SAE, where there is one.

    Raises:
        SaeError: an SAE that the person named cannot be had or does not fit.
    """
    recipe = asked.loaded.recipe
    if asked.without_sae is not None or (spec := recipe.model.sae_spec) is None:
        return Read(asked.without_sae or "The recipe has no SAE.")
    try:
        sae = load_sae(spec, untrained, folder=asked.loaded.folder(("model", "sae", "path")))
        readings = readings_of(recipe, untrained, domains)
        folder = cache_folder() / "statistics"
        health = measure_health(untrained, sae, readings, folder) if readings else None
    except SaeError as error:
        if asked.request.sae is not None:
            raise
        return Read(f"The SAE that SAELens lists cannot be used: {error}")
    if health is None:
        return Read("No domain has query rows (`split.query`), so that none was read with an SAE.")
    read = Read()
    read.warnings += [f"{text[0].upper()}{text[1:]}" for text in (health.warning, sae.doubt) if text]
    reading_way(untrained, sae.depth)
    reader = Reader(untrained, sae, folder, watcher, Workers.here(), trained)
    moved = read_moved(readings, reader)
    read.sae = describe_sae(sae, health)
    read.concentration = concentration_of(moved)
    read.features = leading_features(moved, reader) if read.concentration else []
    read.shifts = {name: one.described() for name, one in moved.items() if one.shift.any()}
    return read


def example_answers(
    asked: Asked,
    untrained: Model,
    trained: Model,
    domains: Mapping[str, Domain],
    evaluations: tuple[Evaluation, Evaluation],
    watcher: Watcher,
) -> dict[str, list[Answered]]:
    """Rows of each domain whose answers changed most, for a person to read."""
    rows: dict[str, tuple[Row, ...]] = {name: domain.evaluation for name, domain in domains.items()}
    answers = Answers(untrained, trained, rows, asked.loaded.recipe.evaluate, watcher)
    before, after = evaluations
    return {
        name: examples_of(name, rows[name], before.domains[name], after.domains[name], answers.of_both)
        for name in before.domains
        if name in after.domains
    }


def assembled(asked: Asked, domains: Mapping[str, Domain], before: Evaluation, after: Evaluation, read: Read) -> Diff:
    """Put together what was measured and read."""
    evaluate_by = asked.loaded.recipe.evaluate
    compared = changes(before, after, resamples=evaluate_by.resamples, seed=asked.loaded.recipe.seed)
    found: dict[str, ChangedDomain] = {}
    for name in domains:
        shift = {"shift": read.shifts[name]} if name in read.shifts else {}
        found[name] = ChangedDomain.of_parts(measured_part(name, compared, before, after), **shift)
    fields: dict[str, object] = {
        "version": 1,
        "mixplan": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "hashes": {
            "base": before.model.hash,
            "trained": after.model.hash,
            "before": items_hash(before),
            "after": items_hash(after),
        },
        "base": asked.base,
        "trained": asked.request.trained,
        "suite": asked.request.domains,
        "options": asked.options,
        "dtype": before.model.dtype,
        "domains": found,
        "features": read.features,
        "concentration": read.concentration,
        "summary": summary(found, read),
        "warnings": list(warnings(found, read)),
    }
    fields |= {"sae": read.sae} if read.sae else {"without_sae": read.why}
    return Diff.model_validate(fields)


def summary(domains: Mapping[str, ChangedDomain], read: Read) -> list[str]:
    """Say in whole sentences what changed, the domains first."""
    return [sentence for sentence in (headlines(domains), floors(domains), behaviour(domains), moved(read)) if sentence]


def moved(read: Read) -> str:
    """Say how concentrated the features' shift is, and where it is largest."""
    if read.sae is None:
        return f"Features were not read. {read.why}"
    if not read.features:
        return "Training moved no feature of the SAE: it changed nothing below the SAE's layer."
    held = sum(feature.share for feature in read.features)
    names = sorted(read.shifts, key=lambda name: (-read.shifts[name].total, name))
    leading = ", ".join(str(feature.feature) for feature in read.features[:SAID])
    return (
        f"Of {read.sae.d_sae:,} SAE features, the {len(read.features)} that moved most hold "
        f"{100 * held:.0f} % of the shift, {leading} first; features moved most in {names[0]}."
    )


def warnings(domains: Mapping[str, ChangedDomain], read: Read) -> Iterable[str]:
    """What to know before trusting it."""
    yield from read.warnings
    missing = [name for name, one in domains.items() if not one.measures]
    if missing:
        yield f"Nothing was measured of {', '.join(missing)}: no evaluation rows, or no measure fits."
    if read.sae and (unread := [name for name in domains if name not in read.shifts]):
        yield f"No feature moved, or no query row was read, in {', '.join(unread)}."
