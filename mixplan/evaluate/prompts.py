"""Rows in, prompts with their possible answers out as the model's tokens, those too long for its window left out."""

from __future__ import annotations

from collections.abc import Sequence

from mixplan.domains import Row
from mixplan.evaluate.packing import Ids, Tree
from mixplan.model import Model, answered, render


def prompt_text(model: Model, row: Row) -> str:
    """A row's prompt as the model reads it, up to where its answer begins."""
    return render(model, row.prompt, awaiting=True)


def token_ids(model: Model, text: str) -> Ids:
    """A rendered text's tokens; its sequence-start token stands in the text where there is one."""
    return tuple(model.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def tree_of(model: Model, row: Row, answers: Sequence[str]) -> Tree:
    """A row's prompt with answers as continuations, without the end of the answer's turn.

    Prompt and answer are tokenised together, as in training. Where a tokenizer merges an answer's first characters
    with the prompt's last ones, the merged token counts to the answer.
    """
    prompt = prompt_text(model, row)
    own = token_ids(model, prompt)
    wholes = [token_ids(model, answered(model, prompt, answer)) for answer in answers]
    shared = min(len(own), *(len(whole) - 1 for whole in wholes))
    cut = next((place for place in range(shared) if any(whole[place] != own[place] for whole in wholes)), shared)
    return Tree(own[:cut], tuple(whole[cut:] for whole in wholes))


def fitting(model: Model, rows: Sequence[Row], trees: Sequence[Tree], *, room: int = 0) -> list[tuple[Row, Tree]]:
    """Rows with their trees, without those that do not fit the model's window with so much room behind them."""
    return [(row, tree) for row, tree in zip(rows, trees, strict=True) if tree.longest + room <= model.window]
