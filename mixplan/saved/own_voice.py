"""Defines what a plan says of target answers in the model's own words: how many, why not others, how surprising."""

from __future__ import annotations

from mixplan.saved.base_types import Saved

REASONS = {
    "wrong": "that its grader does not accept",
    "cut": "that the model had not ended",
    "empty": "in which it said nothing",
    "same": "in which it said just the given answer",
    "too_long": "whose question and answer do not fit the model's window",
    "not_asked": "with tools, reasoning or no question of a user's",
}
"""Why a given answer stays, by name, as words behind a number of rows."""


SHORT = 0.5
"""Of the given answers' tokens: with fewer, the model's words leave something out."""


class Spoken(Saved):
    """Answers as the untrained model reads them.

    Attributes:
        answers: How many were read.
        nats: Their negative log-likelihood behind their questions, summed.
        tokens: Their tokens, without the end of the turn.
    """

    answers: int
    nats: float
    tokens: int

    @property
    def nats_per_token(self) -> float:
        """Mean negative log-likelihood of a token."""
        return self.nats / self.tokens if self.tokens else 0.0


class OwnVoice(Saved):
    """What became of a target's answers that the untrained model was to say in its own words.

    Attributes:
        rows: Rows of the target, or of one source, in the mixture.
        rewritten: Rows that carry the model's own words.
        stays: Rows that carry the given answer, by why; see `REASONS`.
        given: The given answers of the rewritten rows, of which both fit the window; None where there are none.
        own: The model's own words for the same rows.
        answer_tokens: Tokens at which its words were cut.
    """

    rows: int
    rewritten: int
    stays: dict[str, int]
    given: Spoken | None
    own: Spoken | None
    answer_tokens: int

    def shorter(self) -> str | None:
        """A warning where the model's words are so few that steps of the given answers must be missing; mostly None."""
        if self.given is None or self.own is None or self.own.tokens >= SHORT * self.given.tokens:
            return None
        return (
            f"the model's own words hold {self.own.tokens / self.given.tokens:.0%} of the tokens of the given answers: "
            "what it leaves out, such as the steps of a worked solution, is not trained. Read some rows of the "
            "mixture; to train on the answers as given, leave `mixture.target_answers` out."
        )

    def text(self, name: str) -> str:
        """Say it in two sentences, or three.

        Args:
            name: `target`, or one of its sources.
        """
        said = [f"{self.rewritten} of {self.rows} answers of '{name}' are in the model's own words."]
        if self.given is not None and self.own is not None:
            said.append(
                f"They surprise the untrained model by {self.own.nats_per_token:.2f} nats per token, as given by "
                f"{self.given.nats_per_token:.2f} ({self.own.tokens:,} tokens in place of {self.given.tokens:,})."
            )
        if self.stays:
            listed = ", ".join(f"{count} {REASONS[reason]}" for reason, count in self.stays.items())
            longer = " A higher `mixture.answer_tokens` lets answers come to their end." if "cut" in self.stays else ""
            said.append(f"As given stay {sum(self.stays.values())}: {listed}.{longer}")
        return " ".join(said)
