"""Runs an lm-evaluation-harness task on exactly a domain's rows, and returns the task's own metric.

The task's documents are read through the domain's columns and matched with its evaluation rows by content, so that the
harness runs on the held-out rows alone. It asks mixplan's own scoring for log-probabilities, which gives the numbers of
its `hf` backend without reading a shared context twice. Where the model has a chat template, the task's prompts go
through it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mixplan.domains import Domain, Row
from mixplan.domains.row_problems import Lacking
from mixplan.domains.rows import RowReader
from mixplan.domains.sources import Record
from mixplan.errors import DataError, EvaluateError
from mixplan.evaluate.packing import Ids, Tree
from mixplan.evaluate.scoring import score_continuations
from mixplan.model import Model, padding_way
from mixplan.recipe import DomainSpec
from mixplan.recipe.paths import local_path
from mixplan.saved.evaluation import Measured

SCORED_AT_ONCE = 16
"""Requests that the harness runs together where it generates text."""


def measure_task(
    model: Model, domain: Domain, rows: Sequence[Row], *, task: str, folder: Path, advance: Callable[[int], None]
) -> Measured:
    """Run a task on those of its documents that are the domain's evaluation rows.

    Args:
        model: The model.
        domain: For its columns.
        rows: Its evaluation rows.
        task: A task of the harness by name, or a YAML file.
        folder: What the file is relative to.
        advance: Told of the rows once the task has run.

    Returns:
        The task's first metric (`acc`, `exact_match`, ...) of each row that is among its documents.

    Raises:
        EvaluateError: the harness is not installed, does not know the task or cannot load it, or the task has no
            metric for single items.
        DataError: none of the rows is among the task's documents.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise EvaluateError(
            f"{domain.name}: the measure `lm_eval` needs the package lm-eval. "
            "Install it with `pip install 'mixplan[lm-eval]'`, or choose another measure."
        )
    with contextlib.redirect_stderr(io.StringIO()):  # the harness draws progress bars of its own
        loaded = load_task(domain.name, task, folder)
        places = documents(domain, rows, list(loaded.eval_docs), task)
        samples = run_task(model, loaded, sorted(places))
    advance(len(rows))
    return as_measured(domain.name, task, places, samples, loaded.higher_is_better())


def load_task(name: str, task: str, folder: Path) -> Any:
    """Load one task of the harness.

    Raises:
        EvaluateError: it is not known, is a group of tasks, or cannot be loaded.
    """
    file = folder / local_path(task)
    manager = task_manager(defaults=not file.is_file())
    if task in (*manager.all_groups, *manager.all_tags):
        members = [one for one in manager.all_subtasks if one.startswith(f"{task}_")]
        raise group_of_tasks(name, task, sorted(members, key=lambda one: (one.count("_"), one)))
    try:
        found = manager.load([str(file.resolve()) if file.is_file() else task])["tasks"]
    except KeyError as error:
        raise EvaluateError(
            f"evaluate.tasks.{name}: lm-evaluation-harness knows no task '{task}', and there is no file {file}. "
            "`lm_eval ls tasks` lists its tasks."
        ) from error
    except (OSError, ValueError, TypeError, ImportError, RuntimeError) as error:  # a task's own code runs
        raise EvaluateError(
            f"evaluate.tasks.{name}: lm-evaluation-harness cannot load the task '{task}': "
            f"{' '.join(str(error).split())[:300]}"
        ) from error
    if len(found) != 1:
        raise group_of_tasks(name, task, sorted(found))
    return next(iter(found.values()))


@functools.cache
def task_manager(*, defaults: bool) -> Any:
    """The harness's index of tasks, made once in a process: it reads thousands of YAML files.

    Args:
        defaults: Whether the harness's own tasks are in it.
    """
    from lm_eval.tasks import TaskManager

    return TaskManager(include_defaults=defaults)


def group_of_tasks(name: str, task: str, members: Sequence[str]) -> EvaluateError:
    """The error for a group where one task is needed, with some of its tasks."""
    listed = f" Name one of them, such as {', '.join(members[:14])}." if members else " Name one of them."
    return EvaluateError(f"evaluate.tasks.{name}: '{task}' is a group of tasks; a domain is measured by one.{listed}")


def documents(domain: Domain, rows: Sequence[Row], docs: Sequence[Any], task: str) -> dict[int, str]:
    """Which of the task's documents are the domain's rows.

    Returns:
        Row id by the document's index.

    Raises:
        DataError: none is.
    """
    wanted = {row.key: row.id for row in rows}
    found: dict[int, str] = {}
    for index, doc in enumerate(docs):
        name = wanted.get(document_key(domain.spec, doc) or "")
        if name is not None and name not in found.values():
            found[index] = name
    if not found:
        columns = ", ".join(sorted(docs[0])) if len(docs) else "none"
        raise DataError(
            f"{domain.name}: none of its {len(rows)} evaluation rows is among the {len(docs)} documents of the task "
            f"'{task}', read through the domain's columns; the documents have the columns {columns}. "
            "Take the domain's data from the split that the task evaluates."
        )
    return found


def document_key(spec: DomainSpec, doc: Any) -> str | None:
    """A document's content key as a row of the domain; None when it is none."""
    try:
        return RowReader(spec, generated=False).key(Record("document", "document", dict(doc)))
    except (Lacking, DataError):
        return None


Sample = dict[str, Any]
"""What lm-evaluation-harness says of one item."""


def run_task(model: Model, task: Any, indices: list[int]) -> list[Sample]:
    """Run a loaded task on some documents.

    Args:
        model: The model.
        task: The loaded task.
        indices: Of the documents, ascending: the harness goes through them in the documents' order.

    Returns:
        The harness's samples, those of the task's first filter.
    """
    from lm_eval import simple_evaluate

    results = simple_evaluate(
        model=harness_model(model),
        tasks=[task],
        samples={task.config.task: indices},
        bootstrap_iters=0,
        log_samples=True,
        apply_chat_template=bool(model.tokenizer.chat_template),
        # It would index all its own tasks anew, which takes far longer than to run a small one.
        task_manager=task_manager(defaults=False),
    )
    samples: list[Sample] = results["samples"][task.config.task]
    return [sample for sample in samples if sample["filter"] == samples[0]["filter"]]


def harness_model(model: Model) -> Any:
    """The model as the harness runs it: its `hf` backend with mixplan's scoring."""
    from lm_eval.models.huggingface import HFLM

    class Scoring(HFLM):  # type: ignore[misc]  # the harness ships no types
        """Tokenises and generates as the harness does, and scores as mixplan does."""

        def _loglikelihood_tokens(self, requests: Any, **_: Any) -> list[tuple[float, bool]]:
            return score_requests(model, [(tuple(context), tuple(answer)) for _, context, answer in requests])

    return Scoring(
        pretrained=model.lm,
        tokenizer=model.tokenizer,
        # The harness pads on the left, which not every model reads past.
        batch_size=SCORED_AT_ONCE if padding_way(model).way == "packed" else 1,
        max_length=model.window,
        device=str(model.device),
    )


def score_requests(model: Model, requests: Sequence[tuple[Ids, Ids]]) -> list[tuple[float, bool]]:
    """Score contexts with continuations as the harness asks for them.

    What is longer than the window loses tokens at the context's beginning, as in the harness.

    Returns:
        For each request its log-probability, and whether greedy decoding would give it.

    Raises:
        EvaluateError: an answer has no token, or no token that predicts it has room in the window.
    """
    asked: dict[Ids, dict[Ids, None]] = {}
    cut = [(context[max(0, len(context) + len(answer) - model.window - 1) :], answer) for context, answer in requests]
    if not all(context and answer for context, answer in cut):
        raise EvaluateError(
            "evaluate.tasks: lm-evaluation-harness asks how likely an answer is that has no token, or more than the "
            f"model's window of {model.window} tokens. Leave documents with such a choice out of the task."
        )
    for context, answer in cut:
        asked.setdefault(context, {})[answer] = None
    scored = score_continuations(model, [Tree(context, tuple(answers)) for context, answers in asked.items()])
    found = {
        (context, answer): (branch.log, bool(branch.likeliest.all()))
        for (context, answers), branches in zip(asked.items(), scored, strict=True)
        for answer, branch in zip(answers, branches, strict=True)
    }
    return [found[one] for one in cut]


def as_measured(
    name: str, task: str, places: dict[int, str], samples: Sequence[Sample], higher: Mapping[str, bool | None]
) -> Measured:
    """The first metric of each sample.

    Args:
        name: The domain's.
        task: The task's.
        places: Row ids by the document's number.
        samples: The harness's.
        higher: Whether more is better, by metric, as the task says; what it says nothing of has no better side.

    Raises:
        EvaluateError: it is no number for each item.
    """
    metric = "acc" if "acc" in samples[0]["metrics"] else samples[0]["metrics"][0]
    values = [sample[metric] for sample in samples]
    if not all(isinstance(value, int | float) for value in values):
        raise EvaluateError(
            f"evaluate.tasks.{name}: the metric {metric} of the task '{task}' is no number for a single item, so "
            "before and after cannot be paired. Choose a task with a metric such as acc or exact_match."
        )
    return Measured(
        measure="lm_eval",
        rows=tuple(places[sample["doc_id"]] for sample in samples),
        values={metric: tuple(map(float, values))},
        texts={},
        better={metric: {None: 0, True: 1, False: -1}[higher.get(metric)]},
    )
