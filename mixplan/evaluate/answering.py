"""Rows in, a model's greedy answers out, those whose prompt is too long for its window left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mixplan.domains import Row
from mixplan.evaluate.prompts import prompt_text, token_ids
from mixplan.model import Answer, Model, generate


@dataclass(frozen=True)
class Answering:
    """Answers rows with one model.

    Attributes:
        model: The model.
    """

    model: Model

    def answers(
        self, rows: Sequence[Row], *, answer_tokens: int, advance: Callable[[int], None]
    ) -> tuple[list[Row], list[Answer]]:
        """Answer rows greedily.

        Args:
            rows: What to answer.
            answer_tokens: Longest answer.
            advance: Told how many rows each batch answered.

        Returns:
            The rows whose prompt fits the model's window with the longest answer, and their answers.
        """
        prompts = [prompt_text(self.model, row) for row in rows]
        fits = [len(token_ids(self.model, prompt)) + answer_tokens <= self.model.window for prompt in prompts]
        kept = [row for row, good in zip(rows, fits, strict=True) if good]
        texts = [prompt for prompt, good in zip(prompts, fits, strict=True) if good]
        return kept, generate(self.model, texts, max_new_tokens=answer_tokens, on_answers=advance)
