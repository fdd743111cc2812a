"""Builds a corpus of token contexts of one length: deduplicated, mixed by kind, held-out ones set aside."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from mixplan.domains.fields import Template
from mixplan.domains.record import Values
from mixplan.domains.sources import read_records
from mixplan.errors import DataError
from mixplan.recipe import DataSpec
from mixplan.runs import content_hash
from mixplan.sae.spec import ChatData, Kind, SaeTraining, TextData

Contexts = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Corpus:
    """Token contexts to train on and to hold out.

    Attributes:
        train: `[contexts, context_tokens]` int32, kinds mixed in seeded order.
        heldout: By kind, `[contexts, context_tokens]` int32.
        documents: By kind, documents read.
        excluded: Documents left out because an excluded row has the same content.
        licences: Licences named by the spec.
        fingerprint: Hash over all contexts.
    """

    train: Contexts
    heldout: dict[str, Contexts]
    documents: dict[str, int]
    excluded: int
    licences: list[str]
    fingerprint: str


def build_corpus(spec: SaeTraining, tokenizer: PreTrainedTokenizerBase, folder: Path) -> Corpus:
    """Read, deduplicate, tokenise and cut the corpus.

    Args:
        spec: The training's spec.
        tokenizer: Of the model.
        folder: Folder of the YAML, for local files.

    Raises:
        DataError: a kind has fewer tokens than it should, or the model's tokenizer has no token that ends a text.
    """
    if tokenizer.eos_token_id is None:
        raise DataError(
            "corpus: the model's tokenizer has no token that ends a text, by which documents are joined. Set "
            "`eos_token` in its tokenizer_config.json."
        )
    barred = {words_of(text_of(row, entry.text)) for entry in spec.exclude for row in records(entry.data, folder, spec)}
    train: list[Contexts] = []
    heldout: dict[str, Contexts] = {}
    documents: dict[str, int] = {}
    licences: set[str] = set()
    seen: set[str] = set()
    excluded = 0
    for name, kind in spec.corpus.items():
        texts, left_out = kind_documents(kind, spec, folder, tokenizer, barred, seen)
        excluded += left_out
        licences |= {entry.licence for entry in kind.texts} | {entry.licence for entry in kind.chats}
        contexts, used = cut(texts, tokenizer, spec.context_tokens, kind.tokens + spec.heldout_tokens)
        documents[name] = used
        aside = -(-spec.heldout_tokens // spec.context_tokens)
        # One context between the two sides is dropped: a document may run across the cut.
        wanted = -(-kind.tokens // (spec.context_tokens - 1))
        have = len(contexts) - aside - 1
        if have < wanted:
            raise DataError(
                f"corpus.{name}: {max(have, 0) * (spec.context_tokens - 1)} tokens after the held-out ones, "
                f"but {kind.tokens} are asked for. Lower `corpus.{name}.tokens`, or add data."
            )
        heldout[name] = contexts[:aside]
        train.append(contexts[aside + 1 : aside + 1 + wanted])
    mixed = np.concatenate(train)
    mixed = mixed[np.random.default_rng(spec.seed).permutation(len(mixed))]
    mark = content_hash(mixed.tobytes(), *(heldout[name].tobytes() for name in sorted(heldout)))
    return Corpus(mixed, heldout, documents, excluded, sorted(licences), mark)


def kind_documents(
    kind: Kind,
    spec: SaeTraining,
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    barred: set[str],
    seen: set[str],
) -> tuple[list[str], int]:
    """All documents of one kind, without duplicates and excluded rows, in seeded order of their content."""
    texts: dict[str, str] = {}
    excluded = 0
    for entry in kind.texts:
        for text in text_documents(entry, spec, folder):
            key = words_of(text)
            if key in barred:
                excluded += 1
            elif key and key not in seen:
                seen.add(key)
                texts[content_hash(spec.seed, key)] = text
    for chat in kind.chats:
        kept: dict[str, tuple[str, str | None]] = {}
        for question, answer in pairs(chat, spec, folder):
            key = words_of(question)
            if key in barred:
                excluded += 1
            elif key and key not in seen:
                seen.add(key)
                kept[content_hash(spec.seed, key)] = (question, answer)
        ordered = [kept[mark] for mark in sorted(kept)]
        for start in range(0, len(ordered), chat.turns):
            text = conversation(ordered[start : start + chat.turns], tokenizer)
            texts[content_hash(spec.seed, text)] = text
    return [texts[mark] for mark in sorted(texts)], excluded


def text_of(row: Mapping[str, Any], template: str) -> str:
    """A row's text with its white space as it is; of a list of answers the first; empty where there is none."""
    value = Template.parse(template).value(row, "the corpus row")
    if isinstance(value, list):
        value = value[0] if value else None
    return "" if value is None else str(value)


def words_of(text: str) -> str:
    """A text's words, folded, without punctuation: texts that share them count as the same document."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def records(data: DataSpec, folder: Path, spec: SaeTraining) -> Iterator[Values]:
    """Rows of a data spec; a `*` in a package's file name stands for every file that fits, in name order."""
    if data.package and data.file and "*" in data.file:
        root = package_folder(data.package)
        for path in sorted(root.glob(data.file)):
            one = data.model_copy(update={"file": path.relative_to(root).as_posix()})
            yield from read_records(one, folder=folder, seed=spec.seed)
    else:
        yield from read_records(data, folder=folder, seed=spec.seed)


def text_documents(entry: TextData, spec: SaeTraining, folder: Path) -> Iterator[str]:
    """Documents of running text: rows through the template, or a package's files."""
    if entry.package is not None:
        for path in sorted(package_folder(entry.package).glob(entry.glob)):
            if path.is_file() and path.stat().st_size <= 200_000:
                yield path.read_text(encoding="utf-8", errors="ignore")
    elif entry.data is not None and entry.text is not None:
        for row in records(entry.data, folder, spec):
            yield text_of(row, entry.text)


def pairs(chat: ChatData, spec: SaeTraining, folder: Path) -> Iterator[tuple[str, str | None]]:
    """Questions with their answers, or None where there is none."""
    for row in records(chat.data, folder, spec):
        yield text_of(row, chat.question), text_of(row, chat.answer) if chat.answer else None


def package_folder(package: str) -> Path:
    """Folder of an installed package, found without importing it."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise DataError(f"package '{package}' is not installed. Install it, or take it out of the corpus.")
    return Path(next(iter(found.submodule_search_locations)))


def conversation(turns: list[tuple[str, str | None]], tokenizer: PreTrainedTokenizerBase) -> str:
    """One conversation through the chat template; questions without answers each stand alone, awaiting one."""
    if not tokenizer.chat_template:
        return "\n\n".join(f"Question: {question}\nAnswer: {answer or ''}".rstrip() for question, answer in turns)
    if any(answer is None for _, answer in turns):
        one = [[{"role": "user", "content": question}] for question, _ in turns]
        rendered = [tokenizer.apply_chat_template(m, tokenize=False, add_generation_prompt=True) for m in one]
        return "".join(map(str, rendered))
    messages = [
        {"role": role, "content": text or ""}
        for question, answer in turns
        for role, text in (("user", question), ("assistant", answer))
    ]
    return str(tokenizer.apply_chat_template(messages, tokenize=False))


def begin(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The token that a tokenizer puts before every text; none where it puts none."""
    first = tokenizer("")["input_ids"][:1]
    return list(first) if first == [tokenizer.bos_token_id] else []


def cut(texts: list[str], tokenizer: PreTrainedTokenizerBase, length: int, tokens: int) -> tuple[Contexts, int]:
    """Join documents with the end token and cut the stream into contexts, stopping once there are enough.

    Every context begins as texts do that the model reads: without the token that it was trained to find there, some
    models' streams are others.

    Returns:
        `[contexts, length]` int32 and how many documents went in.
    """
    end, start = tokenizer.eos_token_id, begin(tokenizer)
    need = (tokens // (length - 1) + 4) * length
    stream: list[int] = []
    used = 0
    for text in texts:
        ids = tokenizer(re.sub(r"\n{4,}", "\n\n\n", text), add_special_tokens=False)["input_ids"]
        # A chat template may have written it already.
        stream += [*(ids[1:] if start and ids[:1] == start else ids), end]
        used += 1
        if len(stream) >= need:
            break
    own = length - len(start)
    contexts = len(stream) // own
    cuts = np.asarray(stream[: contexts * own], dtype=np.int32).reshape(contexts, own)
    return np.insert(cuts, 0, start, axis=1) if start else cuts, used
