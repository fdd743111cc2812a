"""Locates a question or an answer in a rendered conversation, by rendering stand-ins in its place.

A short text such as "a", "end" or "user" may well stand elsewhere in the text too, in a role marker or a system turn;
what the template writes before and behind a stand-in stands before and behind the text itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from mixplan.chat.reasoning import joined, parted
from mixplan.chat.template import ChatTemplate, Turns
from mixplan.chat.template_settings import ANSWER, REASONING
from mixplan.errors import ModelError


@dataclass(frozen=True)
class Place:
    """A rendered conversation and where a turn's content stands in it.

    Attributes:
        text: The whole conversation, as rendered.
        start, stop: The content's first character and the one behind its last, white space around it apart.
    """

    text: str
    start: int
    stop: int

    @property
    def content(self) -> str:
        """The turn's content as the template writes it."""
        return self.text[self.start : self.stop]


def question_place(template: ChatTemplate, prompt: Turns) -> Place:
    """Render a prompt and find its last turn's content.

    Raises:
        ModelError: the template refuses the prompt, or hides or alters its last turn.
    """
    role, question = prompt[-1]
    text = template.render(prompt, awaiting=False)
    stand_in = template.render((*prompt[:-1], (role, ANSWER)), awaiting=False)
    before, shown, after = stand_in.rpartition(ANSWER)
    place = between(text, before, after) if shown and question.strip() else None
    if place is None:
        raise ModelError(
            f"the chat template of '{template.name}' alters the question {question.strip()[:60]!r}, so its tokens "
            "cannot be followed. Use a model whose template keeps user turns as they are."
        )
    return place


def answer_place(template: ChatTemplate, prompt: Turns, answer: str) -> Place:
    """Render a prompt with its answer, as it is trained, and find the answer.

    An answer with reasoning begins where its reasoning does, or behind it where the template leaves reasoning out.

    Raises:
        ModelError: the template refuses the conversation, or hides or alters the answer.
    """
    answer = answer.strip()
    reasoned = parted(answer)
    text = template.render((*prompt, ("assistant", answer)), awaiting=False)
    shown = joined(REASONING, ANSWER) if reasoned and reasoned[0] else ANSWER
    stand_in = template.render((*prompt, ("assistant", shown)), awaiting=False)
    before, found, after = stand_in.rpartition(ANSWER)
    if found and REASONING in before:
        before = before.rpartition(REASONING)[0]
    place = between(text, before, after) if found and answer else None
    if place is None:
        raise ModelError(
            f"the chat template of '{template.name}' alters the answer {answer[:60]!r}, so its tokens cannot be "
            "followed. Use a model whose template keeps assistant turns as they are."
        )
    return place


def between(text: str, before: str, after: str) -> Place | None:
    """What stands in a text between its beginning and its end, white space apart; None where it has others."""
    if not (text.startswith(before) and text.endswith(after)) or len(before) + len(after) >= len(text):
        return None
    inside = text[len(before) : len(text) - len(after)]
    start = len(before) + len(inside) - len(inside.lstrip())
    return Place(text, start, start + len(inside.strip())) if inside.strip() else None
