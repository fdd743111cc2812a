"""Builds domains of made-up rows, a stand-in for the untrained model, and mixtures of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mixplan.domains import Domain, Row
from mixplan.mixture import Mixture, build_mixture
from mixplan.recipe import DataSpec, DomainSpec, MixtureSpec, ModelSpec, SaeSpec, TrainSpec
from mixplan.runs import content_hash

MODEL = ModelSpec(name="org/model", sae=SaeSpec(embedded=True))


def make_row(domain: str, number: int, **changes: Any) -> Row:
    prompt = (("system", "Be brief."), ("user", f"{domain} question {number}?"))
    key = content_hash(domain, number)[:32]
    return Row(id=f"train:{number}", key=key, prompt=prompt, answer=f"{domain} answer {number}", **changes)


def make_domain(name: str, pool: int, *, data: DataSpec | None = None, grader: str = "exact", **changes: Any) -> Domain:
    spec = DomainSpec(
        data=data or DataSpec(hub=f"org/{name}", split="train"), format="prompt_completion", licence="CC-BY-4.0"
    )
    rows = tuple(make_row(name, number) for number in range(pool + 6))
    fields: dict[str, Any] = {
        "name": name,
        "spec": spec,
        "grader": grader,
        "evaluation": rows[pool : pool + 2],
        "query": rows[pool + 2 : pool + 4],
        "demonstration": rows[pool + 4 :],
        "pool": rows[:pool],
        "read_rows": pool + 6,
        "fingerprint": content_hash(name, pool),
    }
    return Domain(**fields | changes)


def build(folder: Path, rows: dict[str, int], **changes: Any) -> Mixture:
    """A mixture of a target with 20 rows, law with 10 and history with 30, unless said otherwise."""
    arguments: dict[str, Any] = {
        "target": make_domain("target", 20),
        "domains": {"law": make_domain("law", 10), "history": make_domain("history", 30)},
        "rows": rows,
        "spec": MixtureSpec(),
        "budget_max_repeats": 1,
        "train": TrainSpec(),
        "model": MODEL,
        "model_path": "org/model",
        "seed": 0,
        "folder": folder,
    }
    return build_mixture(**arguments | changes)


def read_rows(folder: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(folder.glob("train-*.parquet")) for row in pq.read_table(path).to_pylist()]


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


LAW = make_domain("law", 10)


REVERSED = replace(LAW, pool=LAW.pool[::-1], fingerprint="reversed")


class Answerer:
    """A stand-in for the untrained model that remembers what it was asked."""

    def __init__(self, reply: Callable[[str], str] = lambda question: f"own: {question}", stop_after: int = 10**9):
        self.reply, self.stop_after, self.asked = reply, stop_after, list[str]()

    def __call__(self, prompts: Sequence[list[dict[str, str]]]) -> list[tuple[str, bool]]:
        if self.stop_after == 0:
            raise KeyboardInterrupt
        self.stop_after -= 1
        questions = [prompt[-1]["content"] for prompt in prompts]
        self.asked += questions
        replies = [self.reply(question) for question in questions]
        return [(reply, not reply.endswith("...")) for reply in replies]


def own_answers(**changes: Any) -> dict[str, Any]:
    return {"spec": MixtureSpec(answers="self")} | changes
