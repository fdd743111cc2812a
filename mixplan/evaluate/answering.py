"""Answers rows greedily with a model; rows whose prompt is too long for its window are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mixplan.domains import Row
from mixplan.evaluate.packing import Ids
from mixplan.evaluate.prompts import prompt_text, token_ids
from mixplan.evaluate.vllm_answers import Server, is_served
from mixplan.model import Answer, Model, generate


class Answering:
    """Answers rows with one model: by vLLM where it is installed and the model is on a GPU, else by transformers.

    A greedy answer begins as any longer one does, so a question that was answered is not asked again for less.

    Args:
        model: The model.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._server: Server | None = None
        self._known: dict[str, tuple[int, Answer]] = {}

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
        texts = [prompts[place] for place in fits]
        if self.know(texts, answer_tokens):
            advance(len(kept))
            return kept, [self.shortened(self._known[text][1], answer_tokens) for text in texts]
        if is_served(self.model):
            found = self.served([tokens[place] for place in fits], answer_tokens, advance)
        else:
            found = generate(self.model, texts, max_new_tokens=answer_tokens, on_answers=advance)
        for text, answer in zip(texts, found, strict=True):
            if not self.know([text], answer_tokens):
                self._known[text] = answer_tokens, answer
        return kept, found

    def answered(self, rows: Sequence[Row], *, answer_tokens: int) -> bool:
        """Whether all rows that fit the window have an answer of at most so many tokens already."""
        if not self._known:
            return False
        prompts = [prompt_text(self.model, row) for row in rows]
        room = self.model.window - answer_tokens
        return self.know([text for text in prompts if len(token_ids(self.model, text)) <= room], answer_tokens)

    def know(self, texts: Sequence[str], answer_tokens: int) -> bool:
        """Whether prompts have answers as long as is asked."""
        return all(self._known.get(text, (0, None))[0] >= answer_tokens for text in texts)

    def shortened(self, answer: Answer, tokens: int) -> Answer:
        """What an answer would have been with fewer tokens."""
        if len(answer.ids) <= tokens:
            return answer
        ids = answer.ids[:tokens]
        text = str(self.model.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()
        return Answer(text, ids, False)

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
