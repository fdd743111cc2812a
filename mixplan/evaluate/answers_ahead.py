"""Chooses domains whose rows are answered together: a pass over many rows takes little longer than one over a few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mixplan.domains import Domain, Row
from mixplan.evaluate.packing import Ids
from mixplan.evaluate.prompts import prompt_text, token_ids
from mixplan.model import Model
from mixplan.model.slot_answers import shared_beginning

ROWS = 64
"""Rows that are answered together at most: what is lost when an evaluation is stopped among them."""
OWN_BEGINNING = 0.25
"""A domain whose rows begin alike for more of their tokens, further than all do, is answered by itself: that is read
once then."""


class Posed(NamedTuple):
    """One domain with the rows that it is measured on."""

    name: str
    domain: Domain
    rows: Sequence[Row]


def runs_of(parts: Sequence[Posed], most: int = ROWS) -> Iterator[list[Posed]]:
    """Cut domains, in their order, into runs of at most so many rows; one with more is a run of its own.

    Runs hang on the domains alone and not on what was answered before, so that an evaluation that goes on where it was
    stopped answers in the same batches as one that was not.
    """
    run: list[Posed] = []
    for part in parts:
        if run and sum(len(one.rows) for one in (*run, part)) > most:
            yield run
            run = []
        run.append(part)
    if run:
        yield run


def worth_joining(model: Model, parts: Sequence[Posed]) -> list[Posed]:
    """The domains of a run that are answered together; none where fewer than two are worth it."""
    prompts = {part.name: [token_ids(model, prompt_text(model, row)) for row in part.rows] for part in parts}
    common = shared_beginning([ids for each in prompts.values() for ids in each])
    joined = [part for part in parts if not begins_alike(prompts[part.name], common)]
    return joined if len(joined) > 1 else []


def begins_alike(prompts: Sequence[Ids], common: int) -> bool:
    """Whether prompts share much beyond the tokens that all domains' do."""
    saved = (len(prompts) - 1) * (shared_beginning(prompts) - common)
    return saved > OWN_BEGINNING * sum(map(len, prompts))
