"""Reads opened domains and scores them by the drift dimensions; every unit of reading is kept, so work resumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mixplan.domains import Domain
from mixplan.domains.joined_sources import scarcest
from mixplan.drift import Drift, predict_drift
from mixplan.errors import DataError, SaeError
from mixplan.features.examples import Example, add_strongest, examples_of
from mixplan.features.forward import reading_way
from mixplan.features.health import measure_health
from mixplan.features.queries import Reading, Unit, plan_reading
from mixplan.features.statistics import Columns, Statistics
from mixplan.model import Checked, Model, slower
from mixplan.plan.by_source import SourceDrift, scores_by_source, source_drifts
from mixplan.plan.conversations import conversations_as_read
from mixplan.plan.drift_source import DriftReading, drift_reading
from mixplan.plan.figures import describe_model, interval_of, mean_row_tokens
from mixplan.plan.loaded_alike import load_alike
from mixplan.plan.read_up_to import drawn_from, read_up_to, widening_of
from mixplan.reading.progress import Watcher
from mixplan.reading.shares import read_ahead, summed_job
from mixplan.reading.tokenizer import keep_tokenizer
from mixplan.reading.units import Reader
from mixplan.reading.workers import Workers
from mixplan.recipe import LoadedRecipe, Recipe, SaeSpec
from mixplan.runs import cache_folder
from mixplan.sae import Sae, load_sae
from mixplan.sae.from_config import sae_depth
from mixplan.sae.health import Health
from mixplan.saved import scores as saved
from mixplan.saved.base_types import Context
from mixplan.sts import DomainScores, ranking_stability, score_domain

REPLICAS = 50
"""Bootstrap resamples behind a drift dimension's selection frequency: to a few per cent, at 50 x d_sae floats."""

REASONS = 5
"""Drift dimensions shown for each domain."""


@dataclass(frozen=True)
class Ready:
    """A model that is known to be read right, with its SAE.

    Attributes:
        model: The model, loaded up to the SAE.
        sae: Its SAE.
        checked: How the model is read.
        warnings: What the person should know of both, in whole sentences.
    """

    model: Model
    sae: Sae
    checked: Checked
    warnings: tuple[str, ...]


@dataclass
class Begun:
    """All that scores are read with; a trained model goes from it once nothing more is read by it.

    Attributes:
        loaded: The recipe.
        target: The opened target.
        domains: The opened domains.
        ready: Model and SAE.
        reader: Reads with them.
        readings: What may be read of the target (under the name `target`) and of each domain.
        told: What tells the drift dimensions; its reading is the target's.
        health: How well the SAE fits.
    """

    loaded: LoadedRecipe
    target: Domain
    domains: Mapping[str, Domain]
    ready: Ready
    reader: Reader
    readings: dict[str, Reading]
    told: DriftReading
    health: Health


def measure_scores(
    loaded: LoadedRecipe, target: Domain, domains: Mapping[str, Domain], *, watcher: Watcher
) -> saved.Scores:
    """Load model and SAE, predict drift, and score every domain.

    Args:
        loaded: The recipe, whose budgets of query tokens are given.
        target: The opened target.
        domains: The opened domains.
        watcher: Told of progress.

    Raises:
        MixplanError: model, SAE or data cannot be used.
    """
    return measured(begin_reading(loaded, target, domains, watcher=watcher), looks=None)


def begin_reading(loaded: LoadedRecipe, target: Domain, domains: Mapping[str, Domain], *, watcher: Watcher) -> Begun:
    """Load model and SAE, and decide what may be read.

    Raises:
        MixplanError: model, SAE or data cannot be used.
    """
    ready = made_ready(loaded, target, domains, watcher)
    model, sae = ready.model, ready.sae
    reader = Reader(model, sae, cache_folder() / "statistics", watcher, Workers.here())
    readings = plan_readings(loaded.recipe, model, target, domains)
    health = measure_health(model, sae, readings, reader.folder)
    told = drift_reading(loaded, model, target, readings["target"], watcher=watcher, workers=reader.workers)
    readings["target"] = told.reading
    return Begun(loaded, target, domains, ready, reader, readings, told, health)


def measured(begun: Begun, *, looks: Mapping[str, int] | None) -> saved.Scores:
    """Predict drift, and score every domain.

    Args:
        begun: What to read, with what.
        looks: Up to which look each is read that is read to `query_tokens: auto`; None where nothing is.
    """
    recipe, model, target, domains = begun.loaded.recipe, begun.ready.model, begun.target, begun.domains
    readings, reader = read_up_to(recipe, begun.readings, begun.reader, looks)
    told = replace(begun.told, reading=readings["target"])
    beside = told.trained is not None
    if not beside:
        share_reading(reader, readings, told.reading.units)
    drift, parts = measure_drift(recipe, reader, told)
    sources = source_drifts(recipe, model, target, reader, told, looks)
    if looks is None:
        begun.told = told = told.without_models()  # their memory is free again before the domains are read
    if beside:
        share_reading(reader, readings, ())
    scored, described, strongest = score_domains(recipe, reader, readings, domains, drift, sources)
    scores = saved.Scores(
        model=describe_model(model, begun.ready.checked),
        tokenizer=keep_tokenizer(model, (*target.parts, *domains.values())),
        sae=describe_sae(begun.ready.sae, begun.health),
        drift=describe_drift(drift, told, strongest),
        sources={source.name: source.describe(drift) for source in sources},
        domains=described,
        ranking=saved.Ranking(
            stability=ranking_stability(scored, f"sts_{recipe.sts.score}"),
            of="mean Spearman correlation of resampled scores with the reported ones",
        ),
        reading={name: describe_reading(reading) for name, reading in readings.items()},
        warnings=[
            *begun.ready.warnings,
            *filter(None, [begun.health.warning]),
            *told.warnings,
            *reading_warnings(readings, target, at_most=begun.readings),
        ],
    )
    if looks is None:
        return scores
    return scores.model_copy(update={"looks": drawn_from(recipe, reader, (begun.readings, readings), parts, looks)})


def score_domains(
    recipe: Recipe,
    reader: Reader,
    readings: Mapping[str, Reading],
    domains: Mapping[str, Domain],
    drift: Drift,
    sources: Sequence[SourceDrift],
) -> tuple[dict[str, DomainScores], dict[str, saved.DomainScores], dict[int, tuple[str, Example]]]:
    """Read and score every domain.

    Args:
        recipe: What is asked of scores.
        reader: Reads.
        readings: What is read of each domain.
        domains: The opened domains.
        drift: The target's drift dimensions.
        sources: Those of each source, where the target has several; by these too all features are read.

    Returns:
        By domain, the scores, and what plan.json says of them; by drift dimension, where it fires most.
    """
    columns = Columns(drift.features, drift.low, drift.raw)
    scored: dict[str, DomainScores] = {}
    described: dict[str, saved.DomainScores] = {}
    strongest: dict[int, tuple[str, Example]] = {}
    for number, name in enumerate(domains, 1):
        units = readings[name].units
        reader.watcher.stage(f"reading {name} ({number} of {len(domains)})", readings[name].tokens, "tokens")
        parts = reader.read_columns(units, columns, whole=recipe.sts.outside or bool(sources))
        scored[name] = score_domain(
            parts, resamples=recipe.sts.resamples, seed=recipe.seed, widen=widening_of(recipe, parts)
        )
        values: dict[str, object] = {
            **{score: interval_of(value) for score, value in scored[name].scores.items()},
            "query_tokens": readings[name].tokens,
            "row_tokens_mean": mean_row_tokens(reader.model, domains[name]),
            "why": reasons(reader, units, parts, scored[name], drift, recipe.sts.score),
        }
        if sources:
            values["by_source"] = scores_by_source(sources, parts)
        described[name] = saved.DomainScores.model_validate(values)
        add_strongest(strongest, reader.model, name, units, parts)
    return scored, described, strongest


def made_ready(loaded: LoadedRecipe, target: Domain, domains: Mapping[str, Domain], watcher: Watcher) -> Ready:
    """Load model and SAE, refuse rows that the chat template refuses, and find out how the model can be read.

    Raises:
        MixplanError: model, SAE or rows cannot be used.
    """
    spec = loaded.recipe.model
    if (sae_spec := spec.sae_spec) is None:
        raise SaeError(f"{loaded.where(('model', 'sae'))}: model.sae: it is none, so there are no features to read.")
    watcher.say(f"loading {spec.name}")
    depth = reading_depth(loaded, sae_spec)
    model = load_alike(spec, Workers.here(), folder=loaded.folder(("model", "name")), depth=depth)
    warnings = conversations_as_read(loaded.recipe, model, target, domains)
    sae = load_sae(sae_spec, model, folder=loaded.folder(("model", "sae", "path")))
    checked = reading_way(model, sae.depth)
    warnings += filter(None, [slower(model, checked, "read")])
    for warning in warnings:
        watcher.say(warning)
    return Ready(model, sae, checked, tuple(filter(None, [*warnings, sae.doubt])))


def reading_depth(loaded: LoadedRecipe, spec: SaeSpec) -> int | None:
    """Blocks that a plan reads; None where the model also answers, for which it is loaded whole.

    Raises:
        SaeError: the SAE cannot be found, or is not one of a residual stream.
    """
    if loaded.recipe.drift.from_ in ("rollouts", "reward_step"):
        return None
    return sae_depth(spec, loaded.folder(("model", "sae", "path")))


def plan_readings(recipe: Recipe, model: Model, target: Domain, domains: Mapping[str, Domain]) -> dict[str, Reading]:
    """What is read of the target (under the name `target`) and of each domain.

    Raises:
        DataError: a domain has no query row or no demonstration.
    """
    readings = {}
    for number, (name, domain) in enumerate([("target", target), *domains.items()]):
        section = recipe.drift if name == "target" else recipe.sts
        if not domain.query or not domain.demonstration:
            raise DataError(
                f"domain '{name}' has {len(domain.query)} query and {len(domain.demonstration)} demonstration rows; "
                "scores need at least one of each. Raise them under its `split`."
            )
        readings[name] = plan_reading(
            model,
            domain.query,
            domain.demonstration,
            tokens=section.tokens_at_most,
            shots=section.demonstrations,
            draws=section.draws,
            seed=recipe.seed * 1_000_003 + number,
        )
        if not readings[name].units:
            raise DataError(
                f"domain '{name}': every question is longer than the model's window of {model.window} tokens. "
                "Shorten them with a template, or choose a model with a longer window."
            )
    return readings


def share_reading(reader: Reader, readings: Mapping[str, Reading], target: Sequence[Unit]) -> None:
    """Read domains, and so much of the target, with all processes at once; with one there is nothing to share."""
    domains = [unit for name, reading in readings.items() if name != "target" for unit in reading.units]
    jobs = [summed_job(reader, part, replicas=REPLICAS) for unit in target for part in reader.parts_of(unit)]
    read_ahead(reader, [part for unit in domains for part in reader.parts_of(unit)], jobs)


def measure_drift(recipe: Recipe, reader: Reader, told: DriftReading) -> tuple[Drift, list[Statistics]]:
    """Read the target and predict its drift dimensions; with the statistics that they come from."""
    reader.watcher.stage("reading the target", told.reading.tokens, "tokens")
    parts = told.through(reader).read(told.reading.units, replicas=REPLICAS)
    return predict_drift(parts, count=recipe.drift.features, seed=recipe.seed, told_by=recipe.drift.from_), parts


def reasons(
    reader: Reader, units: Sequence[Unit], parts: Sequence[Statistics], scores: DomainScores, drift: Drift, score: str
) -> list[saved.Reason]:
    """The drift dimensions that make most of a domain's score, with the tokens that fire them."""
    by_column = scores.shift_by_column if score == "icl" else scores.act_by_column
    whole = float(by_column.sum())
    found = []
    for column in (-by_column).argsort(kind="stable")[:REASONS]:
        if by_column[column] <= 0:
            break
        contexts = examples_of(reader.model, units, parts, int(column))
        found.append(
            saved.Reason(
                feature=int(drift.features[column]),
                share=float(by_column[column]) / whole,
                contexts=[Context.model_validate(vars(context)) for context in contexts],
            )
        )
    return found


def describe_sae(sae: Sae, health: Health) -> saved.Sae:
    """The SAE and its health, for the plan."""
    return saved.Sae(
        name=sae.name,
        kind=sae.kind,
        hook_name=sae.hook_name,
        layer=sae.depth - 1,
        d_in=sae.d_in,
        d_sae=sae.d_sae,
        hash=sae.fingerprint,
        health=saved.Health.model_validate({**vars(health), "fits": health.fits}),
    )


def describe_drift(
    drift: Drift, told: DriftReading, strongest: Mapping[int, tuple[str, Example]]
) -> saved.DriftFigures:
    """The drift dimensions, for the plan, with where they fire most and the figures of what told them."""
    figures = saved.DriftFigures(
        features=[
            (int(feature), float(shift), float(frequency))
            for feature, shift, frequency in zip(drift.features, drift.shift, drift.frequency, strict=True)
        ],
        examples=[
            saved.FeatureExample(
                feature=int(drift.features[column]), domain=domain, context=Context.model_validate(vars(example))
            )
            for column, (domain, example) in sorted(strongest.items())
        ],
        share_of_shift=drift.share_of_shift,
        raw_share_of_shift=drift.raw_share_of_shift,
        concentration=list(drift.concentration),
        draws=len(told.reading.units),
        stability=drift.stability,
        of="mean share of the drift dimensions that a resample of demonstration draws and rows selects too",
        left_out=drift.left_out,
        moved=drift.moved,
        query_tokens=drift.tokens,
    )
    behind = {"rollouts": told.rollouts, "reward_step": told.reward_step, "checkpoint": told.checkpoint}
    return figures.model_copy(update={name: value for name, value in behind.items() if value is not None})


def describe_reading(reading: Reading) -> saved.Reading:
    """What was read, for the plan."""
    contexts = [len(query.context) - query.count for unit in reading.units for query in unit.queries]
    return saved.Reading(
        query_tokens=reading.tokens,
        wanted_tokens=reading.wanted_tokens,
        query_rows=len(contexts),
        draws=len(reading.units),
        context_tokens_mean=sum(contexts) / len(contexts),
        dropped_demonstrations=sum(unit.dropped_demonstrations for unit in reading.units),
        too_long=reading.too_long,
    )


def reading_warnings(readings: Mapping[str, Reading], target: Domain, *, at_most: Mapping[str, Reading]) -> list[str]:
    """What the person should know about budgets not met and demonstrations dropped.

    Args:
        readings: What was read.
        target: The opened target.
        at_most: What could be read, which is what was read where that does not stop by itself.
    """
    found = []
    for name, reading in readings.items():
        tokens = at_most[name].tokens
        if tokens < reading.wanted_tokens and name == "target" and target.sources:
            found.append(
                f"target: its sources' query rows, in proportion to their amounts, hold {tokens} of the "
                f"{reading.wanted_tokens} query tokens asked for; raise `{scarcest(target).key}.split.query`, whose "
                "rows run out first."
            )
        elif tokens < reading.wanted_tokens:
            found.append(
                f"{name}: its query rows hold {tokens} of the {reading.wanted_tokens} query tokens asked for; "
                "raise its `split.query`, or give it more rows, for narrower intervals."
            )
        if len({query.row for unit in reading.units for query in unit.queries}) == 1:
            found.append(
                f"{name}: its score rests on one query row, so its interval is no more than that row's value; raise "
                "`sts.query_tokens`, or `drift.query_tokens` for the target, to read more rows."
            )
        dropped = sum(unit.dropped_demonstrations for unit in reading.units)
        if dropped:
            found.append(f"{name}: {dropped} demonstrations did not fit the model's window and were left out whole.")
        if reading.too_long:
            found.append(f"{name}: {reading.too_long} questions are longer than the model's window and were left out.")
    return found
