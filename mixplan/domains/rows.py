"""Records of a source in, rows out: each format's question and answer, with what was left out and why."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixplan.chat.reasoning import joined
from mixplan.domains.causes import FAULTY, Causes
from mixplan.domains.choice import LETTERS, find_answer, read_options, render
from mixplan.domains.content import content_key
from mixplan.domains.fields import MISSING, Kinds, Template, as_text, first_text, lookup, missing_column
from mixplan.domains.generator import saved_entry
from mixplan.domains.limits import MAX_ROW_BYTES, too_long, value_kind
from mixplan.domains.sources import Record, Source, draw, open_source
from mixplan.errors import DataError
from mixplan.recipe import DataSpec, DomainSpec

FAULTY_SHARE = 0.01
"""Real data sets have a few broken rows; beyond this share the columns are mapped wrongly, or the file is damaged."""
ROLES = ("system", "user", "assistant")
REASONING_FIELDS = ("reasoning_content", "thinking", "reasoning")
"""Under which names an assistant's message holds its reasoning beside its content."""

Messages = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One question with its answer, whatever format it came in.

    Attributes:
        id: Where it came from, unique in its domain: `<split or file name>:<index in the source>`.
        key: Hash of the normalised content (32 hexadecimal digits); equal for duplicates.
        prompt: Messages up to and including the last user turn, as (role, content) pairs.
        answer: The supervised answer (what gold training teaches).
        rationale: Worked solution with the answer at its end, where the data has one.
        options: Choice rows: the options' texts, in order, without letters.
        gold: Choice rows: index of the right option.
        entry: Generator rows: the reasoning-gym entry as JSON, for its own scorer.
        accepted: Other answers that count as right.
    """

    id: str
    key: str
    prompt: Messages
    answer: str
    rationale: str | None = None
    options: tuple[str, ...] = ()
    gold: int | None = None
    entry: str | None = None
    accepted: tuple[str, ...] = ()


class Lacking(Exception):
    """A row lacks a question or an answer, which is no error: it is left out and counted under this text."""


@dataclass
class RowReader:
    """Reads one format's rows and keeps count.

    Attributes:
        spec: The domain's format and columns.
        generated: The rows come from a generator, so each keeps its entry.
        beside: Columns to read beside those of the format.
        note: Given each row's id and its values by column.
        rows: Records met.
        passed: Records that passed `where`, whether drawn or not.
        causes: Records left out or changed, by cause.
    """

    spec: DomainSpec
    generated: bool
    beside: tuple[str, ...] = ()
    note: Callable[[str, Mapping[str, Any]], None] = lambda row, values: None  # noqa: ARG005 - named as given
    rows: int = 0
    passed: int = 0
    causes: Causes = field(default_factory=Causes)

    def __post_init__(self) -> None:
        named = self.spec.columns.model_dump(exclude_none=True)
        self.templates = {key: Template.parse(text) for key, text in named.items()}
        self.columns = [*(name for template in self.templates.values() for name in template.names), *self.beside]
        self._kinds = Kinds()
        self._met: set[str] = set()
        self._fault: DataError | None = None

    def read(self, source: Source, data: DataSpec, seed: int) -> Iterator[Row]:
        """Read a source's rows; the reader may be used for several sources.

        Raises:
            DataError: a column is missing, no row can be used, or more rows than `FAULTY_SHARE` are faulty.
        """
        records, kept = 0, 0
        found: dict[str, None] = {}
        causes = Causes()
        self._fault = None
        for record in draw(source, data, seed=seed, columns=self.columns, count=self.count):
            records += 1
            self._met.update(name for name in self.columns if lookup(record.values, name) is not MISSING)
            if len(found) < 100:
                found.update(dict.fromkeys(record.values))
            try:
                row = self.row(record)
            except Lacking as reason:
                causes.leave_out(str(reason), without_folder(record.place, source))
            except DataError as error:
                causes.leave_out(FAULTY, without_folder(str(error), source))
                self._fault = self._fault or error
            else:
                kept += 1
                self.note(row.id, record.values)
                yield row
        if unmet := [name for name in self.columns if name not in self._met]:
            raise missing_column(unmet[0], found, source.place)
        faulty = causes.left_out[FAULTY]
        if self._fault and faulty > FAULTY_SHARE * records:
            raise DataError(
                f"{self._fault} ({faulty} of {records} rows are faulty; up to 1 in 100 would be left out and reported.)"
            ) from self._fault
        if not kept:
            reasons = ", ".join(f"{count} with {reason}" for reason, count in causes.left_out.items())
            raise DataError(f"{source.place}: none of its {records} rows can be used: {reasons}. Check `columns`.")
        self.rows += records
        causes.left_out = +causes.left_out
        self.causes.add(causes)

    def count(self, passed: int) -> None:
        """Add the records of a source that passed `where`."""
        self.passed += passed

    def row(self, record: Record) -> Row:
        """Turn one record into a row.

        Raises:
            Lacking: it has no question or no answer.
            DataError: it is faulty.
        """
        values = {key: self._value(key, record) for key in self.templates}
        if sum(map(_characters, values.values())) > MAX_ROW_BYTES:
            raise too_long(record.place)
        parts = _READ[self.spec.format](values, record.place)
        prompt = parts["prompt"]
        system = as_text(values.get("system"), f"{record.place}: column of system messages")
        if system and prompt[0][0] != "system":
            parts["prompt"] = (("system", system), *prompt)
        parts["entry"] = saved_entry(record.values) if self.generated else None
        question = parts.pop("question", prompt)
        return Row(id=record.id, key=content_key(question, parts.get("options", ())), **parts)

    def _value(self, key: str, record: Record) -> Any:
        template = self.templates[key]
        value = template.value(record.values, record.place)
        self._kinds.check(template.text, value, record.place)
        return value


def without_folder(text: str, source: Source) -> str:
    """A message on a row of a source without the folder of its file, so that it reads the same wherever that lies."""
    place = source.place
    return f"{source.name}{text.removeprefix(place)}" if place.endswith(f"/{source.name}") else text


def _characters(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(json.dumps(value, default=str))


def read_rows(spec: DomainSpec, *, folder: Path, seed: int) -> Iterator[Row]:
    """Read a domain's rows, unsplit and with their duplicates, in the source's order.

    Raises:
        DataError: as `open_source`, `draw` and `RowReader.read` say.
    """
    reader = RowReader(spec, generated=spec.data.generator is not None)
    yield from reader.read(open_source(spec.data, folder=folder, seed=seed), spec.data, seed)


def read_texts(spec: DataSpec, template: str, *, folder: Path, seed: int) -> Iterator[str]:
    """Read a column of running text, or a template over columns; rows without text are left out.

    Raises:
        DataError: as `open_source` and `draw` say, or a row lacks the column or holds no text there.
    """
    parsed = Template.parse(template)
    for record in draw(open_source(spec, folder=folder, seed=seed), spec, seed=seed, columns=parsed.names):
        for name in parsed.names:
            if lookup(record.values, name) is MISSING:
                raise missing_column(name, record.values, record.place)
        text, _ = first_text(parsed.value(record.values, record.place), f"{record.place}: column {template!r}")
        if text:
            yield text


def _messages(values: Mapping[str, Any], place: str) -> dict[str, Any]:
    turns = _turns(values.get("messages"), place, "messages")
    last = max((index for index, (role, _) in enumerate(turns) if role == "user"), default=None)
    if last is None or not turns[last][1].strip():
        raise Lacking("no question")
    if last + 1 == len(turns) or turns[last + 1][0] != "assistant" or not turns[last + 1][1].strip():
        raise Lacking("no answer")
    return {"prompt": turns[: last + 1], "answer": turns[last + 1][1]}


def _prompt_completion(values: Mapping[str, Any], place: str) -> dict[str, Any]:
    prompt, completion = values.get("prompt"), values.get("completion")
    if prompt is None or (isinstance(prompt, str) and not prompt.strip()):
        raise Lacking("no question")
    if completion is None or (isinstance(completion, str) and not completion.strip()):
        raise Lacking("no answer")
    turns = _turns(prompt, place, "prompt") if isinstance(prompt, list) else ()
    if isinstance(prompt, list) and (not turns or turns[-1][0] != "user"):
        raise DataError(
            f"{place}: the prompt does not end with a user message. Use `format: messages` for whole chats."
        )
    if not isinstance(completion, list):
        answer = as_text(completion, f"{place}: the completion") or ""
    else:
        answers = _turns(completion, place, "completion")
        if len(answers) != 1 or answers[0][0] != "assistant":
            raise DataError(
                f"{place}: the completion is not one assistant message. Use `format: messages` for whole chats."
            )
        answer = answers[0][1]
    return {"prompt": turns or (("user", as_text(prompt, f"{place}: the prompt") or ""),), "answer": answer}


def _question_answer(values: Mapping[str, Any], place: str) -> dict[str, Any]:
    question, _ = first_text(values.get("question"), f"{place}: the question")
    answer, accepted = first_text(values.get("answer"), f"{place}: the answer")
    if not question:
        raise Lacking("no question")
    if not answer:
        raise Lacking("no answer")
    rationale = _with_answer(as_text(values.get("rationale"), f"{place}: the rationale"), answer)
    return {"prompt": (("user", question),), "answer": answer, "accepted": accepted, "rationale": rationale}


def _choice(values: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A choice: the prompt lists lettered options, the answer is the right one's line, as in `B. text`."""
    question, _ = first_text(values.get("question"), f"{place}: the question")
    given = values.get("answer")
    given = next(iter(given), None) if isinstance(given, list) else given
    if not question:
        raise Lacking("no question")
    if given is None or given == "":
        raise Lacking("no answer")
    if values.get("options") is None:
        raise Lacking("no options")
    options = read_options(values["options"], place)
    gold = find_answer(given, options, place)
    answer = f"{LETTERS[gold]}. {options[gold]}"
    return {
        "prompt": (("user", render(question, options)),),
        "question": (("user", question),),
        "answer": answer,
        "options": options,
        "gold": gold,
        "rationale": _with_answer(as_text(values.get("rationale"), f"{place}: the rationale"), answer),
    }


def _with_answer(rationale: str | None, answer: str) -> str | None:
    """A worked solution that ends with the answer: added below it, unless its last line already states it."""
    # Worked answers often repeat the marker of the answer's turn.
    text = re.sub(r"\A\s*A:\s+", "", rationale or "").strip()
    if not text:
        return None
    stated = rf"(?<!\w){re.escape(answer)}"
    if re.search(rf"{stated}\Z", text) or re.search(rf"{stated}(?!\w)", text.splitlines()[-1]):
        return text
    return f"{text}\n\n{answer}"


def _turns(value: Any, place: str, key: str) -> Messages:
    """A list of messages as (role, content) pairs."""
    if value is None:
        raise Lacking("no question")
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise DataError(f"{place}: {key} is text that is not a JSON list. Write a list of messages.") from error
    if not isinstance(value, list):
        raise DataError(f"{place}: {key} is {value_kind(value)}, not a list of messages. Map a column of messages.")
    turns = []
    for number, message in enumerate(value, 1):
        where = f"{place}: message {number} of {key}"
        if not isinstance(message, Mapping) or not {"role", "content"} <= message.keys():
            raise DataError(f"{where} is not an object with `role` and `content`. Write {{role: user, content: ...}}.")
        if message["role"] not in ROLES:
            raise DataError(f"{where} has the role {message['role']!r}, not {', '.join(ROLES[:-1])} or {ROLES[-1]}.")
        text = as_text(message["content"], where) or ""
        given = next((message[name] for name in REASONING_FIELDS if message.get(name)), None)
        if message["role"] == "assistant" and given is not None:
            text = joined(as_text(given, f"{where}: its reasoning") or "", text)
        turns.append((message["role"], text))
    return tuple(turns)


_READ = {
    "messages": _messages,
    "prompt_completion": _prompt_completion,
    "question_answer": _question_answer,
    "choice": _choice,
}
"""For each format, what reads a record's values as a row's parts."""
