"""Reads a record's values as question and answer, format by format."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mixplan.domains.chats import (
    ChatForm,
    Messages,
    examples,
    joined_turns,
    not_trained,
    read_turns,
    repeated_reasoning,
    with_tools,
    written_messages,
)
from mixplan.domains.choice import LETTERS, Options, read_options, render
from mixplan.domains.duplicates import content_key
from mixplan.domains.fields import as_text, first_text, listed
from mixplan.domains.labels import Named, no_option
from mixplan.domains.row_problems import Lacking
from mixplan.domains.unread_columns import message_changes
from mixplan.domains.worked_solution import with_answer
from mixplan.errors import DataError

NAMES_A_LETTER = re.compile(
    r"\b(?i:answers?|options?|choices?)\b[^.\n]{0,20}?\b[A-Z]\b|(?<!\w)\([A-Z]\)|(?<!\w)[A-Z](?:\)|\s+is\b)"
)
"""What a worked solution holds that speaks of options by their letters."""
LISTED = "with the text of a JSON list as their answer, where a list would hold accepted answers"
MIXED = "with options in another order, since the right one stood in one place in all"


@dataclass(frozen=True, slots=True)
class Draft:
    """One question of a record, before what is decided over its column is known.

    Attributes:
        prompt: Messages in front of the answer.
        answer: The supervised answer; of a choice, empty.
        rationale: Worked solution as the data gives it.
        accepted: Other answers that count as right.
        question: What the content key is taken of, where that is not the whole prompt.
        named: Of a choice, its options and the answer as the data gives it.
        number: Which of a conversation's answers it is; 0 where the record has one alone.
        changes: What was changed to come to it.
    """

    prompt: Messages
    answer: str
    rationale: str | None = None
    accepted: tuple[str, ...] = ()
    question: Messages = ()
    named: Named | None = None
    number: int = 0
    changes: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """A choice's options."""
        return self.named.options.texts if self.named else ()

    def settled(self, labels: str | None) -> tuple[str, int | None, str | None]:
        """The supervised answer, of a choice the right option's index, and the worked solution that ends with it.

        Args:
            labels: How the column of answers names right options.

        Raises:
            DataError: the answer names no option.
        """
        if self.named is None or labels is None:
            return self.answer, None, with_answer(self.rationale, self.answer)
        gold = self.named.index(labels)
        if gold is None:
            raise no_option(self.named, labels)
        answer = f"{LETTERS[gold]}. {self.options[gold]}"
        return answer, gold, with_answer(self.rationale, answer)

    @property
    def names_letters(self) -> bool:
        """Whether its worked solution speaks of options by letter, so that they have to stay in their order."""
        return NAMES_A_LETTER.search(self.rationale or "") is not None

    def mixed(self, labels: str) -> Draft:
        """A choice with its options in the order of a hash, whatever order they had; its answer is then a letter.

        Args:
            labels: As for `settled`.

        Raises:
            DataError: the answer names no option.
        """
        if self.named is None:
            return self
        gold, texts = self.named.index(labels), self.options
        if gold is None:
            raise no_option(self.named, labels)
        key = content_key(self.question, texts)
        order = sorted(range(len(texts)), key=lambda index: hashlib.sha256(f"{key}:{texts[index]}".encode()).digest())
        options = Options(tuple(texts[index] for index in order))
        *before, (role, question) = self.question
        return replace(
            self,
            prompt=(*before, (role, render(question, options.texts))),
            named=Named(self.named.place, LETTERS[order.index(gold)], options),
            changes=(*self.changes, MIXED),
        )


@dataclass(frozen=True)
class Reading:
    """How a domain's records are read.

    Attributes:
        format: The recipe's name of the format.
        chat: How messages are written.
        every_turn: Whether each answer of a conversation is a row.
    """

    format: str
    chat: ChatForm
    every_turn: bool = False

    def drafts(self, values: Mapping[str, Any], place: str) -> list[Draft]:
        """Read one record.

        Args:
            values: What each of the recipe's columns holds.
            place: The record, for messages.

        Raises:
            Lacking: it has no question or no answer, or is left out by the recipe.
            DataError: it is faulty.
        """
        if self.format == "messages":
            return self._messages(values, place)
        one = {"prompt_completion": self._prompt_completion, "question_answer": question_answer, "choice": choice}
        return [one[self.format](values, place)]

    def _messages(self, values: Mapping[str, Any], place: str) -> list[Draft]:
        turns = read_turns(values.get("messages"), place, "messages", self.chat)
        head = with_tools(with_system(turns, values, place), values.get("tools"), place)
        before = len(head) - len(turns)
        untrained = {number + before for number in not_trained(values.get("messages"))}
        found = examples(head, every=self.every_turn, untrained=untrained, alternating=self.chat.alternating)
        several, unread = self.every_turn and len(found) > 1, self._unread(values.get("messages"))
        return [
            Draft(
                one.prompt,
                one.answer,
                number=one.number if several else 0,
                changes=(*one.changes, *unread) if one is found[0] else (),
            )
            for one in found
        ]

    def _prompt_completion(self, values: Mapping[str, Any], place: str) -> Draft:
        prompt, completion = (written_messages(values.get(key), self.chat) for key in ("prompt", "completion"))
        if prompt is None or (isinstance(prompt, str) and not prompt.strip()):
            raise Lacking("no question")
        if completion is None or (isinstance(completion, str) and not completion.strip()):
            raise Lacking("no answer")
        turns = read_turns(prompt, place, "prompt", self.chat) if isinstance(prompt, list) else ()
        changed: tuple[str, ...] = ()
        if self.chat.alternating:
            joined = joined_turns(turns, alternating=True)
            turns, changed = joined.turns, joined.changes
        if isinstance(prompt, list) and (not turns or turns[-1][0] not in ("user", "tool")):
            raise DataError(
                f"{place}: the prompt does not end with a user message. Use `format: messages` for whole chats."
            )
        if not isinstance(completion, list):
            answer = as_text(completion, f"{place}: the completion") or ""
        else:
            answers = read_turns(completion, place, "completion", self.chat)
            if len(answers) != 1 or answers[0][0] != "assistant":
                raise DataError(
                    f"{place}: the completion is not one assistant message. Use `format: messages` for whole chats."
                )
            if not_trained(completion):
                raise Lacking("an answer of weight 0")
            answer = answers[0][1]
        if not answer.strip():
            raise Lacking("no answer")
        turns = turns or (("user", as_text(prompt, f"{place}: the prompt") or ""),)
        head = with_tools(with_system(turns, values, place), values.get("tools"), place)
        return Draft(head, answer, changes=(*changed, *self._unread(prompt), *self._unread(completion)))

    def _unread(self, messages: Any) -> tuple[str, ...]:
        """What messages lose, in the words in which changed rows are counted."""
        return *message_changes(messages), *repeated_reasoning(messages, self.chat)


def question_answer(values: Mapping[str, Any], place: str) -> Draft:
    """A question with one answer or a list of accepted ones."""
    question = _question(values, place)
    answer, accepted = first_text(values.get("answer"), f"{place}: the answer")
    if not answer:
        raise Lacking("no answer")
    prompt = with_system((("user", question),), values, place)
    rationale = as_text(values.get("rationale"), f"{place}: the rationale")
    texts = listed(answer)
    changes = (LISTED,) if texts and all(isinstance(text, str) for text in texts) else ()
    return Draft(prompt, answer, rationale=rationale, accepted=accepted, changes=changes)


def choice(values: Mapping[str, Any], place: str) -> Draft:
    """A choice: the prompt lists lettered options, the answer is the right one's line, as in `B. text`."""
    question = _question(values, place)
    given, options = values.get("answer"), values.get("options")
    if Named.empty(given):
        raise Lacking("no answer")
    if options is None or options == "":
        raise Lacking("no options")
    read = read_options(options, place, values.get("labels"))
    return Draft(
        with_system((("user", render(question, read.texts)),), values, place),
        "",
        rationale=as_text(values.get("rationale"), f"{place}: the rationale"),
        question=with_system((("user", question),), values, place),
        named=Named.of(place, given, read),
    )


def _question(values: Mapping[str, Any], place: str) -> str:
    """A row's question, which may be a list of one text: of several, each has an answer of its own."""
    question, others = first_text(values.get("question"), f"{place}: the question")
    if not question:
        raise Lacking("no question")
    if others:
        raise DataError(
            f"{place}: the question is a list of {1 + len(others)} texts, where a row asks one. Name one by its number "
            "in `columns`, as in `question: COLUMN.0`, and its answer alike, or write a row for each."
        )
    return question


def with_system(turns: Messages, values: Mapping[str, Any], place: str) -> Messages:
    """Turns behind the text of the system column, where they do not open with a system turn of their own."""
    system = as_text(values.get("system"), f"{place}: column of system messages")
    own = bool(turns) and turns[0][0] == "system"
    return turns if own or not (system and system.strip()) else (("system", system), *turns)
