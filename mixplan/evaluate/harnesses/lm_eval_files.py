"""Reads lm-evaluation-harness results with their samples, and holds the two against each other.

The samples of `results_DATE.json` are `samples_TASK_DATE.jsonl` beside it. They must be as many as the results count
and have the hash that the results hold of them (`task_hashes`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from mixplan.errors import EvaluateError
from mixplan.evaluate.harnesses.lm_eval_metrics import Column, column_of, options_in
from mixplan.evaluate.harnesses.lm_eval_models import (
    Json,
    hold_one_model,
    model_of,
    named_in,
    text_of,
    together,
    unequal,
)
from mixplan.evaluate.harnesses.metric_names import label_of
from mixplan.evaluate.harnesses.results import Item, Results, Task, Tasks
from mixplan.runs import content_hash, translated

MEASURE = "lm_eval"
HARNESS = "lm-evaluation-harness"
DATED = re.compile(r"_(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?)$")
"""How the harness ends the names of the files of one evaluation."""
AGAIN = "Evaluate again with `lm_eval run --log_samples --output_path FOLDER`"

MEANING = (
    *("output_type", "doc_to_target", "doc_to_choice", "process_results"),
    *("metric_list", "filter_list", "repeats", "num_fewshot"),
)
"""Settings of a task by which its scores have their meaning; what was asked stands in the prompts themselves."""
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
"""A function's place in memory, which stands in some settings and differs from run to run."""
LEADING = ("acc", "bits_per_byte")
"""Metrics that stand for a task that has one, as where mixplan runs the harness itself; else its first does."""
CONDITIONS = ("generation_kwargs", "dataset_path", "dataset_name", "test_split", "validation_split")

KINDS = {list: "list", str: "text", int: "number", float: "number", bool: "truth value", type(None): "null"}
Row = Mapping[str, "Sample"]
"""An item's samples, by filter."""


class Counted(BaseModel):
    """How many of a task's documents there are, and how many were evaluated."""

    effective: int


class ResultsFile(BaseModel):
    """The parts of a results file that are read."""

    model_config = ConfigDict(protected_namespaces=())

    results: dict[str, Json]
    configs: dict[str, Json] = Field(default_factory=dict)
    versions: dict[str, JsonValue] = Field(default_factory=dict)
    higher_is_better: dict[str, dict[str, bool | None]] = Field(default_factory=dict)
    n_samples: dict[str, Counted] = Field(default_factory=dict, alias="n-samples")
    group_subtasks: dict[str, list[str]] = Field(default_factory=dict)
    task_hashes: dict[str, str] = Field(default_factory=dict)
    config: Json = Field(default_factory=dict)
    model_name: str | None = None
    lm_eval_version: str | None = None
    system_instruction_sha: str | None = None
    chat_template_sha: str | None = None


class Sample(BaseModel):
    """One line of a samples file; what is not named here are values of metrics."""

    model_config = ConfigDict(extra="allow")

    doc_id: int
    doc: JsonValue = None
    target: JsonValue = ""
    arguments: JsonValue = None
    filter: str = "none"
    filtered_resps: JsonValue = None
    doc_hash: str = ""
    prompt_hash: str = ""
    target_hash: str = ""

    def metric(self, name: str) -> JsonValue:
        """The value of a metric; None where this sample has none."""
        return (self.model_extra or {}).get(name)


def is_results(path: Path) -> bool:
    """Whether a file looks like the harness's results: JSON that begins with `results` among its first keys."""
    try:
        with open(path, "rb") as file:
            return b'"results"' in file.read(4096)
    except OSError:
        return False


def read_results(place: Path, files: Sequence[Path]) -> Results:
    """Read the results files of one model; the samples of a task are read when it is asked for.

    Args:
        place: What the person named, for messages.
        files: Results files whose tasks differ.

    Raises:
        EvaluateError: a file is damaged, or two have one task or are of different models.
    """
    found = [(file, results_file(file)) for file in files]
    tasks: dict[str, Callable[[], Task]] = {}
    origins: dict[str, Path] = {}
    for file, results in found:
        for name in leaves(results):
            if name in tasks:
                raise EvaluateError(
                    f"{place}: the task '{name}' was evaluated twice: {origins[name].name} and {file.name}. Name one "
                    "of the two files."
                )
            tasks[name], origins[name] = partial(task_of, file, name, results), file
    hold_one_model(place, {file: model_of(results.model_name, results.config) for file, results in found})
    versions = {file: results.lm_eval_version or "" for file, results in found}
    dtypes = {file: text_of(results.config.get("model_dtype")).removeprefix("torch.") for file, results in found}
    first = found[0][1]
    return Results(
        place=place,
        harness=f"{HARNESS} {together(versions)}".strip(),
        measure=MEASURE,
        model=first.model_name or named_in(first.config),
        dtype=together(dtypes) or None,
        notes=[*unequal(place, "version of the harness", versions), *unequal(place, "compute type", dtypes)],
        tasks=Tasks(tasks),
        groups={name: members for _, results in found for name, members in results.group_subtasks.items() if members},
    )


def results_file(file: Path) -> ResultsFile:
    """Read a results file.

    Raises:
        EvaluateError: it is damaged, or no such file.
    """
    with translated(file, reading=True, again=f"{AGAIN}."):
        data = file.read_bytes()
    try:
        return ResultsFile.model_validate(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise EvaluateError(f"{file}: no results of {HARNESS}: {why(error)}. {AGAIN}.") from error


def why(error: ValueError | RecursionError) -> str:
    """What is wrong with a file's content, in a few words."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        if not first["loc"]:
            return f"a JSON {KINDS.get(type(first['input']), 'value')}, where an object (`{{…}}`) is expected"
        return f"`{'.'.join(str(part) for part in first['loc'])}`: {first['msg'].lower()}"
    return f"not JSON, or cut off ({' '.join(str(error).split())[:120]})"


def version_of(value: JsonValue) -> str:
    """A task's version as text, where 1, 1.0 and "1" are the same."""
    text = text_of(value)
    return str(float(text)) if re.fullmatch(r"\d+(\.\d+)?", text) else text


def leaves(results: ResultsFile) -> list[str]:
    """The tasks that were evaluated, without groups of tasks."""
    groups = {name for name, members in results.group_subtasks.items() if members}
    return [name for name in results.results if name not in groups]


def task_of(file: Path, name: str, results: ResultsFile) -> Task:
    """Read one task's samples and take a value an item from each metric that has one.

    Raises:
        EvaluateError: there are no samples, or they are not those of the results.
    """
    place = samples_file(file, name)
    samples = list(read_samples(place))
    hold_whole(place, file, name, results, samples)
    rows: dict[int, dict[str, Sample]] = {}
    filters = list(dict.fromkeys(sample.filter for sample in samples))
    for sample in samples:
        if sample.filter in rows.setdefault(sample.doc_id, {}):
            raise EvaluateError(
                f"{place}: document {sample.doc_id} stands twice under the filter '{sample.filter}'; one sample is "
                f"expected. {AGAIN} into another folder."
            )
        rows[sample.doc_id][sample.filter] = sample
    if uneven := [number for number, row in rows.items() if len(row) < len(filters)]:
        raise EvaluateError(
            f"{place}: document {uneven[0]} lacks samples of some of the filters {', '.join(filters)}: the file is cut "
            f"off or damaged. {AGAIN}."
        )
    columns, notes = columns_of(name, results, rows, filters)
    if not columns:
        raise EvaluateError(
            f"{place}: no metric of '{name}' is a number for each item, so before and after cannot be paired. "
            f"{' '.join(notes)}"
        )
    values = {measure: {column.quantity: column.values for column in found} for measure, found in columns.items()}
    numbered = enumerate(rows.items())
    config = results.configs.get(name, {})
    return Task(
        name=name,
        better={measure: {column.quantity: column.better for column in found} for measure, found in columns.items()},
        items={
            str(number): item_of(
                row[filters[0]],
                {label_of(MEASURE, key, filters[0]): answer_of(row[key].filtered_resps) for key in filters}
                if config.get("output_type") == "generate_until"
                else {},
                {measure: {quantity: column[at] for quantity, column in by.items()} for measure, by in values.items()},
                scored=config.get("output_type") == "multiple_choice",
            )
            for at, (number, row) in numbered
        },
        leading=filters[0],
        # The harness leaves what is not set out of the settings that it writes.
        meaning={key: ADDRESS.sub("", text_of(config.get(key))) for key in MEANING}
        | {"version": version_of(results.versions.get(name))},
        conditions={key: ADDRESS.sub("", text_of(config.get(key))) for key in CONDITIONS}
        | {
            "chat template": results.chat_template_sha or "",
            "system instruction": results.system_instruction_sha or "",
            "gen_kwargs": text_of(results.config.get("gen_kwargs")),
        },
        notes=notes,
    )


def samples_file(file: Path, name: str) -> Path:
    """Find the samples of one task of a results file: those of the same date, or the only ones there are.

    Raises:
        EvaluateError: there are none, or several and none of the results' date.
    """
    dated = DATED.search(file.stem)
    if dated and (found := file.with_name(f"samples_{name}_{dated[1]}.jsonl")).is_file():
        return found
    there = sorted(
        path for path in file.parent.glob("samples_*.jsonl") if DATED.sub("", path.stem) == f"samples_{name}"
    )
    if not there or (dated and all(DATED.search(path.stem) for path in there)):
        others = f" (there are only samples of other evaluations: {', '.join(path.name for path in there)})"
        date = f"_{dated[1]}" if dated else "_DATE"
        raise EvaluateError(
            f"{file}: the samples of its task '{name}' are not beside it; expected samples_{name}{date}.jsonl"
            f"{others if there else ''}. Pairing needs every item: evaluate with `lm_eval run --log_samples "
            "--output_path FOLDER`, and keep both files together."
        )
    if len(there) > 1:
        raise EvaluateError(
            f"{file}: its name has no date, and several samples of '{name}' lie beside it: "
            f"{', '.join(path.name for path in there)}. Give the file the harness's own name, results_DATE.json."
        )
    return there[0]


def read_samples(place: Path) -> Iterator[Sample]:
    """Read a samples file line by line.

    Raises:
        EvaluateError: a line is damaged.
    """
    with translated(place, reading=True, again=f"{AGAIN}."), open(place, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                yield Sample.model_validate(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise EvaluateError(f"{place}, line {number}: no sample: {why(error)}. {AGAIN}.") from error


def hold_whole(place: Path, file: Path, name: str, results: ResultsFile, samples: Sequence[Sample]) -> None:
    """Hold samples against what their results say of them: how many, and which.

    Raises:
        EvaluateError: they are not those of the results.
    """
    counts = Counter(sample.filter for sample in samples)
    expected = results.n_samples[name].effective if name in results.n_samples else None
    few = min(counts.values(), default=0)
    if not samples or (expected is not None and few < expected):
        filters = max(1, len(counts))
        raise EvaluateError(
            f"{place}: found {len(samples)} samples, expected {(expected or 1) * filters} ({expected} documents, "
            f"{'one filter' if filters == 1 else f'{filters} filters'}, by {file.name}): the file is cut off. {AGAIN}."
        )
    stated = results.task_hashes.get(name)
    if stated and all(sample.doc_hash and sample.prompt_hash and sample.target_hash for sample in samples):
        hashes = "".join(sample.doc_hash + sample.prompt_hash + sample.target_hash for sample in samples)
        if hashlib.sha256(hashes.encode()).hexdigest() != stated:
            raise EvaluateError(
                f"{place}: its items and prompts are not those of {file.name} (`task_hashes.{name}`): the two files "
                f"are of different evaluations, or lines are damaged. {AGAIN}."
            )


def columns_of(
    name: str, results: ResultsFile, rows: Mapping[int, Row], filters: Sequence[str]
) -> tuple[dict[str, list[Column]], list[str]]:
    """Take the values of every metric that has a number an item.

    Returns:
        By measure (one a filter, the first filter's is `lm_eval`), and what to know of the rest.

    Raises:
        EvaluateError: a metric's mean over samples is not the figure in the results.
    """
    found: dict[str, list[Column]] = {}
    notes: dict[str, None] = {}
    better = directions(name, results)
    for key in filters:
        measure = label_of(MEASURE, key, filters[0])
        samples = [row[key] for row in rows.values()]
        for metric in metrics_of(results.results.get(name, {}), key, samples[0]):
            stated = results.results.get(name, {}).get(f"{metric},{key}")
            column = column_of(metric, better.get(metric), [one.metric(metric) for one in samples], stated)
            if isinstance(column, str):
                notes[f"{name}: {metric} is left out: {column}."] = None
            elif column.quantity not in {one.quantity for one in found.get(measure, [])}:
                found.setdefault(measure, []).append(column)
                if column.note:
                    notes[f"{name}: {column.note}"] = None
    for measure, columns in found.items():
        found[measure] = sorted(columns, key=lambda column: column.quantity not in LEADING)
    return found, list(notes)


def directions(name: str, results: ResultsFile) -> dict[str, bool | None]:
    """Whether more is better, by metric; older results say it in the task's `metric_list` alone."""
    found: dict[str, bool | None] = {}
    listed = results.configs.get(name, {}).get("metric_list")
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("higher_is_better"), bool):
            found[text_of(entry.get("metric"))] = bool(entry["higher_is_better"])
    return found | {metric: way for metric, way in results.higher_is_better.get(name, {}).items() if way is not None}


def metrics_of(figures: Json, key: str, sample: Sample) -> list[str]:
    """A filter's metrics, in the order of the samples where these list them, else in that of the results."""
    listed = (sample.model_extra or {}).get("metrics")
    stated = [name.rpartition(",")[0] for name in figures if name.endswith(f",{key}")]
    stated = [name for name in stated if not name.endswith("_stderr")]
    return [str(name) for name in listed] if isinstance(listed, list) else stated


def item_of(sample: Sample, answers: dict[str, str], values: dict[str, dict[str, float]], *, scored: bool) -> Item:
    """One item as it was asked and answered; scored is whether by the likeliest of several options."""
    contexts = contexts_of(sample.arguments)
    first = contexts[0] if contexts else ""
    return Item(
        content=content_hash(text_of(sample.doc), text_of(sample.target)),
        prompt=content_hash([text_of(one) for one in contexts]),
        values=values,
        question=first if isinstance(first, str) else text_of(first),
        reference=text_of(sample.target),
        answers=answers,
        options=options_in(sample.arguments) if scored else 0,
    )


def contexts_of(arguments: JsonValue) -> list[JsonValue]:
    """What stood in front of each answer of a sample, without the answers and the settings of generation."""
    if isinstance(arguments, dict):
        each = [entry.get("arg_0") if isinstance(entry, dict) else entry for entry in arguments.values()]
    elif isinstance(arguments, list):  # as versions before 0.4.3 write them
        each = [entry[0] if isinstance(entry, list) and entry else entry for entry in arguments]
    else:
        each = []
    return list({text_of(one): one for one in each}.values())


def answer_of(responses: JsonValue) -> str:
    """The answer as it was graded, where one was generated."""
    first = responses[0] if isinstance(responses, list) and responses else responses
    return first if isinstance(first, str) else ""
