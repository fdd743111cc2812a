"""Describes what was opened, scored, forecast and written as the parts of plan.json."""

from __future__ import annotations

from collections.abc import Mapping

from mixplan.domains import Domain
from mixplan.domains.content_sketch import Content
from mixplan.domains.domain import PARTS
from mixplan.forecast import Forecast, Planned
from mixplan.recipe import SaeSpec
from mixplan.recipe.releases import listed_sae
from mixplan.saved import plan as saved
from mixplan.saved.scores import Sae, Scores


def data_of(domain: Domain) -> saved.Data:
    """A domain's counts and fingerprint."""
    return saved.Data(
        rows=saved.Splits.model_validate({part: len(getattr(domain, part)) for part in PARTS}),
        read_rows=domain.read_rows,
        source_rows=domain.source_rows,
        group=domain.group,
        shared=dict(domain.shared),
        dropped=dict(domain.dropped),
        changed=dict(domain.changed),
        examples=dict(domain.examples),
        labels=domain.labels,
        fingerprint=domain.fingerprint,
        grader=domain.grader,
        licence=licence_of(domain),
    )


def licence_of(domain: Domain) -> str | None:
    """The licence that the recipe states; of a target of several sources each one's, None where none is stated."""
    if not domain.sources:
        return domain.spec.licence
    stated = [f"{part.source}: {part.spec.licence or 'not stated'}" for part in domain.sources]
    return "; ".join(stated) if any(part.spec.licence for part in domain.sources) else None


def content_of(content: Content) -> saved.Content:
    """A sketch, its hashes in one text."""
    return saved.Content(source=content.source, rows=content.rows, keys="".join(content.keys))


def target_of(target: Domain, scores: Scores, planned: Planned) -> saved.Target:
    """The target's rows, sketch and reading, and each source's where it has several."""
    reading = scores.reading["target"]
    values = data_of(target).fields() | {
        "content": content_of(planned.target) if planned.target else None,
        "query_tokens": reading.query_tokens,
        "demonstration_tokens_mean": reading.context_tokens_mean,
    }
    if target.sources:
        values["sources"] = {
            part.source: saved.SourceData.model_validate(
                data_of(part).fields() | scores.sources[str(part.source)].fields() | {"mixture_rows": part.amount}
            )
            for part in target.sources
        }
    return saved.Target.model_validate(values)


def domains_of(
    domains: Mapping[str, Domain], scores: Scores, planned: Planned, risks: Forecast
) -> dict[str, saved.Domain]:
    """Each domain's scores, rows, sketch and forecast."""
    return {
        name: saved.Domain.model_validate(
            {"outside_shift": None}
            | scores.domains[name].fields()
            | data_of(domain).fields()
            | {"content": content_of(planned.domains[name]), "forecast": risks.describe(name)}
        )
        for name, domain in domains.items()
    }


def sae_of(sae: Sae | None, spec: SaeSpec | None) -> Sae | None:
    """The SAE with its name on Neuronpedia, where SAELens's table has one; None where the recipe has no SAE."""
    if sae is None or spec is None:
        return None
    listed = listed_sae(spec.release, spec.id) if spec.release and spec.id else None
    return sae.model_copy(update={"neuronpedia": listed.neuronpedia}) if listed and listed.neuronpedia else sae


def taught_rows(target: Domain, mixture: saved.Mixture) -> dict[str, int]:
    """Rows of the target in the mixture, of each source where it has several, by name."""
    return {part.name: part.rows for part in mixture.parts[: len(target.parts)]}
