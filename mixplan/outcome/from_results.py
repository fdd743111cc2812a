"""Makes a run's outcome of what another harness measured before and after training; no model is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mixplan.errors import RunError
from mixplan.evaluate.accuracy_floors import floor_of
from mixplan.evaluate.harnesses.find import read_harness
from mixplan.evaluate.harnesses.metric_names import Choice
from mixplan.evaluate.harnesses.pair import PairedPart, pair_part
from mixplan.evaluate.harnesses.results import Item, Results
from mixplan.outcome.assemble import assemble
from mixplan.outcome.examples import SHOWN, changed_rows, cut
from mixplan.outcome.external_model import Judged, hold_label, hold_same
from mixplan.outcome.tolerances import changes_in, gate, on_results, standing, with_gate
from mixplan.outcome.units import PER_CENT
from mixplan.recipe import load_recipe
from mixplan.recipe.tolerances import tolerances_of
from mixplan.runs import JUDGED, content_hash, locked
from mixplan.saved import Outcome, Plan, read_plan, write_outcome
from mixplan.saved.evaluation import EvaluatedModel, Evaluation, Measured, write_evaluation
from mixplan.saved.outcome import Answered, Floor, Harness
from mixplan.saved.trajectory import is_target

ASKED = re.compile(r"(?P<domain>[^=]+)=(?P<task>[^=]+?)(?::(?P<metric>[^:,=]+)(?:,(?P<filter>[^:=]+))?)?")
GRADES = {0.0: "wrong", 1.0: "right"}
READ = tuple(
    f"{key}{end}" for key in ("evaluate.tasks", "evaluate.resamples", "tolerances", "seed") for end in ("=", ".")
)
"""How overrides begin that change how results are read and judged."""
NAMED = 8
"""Names listed in a message."""


@dataclass(frozen=True)
class ResultsRequest:
    """What `mixplan eval RUN --before … --after …` was asked.

    Attributes:
        before: Results of the untrained model: a file, or a folder of such.
        after: Of the trained one.
        tasks: `DOMAIN=TASK` texts, with `:METRIC` and `,FILTER` behind where others than the first are to count.
        label: What the outcome is kept under; the trained model's name in the results when None.
    """

    before: Path
    after: Path
    tasks: tuple[str, ...] = ()
    label: str | None = None


def judge_results(run: Path, request: ResultsRequest, overrides: tuple[str, ...] = ()) -> Path:
    """Write a run's outcome by what a harness measured of the untrained and of a trained model.

    Args:
        run: A planned run folder.
        request: The results, and which task stands for which domain.
        overrides: `key=value` texts of the keys that are read: `evaluate.tasks`, `evaluate.resamples`, `tolerances`
            and `seed`.

    Returns:
        The folder of outcome.json, `judged/LABEL` in the run folder.

    Raises:
        EvaluateError: results cannot be read or paired.
        RunError: there is no plan, an override has no effect, no task stands for a domain of it, or the label cannot
            name a folder.
    """
    if without := [text for text in overrides if not text.startswith(READ)]:
        raise RunError(
            f"--set {without[0]}: has no effect on results that were measured elsewhere; only evaluate.tasks, "
            "evaluate.resamples, tolerances and seed have one. Leave it out."
        )
    plan = read_plan(run)
    recipe = load_recipe(run / "recipe.yaml", overrides).recipe
    before, after = read_harness(request.before), read_harness(request.after)
    if before.measure != after.measure:
        raise RunError(
            f"{request.before} is of {before.harness}, {request.after} of {after.harness}. Give results of one harness."
        )
    chosen = choices(plan, request.tasks, recipe.evaluate.tasks, before, after)
    parts = {name: pair_part(found, before, after) for name, found in chosen.items()}
    label = request.label or re.sub(r"[^A-Za-z0-9_.-]+", "-", after.model.rstrip("/").rpartition("/")[2]).strip("-._")
    hold_label(label)
    early, late = evaluation(before, parts, late=False), evaluation(after, parts, late=True)
    early = replace(early, floors=floors_of(early, parts))
    harness = Harness(
        name=after.harness,
        before=str(request.before.resolve()),
        after=str(request.after.resolve()),
        model_before=before.model,
        tasks=[task for part in parts.values() for task in part.tasks],
        asked=list(request.tasks),
    )
    judged = Judged(request.after, after.model, label, late.model.hash, harness)
    found = assemble(plan, early, late, judged, None, spec=recipe.evaluate, seed=recipe.seed)
    found = with_answers(found, parts)
    folder = run / JUDGED / label
    asked = on_results(tolerances_of(recipe), found.domains)
    if (held := gate(asked, changes_in(found), early, questions(parts))) is not None:
        found = with_gate(found, plan, held, standing(folder))
    lost = unmeasured(plan, request.tasks, recipe.evaluate.tasks, before, after)
    warnings = [*told(plan, before, after, chosen, lost), *(note for part in parts.values() for note in part.notes)]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    hold_same(folder, after.model, harness=True)
    with locked(run, protected=True):
        for when, one in zip(("before", "after"), (early, late), strict=True):
            write_evaluation(one, folder / "evaluation" / f"{when}.json")
        write_outcome(folder, found.model_copy(update={"created": now, "warnings": [*found.warnings, *warnings]}))
    return folder


def choices(
    plan: Plan, asked: Sequence[str], tasks: Mapping[str, str], before: Results, after: Results
) -> dict[str, list[Choice]]:
    """Which tasks stand for which part of a plan: as asked, else by the recipe, else by name.

    Args:
        plan: Whose parts they stand for.
        asked: `DOMAIN=TASK` texts.
        tasks: The recipe's `evaluate.tasks`.
        before: Results of the untrained model.
        after: Of the trained one.

    Raises:
        RunError: a text is none, a part or task does not exist, or nothing stands for any part.
    """
    parts = ["target", *(f"target.{name}" for name in plan.target.sources), *plan.domains]
    there = [name for name in before.tasks if name in after.tasks]
    found: dict[str, list[Choice]] = {}
    for text in asked:
        choice = parsed(text)
        if choice.domain not in parts:
            raise RunError(f"--tasks {text}: the plan has no part '{choice.domain}'; there are {few(parts)}.")
        members = [name for name in wanted_of(choice.task, before, after) if name in there]
        if not members:
            raise RunError(
                f"--tasks {text}: no task '{choice.task}' was measured before and after; there are {few(there)}."
            )
        listed = found.setdefault(choice.domain, [])
        for name in members:
            add(listed, Choice(choice.domain, name, choice.metric, choice.filter), text)
    for name in parts:
        # An inspect task may stand under its package's name.
        named = [task for task in there if task.rpartition("/")[2] == name]
        members = [task for task in wanted_of(tasks.get(name, name), before, after) if task in there] or named
        if name not in found and members:
            found[name] = [Choice(name, task) for task in members]
    if not found:
        raise RunError(
            f"no task of the results is named as a part of the plan. The plan has {few(parts)}; the results have "
            f"{few(there or sorted({*before.tasks, *after.tasks}))}{'' if there else ', none before and after'}. Say "
            f"which stand for which, such as `--tasks {parts[-1]}={there[0] if there else 'TASK'}`."
        )
    return found


def add(listed: list[Choice], choice: Choice, text: str) -> None:
    """Add a task to those of its domain; where it is one of them, a metric that is named stands.

    Raises:
        RunError: another metric or filter was named for it.
    """
    place = next((place for place, one in enumerate(listed) if one.task == choice.task), None)
    if place is None:
        listed.append(choice)
        return
    earlier = listed[place]
    for one, other in ((earlier.metric, choice.metric), (earlier.filter, choice.filter)):
        if one is not None and other is not None and one != other:
            raise RunError(
                f"--tasks {text}: for the task '{choice.task}' of {choice.domain}, {one} was asked for before, and now "
                f"{other}. Name one."
            )
    listed[place] = Choice(choice.domain, choice.task, earlier.metric or choice.metric, earlier.filter or choice.filter)


def unmeasured(
    plan: Plan, asked: Sequence[str], tasks: Mapping[str, str], before: Results, after: Results
) -> dict[str, str]:
    """The tasks that were to stand for parts of a plan and are in one of the two results alone.

    Args:
        plan: Whose parts they stand for.
        asked: `DOMAIN=TASK` texts.
        tasks: The recipe's `evaluate.tasks`.
        before: Results of the untrained model.
        after: Of the trained one.

    Returns:
        By task, the side that lacks it: `before` or `after`.
    """
    texts = [parsed(text) for text in asked]
    parts = {"target", *(f"target.{name}" for name in plan.target.sources), *plan.domains}
    named = [tasks.get(name, name) for name in sorted(parts - {choice.domain for choice in texts})]
    wanted = [task for name in [*(choice.task for choice in texts), *named] for task in wanted_of(name, before, after)]
    return {
        task: "after" if task in before.tasks else "before"
        for task in wanted
        if (task in before.tasks) != (task in after.tasks)
    }


def wanted_of(name: str, before: Results, after: Results) -> list[str]:
    """The tasks that a name stands for in either of the results."""
    return list(dict.fromkeys([*members_of(name, before), *members_of(name, after)]))


def parsed(text: str) -> Choice:
    """One `DOMAIN=TASK[:METRIC[,FILTER]]` text.

    Raises:
        RunError: it is none.
    """
    match = ASKED.fullmatch(text.strip())
    if match is None:
        raise RunError(
            f"--tasks {text}: expected DOMAIN=TASK, such as `--tasks law=mmlu_law`, or with a metric and filter "
            "`--tasks math=gsm8k:exact_match,flexible-extract`."
        )
    return Choice(match["domain"].strip(), match["task"].strip(), match["metric"], match["filter"])


def members_of(name: str, results: Results) -> list[str]:
    """A task by itself, or the tasks of a group of tasks."""
    if name in results.tasks:
        return [name]
    return [task for member in results.groups.get(name, []) if member != name for task in members_of(member, results)]


def few(names: Sequence[str]) -> str:
    """Names as a list, the first ones where there are many."""
    listed = ", ".join(names[:NAMED]) or "none"
    return f"{listed} and {len(names) - NAMED} more" if len(names) > NAMED else listed


def evaluation(results: Results, parts: Mapping[str, PairedPart], *, late: bool) -> Evaluation:
    """What a harness measured of one model, as an evaluation of the plan's parts."""
    domains = {name: part.after if late else part.before for name, part in parts.items()}
    values = {
        name: {measure: [one.rows, one.values] for measure, one in measures.items()}
        for name, measures in domains.items()
    }
    return Evaluation(
        # A difference of types is told; rounding of theirs is the harness's to answer for.
        model=EvaluatedModel(name=results.model, hash=content_hash(results.harness, values), dtype="as in the results"),
        domains=domains,
        headlines={name: part.headline for name, part in parts.items()},
    )


@dataclass(frozen=True)
class Guessed:
    """An item and how many options it has, none where answers are free."""

    id: str
    options: range


def questions(parts: Mapping[str, PairedPart]) -> dict[str, list[Guessed]]:
    """The items of each part of a plan, for what guessing gives."""
    return {
        name: [Guessed(row, range(pair[0].options)) for row, pair in part.items.items()] for name, part in parts.items()
    }


def floors_of(early: Evaluation, parts: Mapping[str, PairedPart]) -> dict[str, Floor]:
    """Domains whose accuracy before training cannot show a loss; what is taught is there to gain."""
    asked = questions(parts)
    found = {
        name: floor_of(headline, early.domains[name], asked[name], named=True)
        for name, headline in early.headlines.items()
        if not is_target(name)
    }
    return {name: floor for name, floor in found.items() if floor is not None}


def told(
    plan: Plan,
    before: Results,
    after: Results,
    chosen: Mapping[str, Sequence[Choice]],
    lost: Mapping[str, str],
) -> list[str]:
    """What a reader should know of the two results as a whole.

    Args:
        plan: By which they are judged.
        before: Results of the untrained model.
        after: Of the trained one.
        chosen: The tasks that count, by part of the plan.
        lost: Tasks that were to count, each with the side that lacks it.
    """
    names = {plan.model.name, plan.model.name.rstrip("/").rpartition("/")[2]}
    found = [*before.notes, *after.notes]
    if before.model and not {before.model, before.model.rstrip("/").rpartition("/")[2]} & names:
        found.append(
            f"The results before are of '{before.model}', and the plan is of '{plan.model.name}': its forecast holds "
            "only where these are the same model."
        )
    if before.model == after.model:
        found.append(f"Both results name the same model, '{after.model}'. Check that --after is of the trained one.")
    if before.harness != after.harness:
        found.append(f"Measured by {before.harness} before and {after.harness} after: the two may score differently.")
    if before.dtype and after.dtype and before.dtype != after.dtype:
        found.append(
            f"The untrained model was measured in {before.dtype}, the trained one in {after.dtype}: part of what "
            "changed may be rounding."
        )
    used = {choice.task for listed in chosen.values() for choice in listed} | set(lost)
    if lost:
        found.append(
            f"{few([f'{name} (not measured {when})' for name, when in lost.items()])}: asked for, and left out, since "
            "pairs need both."
        )
    unused = [name for name in {**before.tasks, **after.tasks} if name not in used]
    if unused:
        found.append(f"Tasks of the results that stand for no part of the plan: {few(unused)}.")
    return found


def with_answers(outcome: Outcome, parts: Mapping[str, PairedPart]) -> Outcome:
    """An outcome with the items whose answers changed most, of tasks that keep answers."""
    found = {name: listed for name, part in parts.items() if (listed := answers(part))}
    parts_of: dict[str, object] = {
        "domains": {
            name: one.model_copy(update={"examples": found[name]}) if name in found else one
            for name, one in outcome.domains.items()
        }
    }
    if "target" in found:
        parts_of["target"] = outcome.target.model_copy(update={"examples": found["target"]})
    if outcome.sources:
        parts_of["sources"] = {
            name: one.model_copy(update={"examples": found[f"target.{name}"]}) if f"target.{name}" in found else one
            for name, one in outcome.sources.items()
        }
    return outcome.model_copy(update=parts_of)


def answers(part: PairedPart) -> list[Answered]:
    """The items of one part whose answers changed most, most first."""
    early, late = (with_texts(part, one[part.headline], place) for place, one in enumerate((part.before, part.after)))
    quantity = next(iter(early.values))
    rows = [
        pair
        for pair in changed_rows(early, late, quantity)
        if any(item.answers.get(part.headline) for item in part.items[pair[0]])
    ]
    return [shown(row, part, quantity, values) for row, values in rows[:SHOWN]]


def shown(row: str, part: PairedPart, quantity: str, values: tuple[float, float]) -> Answered:
    """One item with both answers as its headline takes them; right or wrong where that is what was measured."""
    items = part.items[row]
    made = Answered(
        row=row,
        question=cut(items[0].question),
        reference=cut(items[0].reference),
        before=cut(items[0].answers.get(part.headline, "")),
        after=cut(items[1].answers.get(part.headline, "")),
        quantity=quantity,
        measured=values,
    )
    if quantity not in PER_CENT or not set(values) <= GRADES.keys():
        return made
    return made.model_copy(update={"graded": (GRADES[values[0]], GRADES[values[1]])})


def with_texts(part: PairedPart, measured: Measured, place: int) -> Measured:
    """A measure with the items' answers, by which rows are told apart that were graded alike."""
    pairs: list[tuple[Item, Item]] = [part.items[row] for row in measured.rows]
    return Measured(
        measured.measure,
        measured.rows,
        measured.values,
        {"answer": tuple(pair[place].answers.get(part.headline, "") for pair in pairs)},
        measured.better,
    )
