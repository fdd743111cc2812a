"""Reads a source's records as rows: questions with their answers, and what was left out and why."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mixplan.domains.chats import ChatForm, Messages
from mixplan.domains.duplicates import content_key
from mixplan.domains.fields import MISSING, Template, first_text, lookup, missing_column
from mixplan.domains.formats import Draft, Reading
from mixplan.domains.generator import saved_entry
from mixplan.domains.labels import Named, decide, fitting, in_one_place
from mixplan.domains.limits import MAX_ROW_BYTES, too_long
from mixplan.domains.record import Values
from mixplan.domains.row_problems import FAULTY, Causes, Lacking
from mixplan.domains.sources import Record, Source, draw, open_source
from mixplan.domains.tables import Table
from mixplan.domains.unread_columns import UnreadColumns
from mixplan.errors import DataError
from mixplan.recipe import DataSpec, DomainSpec

LETTERED_SHARE = 0.1
"""Where more worked solutions than this speak of options by letter, options stay in their order."""
CONVERSATION = "conversation"
"""The name under which a row's record is noted where each answer is a row, so that its rows are kept together."""


@dataclass(frozen=True, slots=True)
class Row:
    """One question with its answer, whatever format it came in.

    Attributes:
        id: Where it came from, unique in its domain: `<split or file name>:<index in the source>`, and behind a point
            which answer of its conversation it is, where each is a row.
        key: Hash of the normalised content (32 hexadecimal digits); equal for duplicates.
        prompt: Messages in front of the answer, as (role, content) pairs; the last is a user's or a tool's.
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


@dataclass
class RowReader:
    """Reads one domain's rows and keeps count.

    Attributes:
        spec: The domain's format and columns.
        generated: The rows come from a generator, so each keeps its entry.
        beside: Columns to read beside those of the format.
        note: Given each row's id and its values by column.
        rows: Records met.
        passed: Records that passed `where`, whether drawn or not.
        causes: Records left out or changed, by cause.
        labels: How choices name their right option; found over the first source's column where the recipe is silent.
    """

    spec: DomainSpec
    generated: bool
    beside: tuple[str, ...] = ()
    note: Callable[[str, Mapping[str, Any]], None] = lambda row, values: None  # noqa: ARG005 - named as given
    rows: int = 0
    passed: int = 0
    causes: Causes = field(default_factory=Causes)

    def __post_init__(self) -> None:
        self.templates = templates_of(self.spec)
        columns = [name for key in self.templates for part in self.templates[key] for name in part.names]
        noted = {CONVERSATION} if self.spec.turns == "all" else set[str]()
        self.columns = list(dict.fromkeys([*columns, *(name for name in self.beside if name not in noted)]))
        self.labels: str | None = self.spec.labels
        alternating = self.spec.turn_order == "alternating"
        self._form = form = ChatForm(self.spec.columns.role, self.spec.columns.content, self.spec.roles, alternating)
        self._reading = Reading(self.spec.format, form, self.spec.turns == "all")
        self._unmet = list(self.columns)
        self._mixes = False
        self._unread = UnreadColumns.of(self.spec, self.templates, self.columns)
        self._listed = {key for key in self.templates if not isinstance(getattr(self.spec.columns, key), str)}

    @property
    def unmet_roles(self) -> tuple[str, ...]:
        """Names in the section's `roles` that no message read so far has."""
        return tuple(name for name in self.spec.roles if name not in self._form.met)

    def read(self, source: Source, data: DataSpec, seed: int) -> Iterator[Row]:
        """Read a source's rows; the reader may be used for several sources.

        Raises:
            DataError: a column is missing, no row can be used, choices can be read in two ways, or more rows than
                `data.faulty_share` are faulty.
        """
        tally = _Tally(source, data, "demonstrations" if data is self.spec.demonstrations else "data")
        drafts: list[tuple[Record, Draft]] = []
        beside, shown = self._unread.beside(source.columns if isinstance(source, Table) else ())
        columns = [*self.columns, *beside]
        for record in draw(source, data, seed=seed, columns=columns, shown=shown, count=self.count):
            tally.records += 1
            with tally.counted(record):
                # Only a generator's entry is needed again.
                met = record if self.generated else replace(record, values={})
                own = {CONVERSATION: record.id} if self.spec.turns == "all" else {}
                for draft in self._drafts(record, tally):
                    drafts.append((met, draft))
                    self.note(row_id(record, draft), record.values | own)
        if tally.found and self._unmet:
            raise missing_column(self._unmet[0], tally.found, source.place)
        self._decide([draft.named for _, draft in drafts if draft.named], tally)
        mixing = self._mixing([draft for _, draft in drafts if draft.named])
        rows: list[Row] = []
        for record, draft in drafts:
            with tally.counted(record):
                settled = draft if mixing is None else draft.mixed(mixing)
                rows.append(self._row(record, settled, self.labels if mixing is None else "letter"))
                for change in settled.changes:
                    tally.causes.change(change, without_folder(record.place, source))
        tally.refuse_faulty(len(rows))
        self.rows += tally.records
        self.causes.add(tally.causes)
        self.causes.labels = self.labels
        yield from rows

    def count(self, passed: int) -> None:
        """Add the records of a source that passed `where`."""
        self.passed += passed

    def key(self, record: Record) -> str:
        """The content key of a record's first row.

        Raises:
            Lacking: it has no question or no answer.
            DataError: it is faulty.
        """
        draft = self._reading.drafts(self._values(record), record.place)[0]
        return content_key(draft.question or draft.prompt, draft.options)

    def _drafts(self, record: Record, tally: _Tally) -> list[Draft]:
        if record.fault is not None:
            raise record.fault
        self._unmet = [name for name in self._unmet if lookup(record.values, name) is MISSING]
        if len(tally.found) < 100:
            tally.found.update(dict.fromkeys(record.values))
        drafts = self._reading.drafts(self._values(record), record.place)
        unread = tuple(self._unread.changes(record.values, {role for role, _ in drafts[0].prompt}))
        return [replace(drafts[0], changes=(*drafts[0].changes, *unread)), *drafts[1:]] if unread else drafts

    def _values(self, record: Record) -> Values:
        """What each of the recipe's columns holds in a record.

        Raises:
            DataError: a template's column is no text, or the row is too long.
        """
        values: Values = {}
        for key, parts in self.templates.items():
            found = [part.value(record.values, record.place) for part in parts]
            values[key] = found if key in self._listed else found[0]
        options = self.spec.columns.options
        if isinstance(options, str) and options.endswith(".text"):
            # ARC's options and their labels are two lists of one object.
            labels = lookup(record.values, f"{options.removesuffix('text')}label")
            values["labels"] = None if labels is MISSING else labels
        if sum(map(_characters, values.values())) > MAX_ROW_BYTES:
            raise too_long(record.place)
        return values

    def _decide(self, answers: Sequence[Named], tally: _Tally) -> None:
        """Find how the column of answers names right options, unless the recipe or an earlier source says."""
        if not answers or self.spec.labels or (self.labels and fitting(self.labels, answers)):
            return
        allowed = int(tally.data.faulty_share * tally.records)
        self.labels = decide(answers, source=tally.source.place, allowed=allowed)

    def _mixing(self, drafts: Sequence[Draft]) -> str | None:
        """How choices name their right option, where their options are to be put in another order; else None.

        Where those of one source of a domain are, those of a source that is read behind it are, too.
        """
        if self.labels is None or sum(draft.names_letters for draft in drafts) > LETTERED_SHARE * len(drafts):
            return None
        self._mixes = self._mixes or in_one_place(self.labels, [draft.named for draft in drafts if draft.named])
        return self.labels if self._mixes else None

    def _row(self, record: Record, draft: Draft, labels: str | None) -> Row:
        answer, gold, rationale = draft.settled(labels)
        return Row(
            id=row_id(record, draft),
            key=content_key(draft.question or draft.prompt, draft.options),
            prompt=draft.prompt,
            answer=answer,
            rationale=rationale,
            options=draft.options,
            gold=gold,
            entry=saved_entry(record.values) if self.generated else None,
            accepted=draft.accepted,
        )


@dataclass
class _Tally:
    """One source's records as they are read.

    Attributes:
        source, data: What is read.
        key: The recipe's key of it in the domain's section.
        records: Met so far.
        found: Columns met.
        causes: Records left out or changed, by cause.
        fault: The first faulty row's.
    """

    source: Source
    data: DataSpec
    key: str
    records: int = 0
    found: dict[str, None] = field(default_factory=dict)
    causes: Causes = field(default_factory=Causes)
    fault: DataError | None = None

    @contextmanager
    def counted(self, record: Record) -> Iterator[None]:
        """Count a record that lacks something or is faulty, and go on behind it."""
        try:
            yield
        except Lacking as reason:
            self.causes.leave_out(str(reason), without_folder(record.place, self.source))
        except DataError as error:
            self.causes.leave_out(FAULTY, without_folder(str(error), self.source))
            self.fault = self.fault or error

    def refuse_faulty(self, kept: int) -> None:
        """Refuse a source of which too much is faulty, or nothing can be used.

        Raises:
            DataError: names the first fault and what leaves such rows out.
        """
        faulty, share = self.causes.left_out[FAULTY], self.data.faulty_share
        if self.fault and (faulty > share * self.records or not kept):
            needed = math.ceil(1000 * faulty / self.records) / 1000
            remedy = f" Set `{self.key}.faulty_share: {needed}` in this section to leave them out." if kept else ""
            raise DataError(f"{self.fault} ({faulty} of {self.records} rows are faulty.{remedy})") from self.fault
        if not kept:
            reasons = ", ".join(f"{count} with {reason}" for reason, count in self.causes.left_out.items())
            raise DataError(
                f"{self.source.place}: none of its {self.records} rows can be used: {reasons}. Check `columns`."
            )


def row_id(record: Record, draft: Draft) -> str:
    """A row's id: its record's, with which answer of the conversation it is where each is a row."""
    return f"{record.id}.{draft.number}" if draft.number else record.id


def templates_of(spec: DomainSpec) -> dict[str, list[Template]]:
    """The templates that each of the recipe's columns is read by.

    Raises:
        DataError: a template cannot be read.
    """
    named = spec.columns.model_dump(exclude_none=True, exclude={"role", "content"})
    return {
        key: [Template.parse(text) for text in ([given] if isinstance(given, str) else given)]
        for key, given in named.items()
    }


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
        DataError: as `open_source` and `draw` say, or no row has the column, or one holds no text there.
    """
    parsed = Template.parse(template)
    source = open_source(spec, folder=folder, seed=seed)
    missing, found = list(parsed.names), dict[str, None]()
    for record in draw(source, spec, seed=seed, columns=parsed.names):
        if record.fault is not None:
            raise record.fault
        missing = [name for name in missing if lookup(record.values, name) is MISSING]
        text, _ = first_text(parsed.value(record.values, record.place), f"{record.place}: column {template!r}")
        found = found or dict.fromkeys(record.values)
        if text:
            yield text
    if missing:
        raise missing_column(missing[0], found, source.place)
