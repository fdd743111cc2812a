"""Rows in, a model's greedy answers out, those whose prompt is too long for its window left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mixplan.domains import Row
from mixplan.evaluate.packing import Ids
from mixplan.evaluate.prompts import prompt_text, token_ids
from mixplan.evaluate.served import Server, is_served
from mixplan.model import Answer, Model, generate


class Answering:
    """Answers rows with one model: by vLLM where it is installed and the model is on a GPU, else by transformers.

    Args:
        model: The model.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._server: Server | None = None

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

        Raises:
            EvaluateError: vLLM is installed and cannot serve the model.
        """
        prompts = [prompt_text(self.model, row) for row in rows]
        tokens = [token_ids(self.model, prompt) for prompt in prompts]
        fits = [place for place, ids in enumerate(tokens) if len(ids) + answer_tokens <= self.model.window]
        kept = [rows[place] for place in fits]
        if kept and is_served(self.model):
            return kept, self.served([tokens[place] for place in fits], answer_tokens, advance)
        texts = [prompts[place] for place in fits]
        return kept, generate(self.model, texts, max_new_tokens=answer_tokens, on_answers=advance)

    def served(self, prompts: Sequence[Ids], answer_tokens: int, advance: Callable[[int], None]) -> list[Answer]:
        """Answers by vLLM, whose engine starts once and again only for longer texts."""
        longest = max(map(len, prompts)) + answer_tokens
        if self._server is None or self._server.tokens < longest:
            self.close()
            self._server = Server(self.model, min(self.model.window, 1 << (longest - 1).bit_length()))
        found = self._server.generate(prompts, max_new_tokens=answer_tokens)
        advance(len(prompts))
        return found

    def close(self) -> None:
        """Give the engine's memory back."""
        self._server = None
