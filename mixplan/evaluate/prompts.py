"""Tokenises rows as measures read them: a prompt that awaits its answer, or with the answers that may follow it."""

from __future__ import annotations

from collections.abc import Sequence

from mixplan.domains import Row
from mixplan.evaluate.packing import Ids, Tree
from mixplan.model import Model, answered_tokens, render


def prompt_text(model: Model, row: Row) -> str:
    """A row's prompt as the model is asked it, up to where its answer begins."""
    return render(model, row.prompt, awaiting=True)


def token_ids(model: Model, text: str) -> Ids:
    """A rendered text's tokens; its sequence-start token stands in the text where there is one."""
    return tuple(model.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def tree_of(model: Model, row: Row, answers: Sequence[str]) -> Tree:
    """A row's prompt with answers as continuations, without the end of the answer's turn.

    Each is the beginning of the row with that answer as it is trained: what the template puts between prompt and
    answer stands before the answer, and where a tokenizer merges an answer's first characters with those before it,
    the merged token counts to the answer.
    """
    return taught_tree(model, row, answers)[0]


def taught_tree(model: Model, row: Row, answers: Sequence[str]) -> tuple[Tree, list[str]]:
    """As `tree_of`, with each answer as the template writes it."""
    found = [answered_tokens(model, row.prompt, answer) for answer in answers]
    wholes = [ids for ids, _, _ in found]
    shared = min(len(ids) - count for ids, count, _ in found)
    cut = next((place for place in range(shared) if any(whole[place] != wholes[0][place] for whole in wholes)), shared)
    return Tree(wholes[0][:cut], tuple(whole[cut:] for whole in wholes)), [text for _, _, text in found]


def fitting(model: Model, rows: Sequence[Row], trees: Sequence[Tree], *, room: int = 0) -> list[tuple[Row, Tree]]:
    """Rows with their trees, without those that do not fit the model's window with so much room behind them."""
    return [(row, tree) for row, tree in zip(rows, trees, strict=True) if tree.longest + room <= model.window]
