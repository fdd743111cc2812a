"""Builds units that read the same query or answer tokens with and without demonstrations, aligned one to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixplan.chat.tool_calls import TOOLS
from mixplan.domains import Row
from mixplan.features.neutral import neutral_rows
from mixplan.features.turns import answer_tokens, query_tokens
from mixplan.model import Model
from mixplan.runs import content_hash

Ids = tuple[int, ...]

HEAD = (TOOLS, "system")
"""Roles of what stands in front of a whole conversation."""


@dataclass(frozen=True)
class Query:
    """One row's last user turn, tokenised twice; both sequences end with the same `count` query tokens.

    In a reading of answers, the supervised answer stands behind that turn and its tokens are the query tokens.

    Attributes:
        row: Position of the row among the rows given.
        alone: Token ids up to the last query token, without demonstrations.
        context: The same with demonstrations in front.
        count: How many tokens at the end are query tokens.
    """

    row: int
    alone: Ids
    context: Ids
    count: int


@dataclass(frozen=True)
class Unit:
    """Queries that share one demonstration draw: the step of work, of resuming and of sharing between processes.

    Attributes:
        draw: Number of the draw.
        demonstrations: Ids of the rows in front.
        dropped_demonstrations: How many of the draw's demonstrations did not fit the model's window.
        queries: In seeded order.
        alone_prefix: Leading tokens that all `alone` sequences share, none of them a query token.
        context_prefix: The same for `context`.
    """

    draw: int
    demonstrations: tuple[str, ...]
    dropped_demonstrations: int
    queries: tuple[Query, ...]
    alone_prefix: int
    context_prefix: int

    @property
    def tokens(self) -> int:
        """Query tokens of all queries together."""
        return sum(query.count for query in self.queries)

    @property
    def mark(self) -> str:
        """Hash over every token id."""
        return content_hash([[query.alone, query.context, query.count] for query in self.queries])


@dataclass(frozen=True)
class Reading:
    """What is to be read of one domain.

    Attributes:
        units: One for each demonstration draw.
        rows: The query rows used, in order.
        wanted_tokens: The budget; `tokens` is less when the rows did not suffice.
        too_long: Rows left out because their question (with its answer, where answers are read) exceeds the window.
    """

    units: tuple[Unit, ...]
    rows: tuple[Row, ...]
    wanted_tokens: int
    too_long: int

    @property
    def tokens(self) -> int:
        """Query tokens to be read, each once with and once without demonstrations."""
        return sum(unit.tokens for unit in self.units)


@dataclass(frozen=True)
class Cut:
    """A query row's own tokens, its last `extra` ones cut off to meet the token budget."""

    row: int
    alone: Ids
    count: int
    extra: int


def plan_reading(
    model: Model,
    queries: Sequence[Row],
    demonstrations: Sequence[Row],
    *,
    tokens: int,
    shots: int,
    draws: int,
    seed: int,
    answers: bool = False,
    neutral: bool = False,
) -> Reading:
    """Decide what is read: which query tokens, behind which demonstrations.

    Queries are taken in their order until `tokens` query tokens are together; the last one is cut so that the count
    is met to the token. They are dealt to the draws in contiguous parts of about equal size.

    Args:
        model: For its tokenizer, template and window.
        queries: Query rows in seeded order.
        demonstrations: Demonstration rows; none of them a query row.
        tokens: Query-token budget.
        shots: Demonstrations in front of a query.
        draws: Demonstration draws.
        seed: Of the draws.
        answers: Whether to read the tokens of each row's supervised answer, as `in_front` shows it, behind its
            question, in place of the question's own.
        neutral: Whether to put neutral prose of the same length in each demonstration's place; the draws, and what
            is read behind each, stay the same.

    Raises:
        ModelError: the chat template hides or alters the question, or the answer where answers are read.
    """
    draws = max(1, min(draws, len(queries)))
    drawn = draw_demonstrations(demonstrations, shots=shots, draws=draws, seed=seed)
    kept, too_long = cut_queries(model, queries, tokens=tokens, answers=answers)
    units = []
    for number, (part, demos) in enumerate(zip(deal(kept, draws), drawn, strict=True)):
        if part:
            unit = make_unit(model, queries, part, demos, draw=number, answers=answers)
            units.append(made_neutral(model, queries, part, demos, unit, answers=answers) if neutral else unit)
    return Reading(tuple(units), tuple(queries), tokens, too_long)


def cut_queries(model: Model, rows: Sequence[Row], *, tokens: int, answers: bool) -> tuple[list[Cut], int]:
    """Rows in their order until the budget is met to the token, and how many were too long on the way."""
    kept: list[Cut] = []
    total = too_long = 0
    for position, row in enumerate(rows):
        if total >= tokens:
            break
        ids, count = read_tokens(model, (), row, answers=answers)
        if len(ids) > model.window:
            too_long += 1
            continue
        extra = max(0, total + count - tokens)
        kept.append(Cut(position, ids[: len(ids) - extra], count - extra, extra))
        total += count - extra
    return kept, too_long


def deal(kept: Sequence[Cut], draws: int) -> list[list[Cut]]:
    """Contiguous parts of about equal size in tokens, one for each draw."""
    total = sum(cut.count for cut in kept)
    dealt: list[list[Cut]] = [[] for _ in range(draws)]
    reached = 0
    for cut in kept:
        dealt[min(draws - 1, reached * draws // max(1, total))].append(cut)
        reached += cut.count
    return dealt


def without_demonstrations(unit: Unit) -> Unit:
    """The same query tokens with nothing in front of them in either reading, for reading through two models."""
    bare = tuple(replace(query, context=query.alone) for query in unit.queries)
    return replace(unit, demonstrations=(), dropped_demonstrations=0, queries=bare, context_prefix=unit.alone_prefix)


def draw_demonstrations(rows: Sequence[Row], *, shots: int, draws: int, seed: int) -> list[tuple[Row, ...]]:
    """Draw `shots` different rows for each draw; with fewer rows than shots, all of them in drawn order."""
    drawn = []
    for number in range(draws):
        order = np.random.default_rng([seed, number]).permutation(len(rows))
        drawn.append(tuple(rows[int(index)] for index in order[:shots]))
    return drawn


def make_unit(
    model: Model, rows: Sequence[Row], cuts: Sequence[Cut], demos: tuple[Row, ...], *, draw: int, answers: bool = False
) -> Unit:
    """Put one draw's demonstrations in front of its queries, dropping whole ones until every context fits."""
    dropped = 0
    while True:
        queries = []
        for cut in cuts:
            full, _ = read_tokens(model, demos, rows[cut.row], answers=answers)
            context = full[: len(full) - cut.extra]
            queries.append(Query(cut.row, cut.alone, context, aligned(cut.alone, context, cut.count)))
        if not demos or max(len(query.context) for query in queries) <= model.window:
            break
        demos, dropped = demos[:-1], dropped + 1
    return Unit(
        draw=draw,
        demonstrations=tuple(row.id for row in demos),
        dropped_demonstrations=dropped,
        queries=tuple(queries),
        alone_prefix=shared_prefix([(query.alone, query.count) for query in queries]),
        context_prefix=shared_prefix([(query.context, query.count) for query in queries]),
    )


def made_neutral(
    model: Model, rows: Sequence[Row], cuts: Sequence[Cut], demos: tuple[Row, ...], unit: Unit, *, answers: bool
) -> Unit:
    """A unit again, neutral prose of the same length in place of each demonstration that it holds."""
    fronts = neutral_rows(model, demos[: len(unit.demonstrations)])
    made = make_unit(model, rows, cuts, fronts, draw=unit.draw, answers=answers)
    return replace(made, dropped_demonstrations=made.dropped_demonstrations + unit.dropped_demonstrations)


def in_front(demos: Sequence[Row], prompt: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """A conversation with demonstrations before a prompt's own turns; its tools and system message stay first.

    A demonstration's answer is its supervised one, worked solution included.
    """
    head = [message for message in prompt if message[0] in HEAD]
    turns = [message for message in prompt if message[0] not in HEAD]
    shown = [
        message
        for row in demos
        for message in (
            *((role, content) for role, content in row.prompt if role not in HEAD),
            ("assistant", shown_answer(row)),
        )
    ]
    return (*head, *shown, *turns)


def shown_answer(row: Row) -> str:
    """A row's supervised answer, its worked solution where it has one."""
    return row.rationale or row.answer


def read_tokens(model: Model, demos: Sequence[Row], row: Row, *, answers: bool) -> tuple[Ids, int]:
    """Tokens of a row's question, or of its answer behind the question, with demonstrations in front.

    Returns:
        As `query_tokens`.

    Raises:
        ModelError: as `query_tokens` and `answer_tokens`.
    """
    if answers:
        return answer_tokens(model, in_front(demos, row.prompt), shown_answer(row))
    return query_tokens(model, in_front(demos, asked(row.prompt)))


def asked(prompt: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """A prompt up to its last user turn, without the tool calls behind it."""
    last = max(number for number, (role, _) in enumerate(prompt) if role == "user")
    return prompt[: last + 1]


def aligned(alone: Ids, context: Ids, count: int) -> int:
    """How many of the last `count` tokens are the same in both sequences, counted from the end.

    A tokenizer may merge a question's first characters with what stands before it; such tokens are left out.
    """
    same = 0
    while same < count and alone[-1 - same] == context[-1 - same]:
        same += 1
    return same


def shared_prefix(sequences: Sequence[tuple[Ids, int]]) -> int:
    """Length of the leading run of tokens that all sequences share and that holds no query token."""
    first, _ = sequences[0]
    length = min(len(ids) - count for ids, count in sequences)
    for ids, _ in sequences[1:]:
        same = 0
        while same < length and ids[same] == first[same]:
            same += 1
        length = same
    return length
