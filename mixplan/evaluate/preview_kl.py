"""Measures how far demonstrations in front of questions move a model's next tokens along its own answers.

With P the model's next-token distributions without the demonstrations and Q with them, both over the whole vocabulary
and along the model's own greedy answer y(1) ... y(T) to the bare question,

    kl = 1/T * sum over t of KL( P(. | question, y(1) ... y(t-1)) || Q(. | the same) ), in nats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from mixplan.domains import Row
from mixplan.evaluate.behaviour import own_tree
from mixplan.evaluate.packing import Ids
from mixplan.evaluate.prompts import fitting, prompt_text, token_ids
from mixplan.evaluate.reading import read_together
from mixplan.evaluate.scoring import divergences
from mixplan.features.queries import in_front
from mixplan.model import Model, generate


@dataclass(frozen=True)
class Moved:
    """What one draw of demonstrations moves.

    Attributes:
        rows: Ids of the rows that it was read in front of, in order.
        kl: Of each, in nats per token, 0 or more.
        dropped: Demonstrations of the draw, its last ones, that the window had no room for.
        too_long: Rows that not even one demonstration fits in front of.
        context_tokens: Tokens that stood in front of a question, mean over rows; 0 without rows.
    """

    rows: tuple[str, ...]
    kl: tuple[float, ...]
    dropped: int
    too_long: int
    context_tokens: float


def own_answers(
    model: Model, rows: Sequence[Row], *, answer_tokens: int, advance: Callable[[int], None]
) -> dict[str, Ids]:
    """The model's own greedy answers to bare questions.

    Args:
        model: The model.
        rows: Rows of any format; only their prompts are used.
        answer_tokens: Longest answer.
        advance: Told how many rows each batch answered.

    Returns:
        Token ids by row id, of the rows whose prompt fits the window with the longest answer; an answer without a
        token is left out.
    """
    prompts = [prompt_text(model, row) for row in rows]
    fits = [place for place, text in enumerate(prompts) if len(token_ids(model, text)) + answer_tokens <= model.window]
    found = generate(model, [prompts[place] for place in fits], max_new_tokens=answer_tokens, on_answers=advance)
    return {rows[place].id: answer.ids for place, answer in zip(fits, found, strict=True) if answer.ids}


def preview_kl(
    model: Model,
    rows: Sequence[Row],
    fronts: Sequence[tuple[Row, ...]],
    answers: Mapping[str, Ids],
    *,
    advance: Callable[[int], None],
) -> list[Moved]:
    """What draws of demonstrations move, row by row; each front is read once for all its questions.

    Args:
        model: The model.
        rows: Questions of any format; those without an answer are passed over.
        fronts: One or more draws, none of them empty; the questions are dealt to them in turn.
        answers: The model's own answers' token ids by row id.
        advance: Told how many rows each pass read, twice for each row.

    Returns:
        One entry a draw; of as many draws as there are questions, at most.

    Raises:
        ModelError: the chat template refuses the demonstrations, or the model's output head is of no kind that mixplan
            knows.
    """
    known = [row for row in rows if row.id in answers]
    if not known:
        return []
    bare = states_at(model, known, answers, advance)
    found = []
    dealt = fronts[: len(known)]
    for number, front in enumerate(dealt):
        part = known[number :: len(dealt)]
        shown, behind = fitted(model, part, front, answers)
        states = states_at(model, behind, answers, advance)
        advance(len(part) - len(behind))
        before = {row.id: len(token_ids(model, prompt_text(model, row))) for row in part}
        more = [len(token_ids(model, prompt_text(model, row))) - before[row.id] for row in behind]
        kl = [divergences(model, bare[row.id], model, states[row.id]).mean() for row in behind]
        found.append(
            Moved(
                rows=tuple(row.id for row in behind),
                kl=tuple(max(0.0, float(value)) for value in kl),
                dropped=len(front) - shown,
                too_long=len(part) - len(behind),
                context_tokens=sum(more) / len(more) if more else 0.0,
            )
        )
    return found


def fitted(
    model: Model, rows: Sequence[Row], front: Sequence[Row], answers: Mapping[str, Ids]
) -> tuple[int, list[Row]]:
    """Put a draw in front of its questions, without its last demonstrations until every question fits behind them.

    Returns:
        How many demonstrations stand in front, and the rows with them; where some do not fit behind a single one, the
        others alone.
    """
    for count in range(len(front), 0, -1):
        behind = [replace(row, prompt=in_front(front[:count], row.prompt)) for row in rows]
        kept = [row for row, _ in fitting(model, behind, [own_tree(model, row, answers[row.id]) for row in behind])]
        if len(kept) == len(rows) or count == 1:
            return count, kept
    return 0, []


def states_at(
    model: Model, rows: Sequence[Row], answers: Mapping[str, Ids], advance: Callable[[int], None]
) -> dict[str, Tensor]:
    """Final states at the rows' own answers, `[tokens, d_model]` by row id."""
    trees = [(row, own_tree(model, row, answers[row.id])) for row in rows]
    _, read = read_together(model, [], trees, advance=advance)
    return {row.id: states for (row, _), (states,) in zip(trees, read, strict=True)}
