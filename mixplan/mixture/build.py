"""Builds a mixture on disk from opened domains and planned rows: selects, shuffles, writes and describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mixplan.domains import Domain
from mixplan.errors import DataError, ModelError
from mixplan.grading.rewards import ACCEPTED
from mixplan.grading.versions import grading_state
from mixplan.mixture.answers import Untrained, take_answered
from mixplan.mixture.card import card
from mixplan.mixture.feasibility import require_gold, require_grader
from mixplan.mixture.licences import licence_warnings
from mixplan.mixture.order import Selection, take_domain, take_target
from mixplan.mixture.own_voice import INSTRUCTION, VERSION, in_own_voice
from mixplan.mixture.result import FORMAT, Mixture, Progress, read_mixture, write_record
from mixplan.mixture.stream import Stream, any_accepted
from mixplan.mixture.tokens import TokenCounter
from mixplan.mixture.trl_config import TEMPLATE, trl_job, within_window
from mixplan.mixture.write import beside, put_in_place, schema_of, write_shards
from mixplan.recipe import MixtureSpec, ModelSpec, TrainSpec
from mixplan.runs import content_hash, file_hash, write_atomic


def quiet(step: str, done: int, total: int) -> None:
    """Tell nobody."""


def build_mixture(
    *,
    target: Domain,
    domains: Mapping[str, Domain],
    rows: Mapping[str, int],
    spec: MixtureSpec,
    budget_max_repeats: int,
    train: TrainSpec,
    model: ModelSpec,
    model_path: str,
    seed: int,
    folder: Path,
    untrained: Untrained | None = None,
    count_tokens: TokenCounter | None = None,
    progress: Progress = quiet,
) -> Mixture:
    """Write the mixed data set, or return the one that stands there when it was made from the same inputs.

    Args:
        target: The opened target; its rows carry its own answers.
        domains: The opened domains, by name.
        rows: Planned rows by domain; a domain that is not named gets none.
        spec: The recipe's section.
        budget_max_repeats: How often one domain row may be used.
        train: The TRL job that the mixture is for.
        model: The recipe's model.
        model_path: Hub id or folder from which TRL loads it.
        seed: Of the shuffle.
        folder: Where the mixture goes, in the run folder.
        untrained: The model that answers; needed for `answers: self` and `target_answers: own_voice`.
        count_tokens: What counts a row's tokens, when they are to be counted.
        progress: Told how far a long step is.

    Returns:
        The mixture; its rows are exactly the planned counts.

    Raises:
        RecipeError: GRPO has no use for `mixture.answers`, or cannot grade a domain.
        DataError: a pool is too small, or holds an evaluation row.
        ModelError: the model was not given, or did not answer as asked.
        RunError: the folder cannot be written.
    """
    template = count_tokens.template if count_tokens else None
    cut = within_window(train, count_tokens.window if count_tokens else None)
    job = trl_job(cut, model=model, model_path=model_path, seed=seed, folder_name=folder.name, template=template)
    refuse_unplannable(target, domains, rows, spec, train)
    counted = count_tokens.fingerprint if count_tokens else None
    settings = [spec.model_dump(), budget_max_repeats, train.method, seed, job.text, counted, job.settings]
    own_voice = spec.target_answers == "own_voice"
    if own_voice:
        settings.append([VERSION, INSTRUCTION, grading_state([one.grader for one in target.parts])])
    if train.method == "grpo" and any_accepted([*target.parts, *domains.values()]):
        settings.append(ACCEPTED)  # an older mixture lacks their column
    inputs = hash_inputs(target, domains, rows, settings, untrained if spec.answers == "self" or own_voice else None)
    if (standing := read_mixture(folder)) is not None and standing.inputs == inputs:
        return standing
    own = [spoken(one, spec, untrained, progress) for one in take_target(target, spec.target_rows)]
    others = [take(d, rows.get(d.name, 0), spec, budget_max_repeats, untrained, progress) for d in domains.values()]
    stream = Stream([*own, *others], spec.answers, job, seed, count_tokens, progress)
    return write_mixture(stream, inputs, folder)


def write_mixture(stream: Stream, inputs: str, folder: Path) -> Mixture:
    """Write shards, card, TRL config and record beside the folder, then put them in its place."""
    job = stream.job
    with beside(folder) as partial:
        content = write_shards(
            stream.records(),
            schema=schema_of(job.method, job.settings, tools=stream.has_tools, accepted=stream.has_accepted),
            folder=partial,
        )
        restricted = licence_warnings([(one.domain, one.count) for one in stream.selections])
        parts, warnings = stream.parts(), (*job.warnings, *stream.told(), *restricted)
        text = card(
            parts,
            taught=sum(one.domain.is_taught for one in stream.selections),
            method=job.method,
            content=content,
            seed=stream.seed,
            folder_name=folder.name,
            warnings=warnings,
            settings=job.settings,
            tools=stream.has_tools,
            accepted=stream.has_accepted,
        )
        write_atomic(partial / "README.md", text.encode())
        write_atomic(partial / job.name, job.text.encode())
        if job.template is not None:
            write_atomic(partial / TEMPLATE, job.template.encode())
        files = {path.name: file_hash(path) for path in sorted(partial.iterdir())}
        mixture = Mixture(folder, job.method, content, inputs, files, parts, warnings)
        write_record(mixture, partial)
        return replace(mixture, set_aside=put_in_place(partial, folder))


def hash_inputs(
    target: Domain,
    domains: Mapping[str, Domain],
    rows: Mapping[str, int],
    settings: Sequence[object],
    untrained: Untrained | None,
) -> str:
    """Hash everything a mixture is made from."""
    opened = [
        [one.name, one.fingerprint, one.grader, one.spec.model_dump(), rows.get(one.name, 0)]
        for one in (*target.parts, *domains.values())
    ]
    return content_hash(FORMAT, opened, list(settings), untrained.fingerprint if untrained else None)


def refuse_unplannable(
    target: Domain, domains: Mapping[str, Domain], rows: Mapping[str, int], spec: MixtureSpec, train: TrainSpec
) -> None:
    """Refuse what no selection of rows can mend.

    Raises:
        DataError: rows are planned for a domain that is not there.
        RecipeError: GRPO has no use for `mixture.answers`, or cannot grade a domain.
    """
    if unknown := sorted(name for name in rows if name not in domains):
        raise DataError(
            f"mixture: rows are planned for {', '.join(unknown)}, but the recipe's domains are "
            f"{', '.join(sorted(domains))}. Plan again."
        )
    if train.method != "grpo":
        return
    require_gold(spec)
    for one in (*target.parts, *(domains[name] for name, count in rows.items() if count)):
        require_grader(one)


def spoken(selection: Selection, spec: MixtureSpec, untrained: Untrained | None, progress: Progress) -> Selection:
    """The target's rows, in the model's own words where the recipe asks for them.

    Raises:
        ModelError: it does, and no model was given.
    """
    if spec.target_answers != "own_voice":
        return selection
    if untrained is None:
        raise ModelError(
            "mixture.target_answers: own_voice needs the untrained model, which this command did not load. Run "
            "`mixplan plan` on the recipe, or leave the key out."
        )
    return in_own_voice(selection, tokens=spec.answer_tokens, untrained=untrained, progress=progress)


def take(
    domain: Domain, count: int, spec: MixtureSpec, max_repeats: int, untrained: Untrained | None, progress: Progress
) -> Selection:
    """Take a domain's planned rows with the answers the recipe asks for.

    Raises:
        DataError: its pool is too small.
        ModelError: the model's own answers are asked for and no model was given, or it did not answer as asked.
    """
    if spec.answers != "self" or count == 0:
        return take_domain(domain, count, max_repeats=max_repeats)
    if untrained is None:
        raise ModelError(
            "mixture.answers: self needs the untrained model, which this command did not load. "
            "Run `mixplan plan` on the recipe, or choose gold or rationale."
        )
    return take_answered(
        domain,
        count,
        max_repeats=max_repeats,
        tokens=spec.answer_tokens,
        untrained=untrained,
        progress=progress,
        keep_cut=spec.cut_answers == "keep",
    )
