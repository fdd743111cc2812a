"""Measures scoring and answering the quickstart's domains beside lm-evaluation-harness's own `hf` backend.

    bin/bench --likelihood [--rows 2] [--rounds 5]
    bin/bench --generation [--rows 8] [--rounds 5] [--demonstrations 2] [--domains bases,sorting]

Both sides take turns within a round, on the embedded model in float32; the harness's batch size is the fastest of the
first round. Processor time is what counts where other work shares the machine. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from bench_evaluation import BATCH_SIZES, agreement, own_backend
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from mixplan.domains import Domain, Row
from mixplan.domains.cached_domains import opened
from mixplan.evaluate.answering import Answering
from mixplan.evaluate.answers_ahead import Posed, runs_of
from mixplan.evaluate.likelihood import measure_likelihood
from mixplan.evaluate.prompts import prompt_text, tree_of
from mixplan.model import Model, load_model
from mixplan.recipe import ModelSpec, SaeSpec, load_recipe

QUICKSTART = Path(__file__).resolve().parent.parent / "recipes" / "quickstart.yaml"
ANSWERED = ("number", "exact", "generator")
"""Graders of domains that are measured by generated answers."""


def in_turns(rounds: int, ours: Callable[[], Any], theirs: Callable[[int], Any]) -> tuple[dict[str, Any], Any, Any]:
    """Time both sides, round by round.

    Returns:
        Figures, and what each side gave last.
    """
    taken: dict[str, list[tuple[float, float]]] = {"ours": []}
    found, other, fastest = None, None, 0

    def timed(name: str, run: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        value = run()
        taken.setdefault(name, []).append((time.process_time() - cpu, time.perf_counter() - wall))
        return value

    for number in range(rounds):
        found = timed("ours", ours)
        for size in BATCH_SIZES if number == 0 else (fastest,):
            value = timed(str(size), partial(theirs, size))
            other = value if size == BATCH_SIZES[0] or number else other
        fastest = fastest or min(BATCH_SIZES, key=lambda size: taken[str(size)][0])
    pairs = list(zip(taken[str(fastest)], taken["ours"], strict=True))
    return {
        "hf_batch_size": fastest,
        "hf_processor_seconds_by_batch_size": {size: round(taken[str(size)][0][0], 1) for size in BATCH_SIZES},
        "processor_seconds": round(statistics.median(ours for _, (ours, _) in pairs), 1),
        "times_faster_by_processor_time": round(statistics.median(hf[0] / own[0] for hf, own in pairs), 2),
        "times_faster_by_the_clock": round(statistics.median(hf[1] / own[1] for hf, own in pairs), 2),
        "rounds": [round(hf[0] / own[0], 2) for hf, own in pairs],
    }, found, other  # fmt: skip


def likelihood(model: Model, domains: Sequence[Domain], rows: int, rounds: int) -> dict[str, Any]:
    """Reference answers of rows of mixed length, and of as many of about one length."""
    mixed = [row for domain in domains for row in domain.evaluation[:rows]]
    worked = sorted(domains[0].evaluation, key=lambda row: tree_of(model, row, [row.answer]).longest)
    middle = len(worked) // 2
    alike = worked[middle : middle + min(len(mixed) // 2, 10)]
    measure_likelihood(model, mixed[:1], advance=lambda _: None)  # the check on its weights, which is kept
    return {name: scored(model, part, rounds) for name, part in (("mixed", mixed), ("of_one_length", alike))}


def scored(model: Model, rows: Sequence[Row], rounds: int) -> dict[str, Any]:
    """One suite of rows by both sides."""

    def answers_of(row: Row) -> list[str]:
        return [row.answer]

    figures, found, logs = in_turns(
        rounds,
        lambda: measure_likelihood(model, rows, advance=lambda _: None),
        lambda size: own_backend(model, rows, answers_of, size),
    )
    lengths = sorted(tree_of(model, row, [row.answer]).longest for row in rows)
    return {"rows": len(rows), "tokens": sum(lengths), "shortest": lengths[0], "longest": lengths[-1], **figures,
            **agreement(rows, answers_of, found, logs)}  # fmt: skip


def generation(
    model: Model, domains: Sequence[Domain], rows: int, rounds: int, *, tokens: int, demonstrations: int
) -> dict[str, Any]:
    """Greedy answers to the domains that are measured by them, each behind its domain's demonstrations."""
    graded = [domain for domain in domains if domain.grader in ANSWERED]
    asked = [Posed(domain.name, domain, shown(domain, rows, demonstrations)) for domain in graded]
    together = [row for part in asked for row in part.rows]
    Answering(model).answers(together[:1], answer_tokens=2, advance=lambda _: None)  # the check, which is kept

    def ours() -> list[str]:
        """As an evaluation answers: rows of several domains together, each domain then finds its own."""
        answering, texts = Answering(model), []
        for run in runs_of(asked):
            rows = [row for part in run for row in part.rows]
            answering.answers(rows, answer_tokens=tokens, advance=lambda _: None)
            for part in run:
                kept, found = answering.answers(part.rows, answer_tokens=tokens, advance=lambda _: None)
                assert len(kept) == len(part.rows)
                texts += [answer.text for answer in found]
        return texts

    figures, found, other = in_turns(rounds, ours, lambda size: answered(model, together, size, tokens))
    same = sum(a == b for a, b in zip(found, other, strict=True))
    return {"rows": len(found), "answer_tokens": tokens, "demonstrations": demonstrations, **figures,
            "equal_answers": same}  # fmt: skip


def shown(domain: Domain, rows: int, demonstrations: int) -> list[Row]:
    """Rows of a domain, each behind the same rows with their answers as earlier turns."""
    before = [
        turn for row in domain.demonstration[:demonstrations] for turn in (*row.prompt, ("assistant", row.answer))
    ]
    return [replace(row, prompt=(*before, *row.prompt)) for row in domain.evaluation[:rows]]


def answered(model: Model, rows: Sequence[Row], batch_size: int, tokens: int) -> list[str]:
    """Greedy answers by the harness's `hf` backend, stripped as mixplan's are."""
    wanted = {"until": [], "max_gen_toks": tokens, "do_sample": False}
    requests = [Instance("generate_until", {}, (prompt_text(model, row), wanted), at) for at, row in enumerate(rows)]
    with contextlib.redirect_stderr(io.StringIO()):  # its warnings and progress bars
        backend = HFLM(
            pretrained=model.lm,
            tokenizer=model.tokenizer,
            batch_size=batch_size,
            max_length=model.window,
            device=str(model.device),
        )
        return [str(text).strip() for text in backend.generate_until(requests)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["likelihood", "generation"], help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=2, help="rows of each domain")
    parser.add_argument("--rounds", type=int, default=5, help="both sides in turn, so many times")
    parser.add_argument("--tokens", type=int, default=48, help="longest answer")
    parser.add_argument("--domains", default="", help="some of the quickstart's, by name; all when not given")
    parser.add_argument("--demonstrations", type=int, default=0, help="answered rows before each question")
    given = parser.parse_args()
    model = load_model(ModelSpec(name="embedded", dtype="float32", device="cpu", sae=SaeSpec(embedded=True)))
    target, downstream = opened(load_recipe(QUICKSTART))
    named = {"target": target, **downstream}
    domains = [named[name] for name in given.domains.split(",") if name] or list(named.values())
    if given.mode == "likelihood":
        found = likelihood(model, domains, given.rows, given.rounds)
    else:
        found = generation(
            model, domains, given.rows, given.rounds, tokens=given.tokens, demonstrations=given.demonstrations
        )
    print(json.dumps({"threads": torch.get_num_threads(), "dtype": model.dtype, **found}, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
