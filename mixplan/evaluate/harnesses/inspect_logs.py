"""Reads logs of inspect_ai with inspect_ai's own library, one log a task.

An item's value is what inspect_ai itself makes of its epochs (its reductions): 1 and 0 for right and wrong. Of a scorer
that reports accuracy more is better; of any other the logs do not say.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mixplan.errors import EvaluateError
from mixplan.evaluate.harnesses.metric_names import label_of
from mixplan.evaluate.harnesses.results import Item, Results, Task, Tasks
from mixplan.runs import canonical_json, content_hash

MEASURE = "inspect"
HARNESS = "inspect_ai"
UNREAD = {"events", "store", "attachments", "timelines"}
"""Parts of a log that hold no score and make up most of its size."""
CLOSE = 1e-6
"""Relative, of a figure in a log and the same taken from its samples."""
Found = dict[str, Any]
"""Parts of a log by name, as the library types them."""
LETTERS = ("C", "I", "P", "N", "yes", "no", "true", "false")
"""Texts that inspect_ai reads as numbers; it takes any other for 0."""


def is_log(path: Path) -> bool:
    """Whether a file looks like a log: by its name, or as JSON that begins as one does."""
    if path.suffix == ".eval":
        return True
    try:
        with open(path, "rb") as file:
            start = file.read(4096)
    except OSError:
        return False
    return path.suffix == ".json" and b'"eval"' in start and b'"status"' in start


def read_logs(place: Path, files: Sequence[Path]) -> Results:
    """Read the heads of the logs of one model, each of another task; samples are read when a task is asked for.

    Args:
        place: What the person named, for messages.
        files: Its logs.

    Raises:
        EvaluateError: inspect_ai is not installed; a log is damaged; two are of one task, or of different models.
    """
    tasks: dict[str, Callable[[], Task]] = {}
    origins: dict[str, Path] = {}
    models: dict[str, Path] = {}
    versions = set[str]()
    for file in files:
        log = read_log(file, header_only=True)
        name = str(log.eval.task)
        if name in tasks:
            raise EvaluateError(
                f"{place}: the task '{name}' was evaluated twice: {origins[name].name} and {file.name}. Name one of "
                "the two files."
            )
        tasks[name], origins[name] = partial(whole_task, file, name), file
        models.setdefault(str(log.eval.model), file)
        versions.add(str((log.eval.packages or {}).get("inspect_ai", "")))
    if len(models) > 1:
        listed = ", ".join(f"{model} in {file.name}" for model, file in models.items())
        raise EvaluateError(f"{place}: holds logs of several models ({listed}). Name the logs of one.")
    version = " ".join(sorted(filter(None, versions)))
    return Results(
        place=place,
        harness=f"{HARNESS} {version}".strip(),
        measure=MEASURE,
        model=next(iter(models)),
        dtype=None,
        tasks=Tasks(tasks),
        groups={},
    )


def whole_task(file: Path, name: str) -> Task:
    """Read a log's samples.

    Raises:
        EvaluateError: it is damaged, or holds no samples or no score that is a number.
    """
    return task_of(file, name, read_log(file))


def read_log(file: Path, *, header_only: bool = False) -> Any:
    """Read a log, or all of it but its samples.

    Raises:
        EvaluateError: the library is not installed, or cannot read the file.
    """
    if importlib.util.find_spec("inspect_ai") is None:
        raise EvaluateError(
            f"{file}: a log of inspect_ai is read with its own library, which is not installed. Install it with "
            "`pip install 'mixplan[inspect]'`."
        )
    library: Any = importlib.import_module("inspect_ai.log")
    parts: tuple[Any, Any] = (importlib.import_module("zstandard"), importlib.import_module("ijson"))
    # What reading a damaged zip or JSON raises; of those NotImplementedError where a flipped bit names no compression.
    damage = (OSError, ValueError, KeyError, EOFError, zlib.error, struct.error, NotImplementedError)
    try:
        return library.read_eval_log(str(file), header_only=header_only, exclude_fields=None if header_only else UNREAD)
    except (*damage, parts[0].ZstdError, parts[1].JSONError) as error:
        raise EvaluateError(
            f"{file}: inspect_ai cannot read this log; it is damaged or cut off "
            f"({' '.join(str(error).split())[:120]}). Evaluate again with `inspect eval`."
        ) from error


def task_of(file: Path, name: str, log: Any) -> Task:
    """Take what a log says of each sample.

    Raises:
        EvaluateError: it holds no samples, or no score that is a number.
    """
    samples: Found = {}
    for sample in log.samples or ():
        samples.setdefault(str(sample.id), sample)
    if not samples:
        raise EvaluateError(
            f"{file}: holds no samples (its status is '{log.status}'). Pairing needs every item: evaluate with "
            "`inspect eval`, without `--no-log-samples`."
        )
    notes = [] if log.status == "success" else [f"{name}: the log ended with the status '{log.status}'."]
    better: dict[str, dict[str, int]] = {}
    values: dict[str, dict[str, dict[str, float]]] = {identity: {} for identity in samples}
    leading = leading_of(log)
    for measure, quantity, direction, numbers in scores_of(name, log, samples, notes):
        better.setdefault(measure, {})[quantity] = direction
        for identity, value in numbers.items():
            values[identity].setdefault(measure, {})[quantity] = value
    if not better:
        raise EvaluateError(
            f"{file}: no score of '{name}' is a number for each sample, so before and after cannot be paired. "
            f"{' '.join(notes)}"
        )
    scored = {identity: found for identity, found in values.items() if complete(found, better)}
    if len(scored) < len(values):
        notes.append(f"{name}: {len(values) - len(scored)} of {len(values)} samples have no score and are left out.")
    config = log.eval.config.model_dump(exclude_none=True, mode="json")
    return Task(
        name=name,
        better=better,
        items={identity: item_of(samples[identity], leading, found) for identity, found in scored.items()},
        leading=leading,
        meaning={
            "version": str(log.eval.task_version),
            "scorers": canonical_json([[one.name, one.options] for one in log.eval.scorers or ()]),
            "epochs_reducer": canonical_json(config.get("epochs_reducer")),
        },
        conditions={
            "solvers": canonical_json([[step.solver, step.params] for step in log.plan.steps]),
            "generation": canonical_json(log.eval.model_generate_config.model_dump(exclude_none=True, mode="json")),
            "epochs": str(config.get("epochs", 1)),
        },
        notes=notes,
    )


def complete(found: Mapping[str, Mapping[str, float]], better: Mapping[str, Mapping[str, int]]) -> bool:
    """Whether a sample has every score that others have."""
    return all(found.get(measure, {}).keys() == quantities.keys() for measure, quantities in better.items())


def scores_of(
    name: str, log: Any, samples: Mapping[str, Any], notes: list[str]
) -> Iterator[tuple[str, str, int, dict[str, float]]]:
    """Every score that is a number, as inspect_ai reduced the epochs.

    Yields:
        Its measure (the headline's scorer, or the first, is `inspect`), quantity, whether more is better, and the
        samples' values by id.
    """
    reduced: Found = {}
    for reduction in log.reductions or ():
        if reduction.scorer in reduced:
            notes.append(
                f"{name}: {reduction.scorer} by '{reduction.reducer}' is left out; its first reduction counts."
            )
        else:
            reduced[reduction.scorer] = reduction
    leading = leading_of(log)
    metrics = {(score.scorer, score.name): score.metrics for score in (log.results.scores if log.results else ())}
    for scorer, reduction in sorted(reduced.items(), key=lambda entry: entry[0] != leading):
        measure = label_of(MEASURE, scorer, leading)
        raw = [sample.scores[scorer].value for sample in samples.values() if scorer in (sample.scores or {})]
        if text := next((one for one in raw if isinstance(one, str) and not is_number(one)), None):
            notes.append(f"{name}: {scorer} is left out: its scores are texts such as {text[:40]!r}.")
            continue
        parts: dict[str, dict[str, float]] = {}
        for one in reduction.samples:
            value = one.value if isinstance(one.value, dict) else {scorer: one.value}
            for part, number in value.items():
                if isinstance(number, bool | int | float) and math.isfinite(number) and str(one.sample_id) in samples:
                    parts.setdefault(part, {})[str(one.sample_id)] = float(number)
        if not parts:
            notes.append(f"{name}: {scorer} is left out: it is no number for a single sample.")
        for part, numbers in parts.items():
            figures = metrics.get((scorer, part), {})
            stated = next((figures[key].value for key in ("accuracy", "mean") if key in figures), None)
            mean = math.fsum(numbers.values()) / len(numbers)
            if stated is not None and not math.isclose(mean, stated, rel_tol=CLOSE, abs_tol=CLOSE):
                notes.append(
                    f"{name}: {part} is left out: its figure in the log, {stated:.6g}, is not the mean of its samples, "
                    f"{mean:.6g}."
                )
                continue
            accurate = "accuracy" in figures
            quantity = "accuracy" if accurate and part == scorer else part
            if not accurate:
                notes.append(f"{name}: the log does not say whether more of {quantity} is better.")
            yield measure, quantity, int(accurate), numbers


def leading_of(log: Any) -> str:
    """The scorer that stands for a log's task: its headline's, or the first."""
    scorers = [str(reduction.scorer) for reduction in log.reductions or ()]
    headline = getattr(log.results, "headline", None)
    return str(headline.scorer) if headline and headline.scorer in scorers else next(iter(scorers), "")


def is_number(text: str) -> bool:
    """Whether inspect_ai reads a score's text as a number."""
    try:
        return text in LETTERS or text.lower() in LETTERS or math.isfinite(float(text))
    except ValueError:
        return False


def item_of(sample: Any, leading: str, values: Mapping[str, Mapping[str, float]]) -> Item:
    """One sample as it was asked and answered, in its first epoch."""
    target = sample.target if isinstance(sample.target, str) else "; ".join(map(str, sample.target))
    given: list[list[str]] = []
    for message in sample.messages:
        if message.role == "assistant":
            break
        given.append([message.role, message.text])
    question = sample.input if isinstance(sample.input, str) else canonical_json(given)
    return Item(
        content=content_hash(question, target, sample.choices),
        prompt=content_hash(given),
        values=values,
        question=given[-1][1] if given else question,
        reference=target,
        answers={
            label_of(MEASURE, scorer, leading): str(score.answer or "")
            for scorer, score in (sample.scores or {}).items()
        },
        options=len(sample.choices or ()),
    )
