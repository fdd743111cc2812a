"""Reads everything that a study's forecasts are made of from its untrained model, before anything is trained."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

import numpy as np

from mixplan.domains import Domain, Row
from mixplan.errors import DataError
from mixplan.evaluate.answering import Answering
from mixplan.evaluate.preview import Plain, plain, preview
from mixplan.evaluate.scoring import entropies
from mixplan.features.neutral import neutral_rows
from mixplan.features.profile import Profile
from mixplan.features.queries import draw_demonstrations, in_front
from mixplan.mixture import messages
from mixplan.model import text_hash
from mixplan.runs import cache_folder, canonical_json, content_hash, store, unseal
from mixplan.study.forecasts.formulas import DomainReading, TargetReading
from mixplan.study.jobs import Bench
from mixplan.study.reading.pilots import rewarded_reading

VERSION = 1
"""Of what a preview holds; part of its key."""

WORD_ROWS = 200
"""Pool rows whose tokens are counted for the lexical similarity."""

ANSWER_TOKENS = 24
"""Longest own answer that a preview follows."""


def target_reading(bench: Bench, name: str) -> TargetReading:
    """Read a target's questions and answers behind its own rows; with GRPO behind the model's own answers too."""
    target = bench.taught(name).target
    spec = bench.study.spec.reading
    return TargetReading(
        own=profiled(bench, f"{name}: questions", target, target, spec.target_tokens),
        neutral=profiled(bench, f"{name}: neutral", target, target, spec.target_tokens, neutral=True),
        answers=profiled(bench, f"{name}: answers", target, target, spec.target_tokens, answers=True),
        words=words(bench, target.pool),
        rewarded=rewarded_reading(bench, name) if bench.study.rewarded else None,
    )


def domain_reading(bench: Bench, name: str) -> DomainReading:
    """Read a domain alone, behind its own rows, and behind every target's whose data it is not."""
    domain, spec = bench.domains[name], bench.study.spec.reading
    fronts = {t: bench.taught(t).target for t in bench.study.spec.targets if name in bench.taught(t).domains}
    bare = PlainReading(bench, domain)

    def behind(tokens: int, **kinds: bool) -> dict[str, Profile]:
        return {t: profiled(bench, f"{name} behind {t}", domain, front, tokens, **kinds) for t, front in fronts.items()}

    return DomainReading(
        own=profiled(bench, name, domain, domain, spec.query_tokens),
        behind=behind(spec.query_tokens),
        neutral=behind(spec.query_tokens, neutral=True),
        answers=behind(spec.answer_tokens, answers=True),
        neutral_answers=behind(spec.answer_tokens, answers=True, neutral=True),
        preview={t: previewed(bench, f"{name} behind {t}", bare, front) for t, front in fronts.items()},
        neutral_preview={
            t: previewed(bench, f"{name} behind neutral {t}", bare, front, neutral=True) for t, front in fronts.items()
        },
        answer_entropy=answer_entropy(bench, bare),
        words=words(bench, domain.pool),
        pool_rows=len(domain.pool),
    )


def profiled(bench: Bench, title: str, domain: Domain, front: Domain, tokens: int, **kinds: bool) -> Profile:
    """A domain's profile behind another one's demonstrations."""
    units = bench.reading(domain, front, tokens=tokens, **kinds).units
    bench.watcher.stage(title, sum(unit.tokens for unit in units), "tokens")
    return bench.profile(units)


def words(bench: Bench, rows: Sequence[Row]) -> Counter[int]:
    """How often each token stands in rows, question and answer."""
    found: Counter[int] = Counter()
    for row in rows[:WORD_ROWS]:
        text = "\n".join([*(turn["content"] for turn in messages(row)), row.answer])
        found.update(bench.model.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
    return found


class PlainReading:
    """A domain's bare questions, read only when some preview of them is not kept."""

    def __init__(self, bench: Bench, domain: Domain) -> None:
        self.bench, self.domain, self.rows = bench, domain, domain.query[: bench.study.spec.preview.rows]
        self._read: Plain | None = None

    def read(self) -> Plain:
        """The model's own answers and what it does with the questions alone."""
        if self._read is None:
            answering = Answering(self.bench.model)
            kept, answers = answering.answers(self.rows, answer_tokens=ANSWER_TOKENS, advance=lambda _: None)
            own = {row.id: answer.ids for row, answer in zip(kept, answers, strict=True)}
            self._read = plain(self.bench.model, self.rows, own, advance=lambda _: None)
        return self._read


def answer_entropy(bench: Bench, bare: PlainReading) -> float:
    """Mean entropy of the next token over the model's own answers to bare questions, from the cache or read now."""
    model = bench.model
    asked = [[row.id, row.prompt] for row in bare.rows]
    key = content_hash(VERSION, "entropy", model.fingerprint, text_hash(model), model.device.type, asked, ANSWER_TOKENS)
    place = cache_folder() / "previews" / key[:2] / f"{key}.json"
    if (kept := unseal(place)) is not None:
        return float(json.loads(kept))
    states = [item.states for item in bare.read().items.values()]
    found = float(np.mean([entropies(model, each).mean() for each in states])) if states else 0.0
    store(place, canonical_json(found).encode())
    return found


def previewed(
    bench: Bench, title: str, bare: PlainReading, front: Domain, *, neutral: bool = False
) -> dict[str, float]:
    """Mean changes that a target's demonstrations bring to a domain's answers, from the cache or read now.

    Args:
        bench: The study's model.
        title: What the watcher is told.
        bare: The domain's bare questions.
        front: The target.
        neutral: Whether neutral prose of the same length stands in the demonstrations' places.

    Raises:
        DataError: no query row of the domain fits the model's window behind the demonstrations.
    """
    spec, model = bench.study.spec.preview, bench.model
    fronts: Sequence[tuple[Row, ...]] = draw_demonstrations(
        front.demonstration, shots=spec.demonstrations, draws=spec.draws, seed=bench.study.spec.seeds[0]
    )
    if neutral:
        fronts = [neutral_rows(model, rows) for rows in fronts]
    shown = [in_front(rows, ()) for rows in fronts]
    asked = [[row.id, row.prompt, row.answer, row.options, row.gold] for row in bare.rows]
    key = content_hash(VERSION, model.fingerprint, text_hash(model), model.device.type, shown, asked, ANSWER_TOKENS)
    place = cache_folder() / "previews" / key[:2] / f"{key}.json"
    if (kept := unseal(place)) is not None:
        return dict(json.loads(kept))
    bench.watcher.stage(title, len(bare.rows), "rows")
    found = preview(model, bare.rows, fronts, before=bare.read(), advance=bench.watcher.advance)
    if not found.rows:
        raise DataError(
            f"{bare.domain.name}: none of its {len(bare.rows)} previewed rows fits the model's window of "
            f"{model.window} tokens behind {spec.demonstrations} demonstrations. Lower `preview.demonstrations` in the "
            "study, or give the target shorter rows."
        )
    # In the order in which they will be read back.
    means = {quantity: float(np.mean(values)) for quantity, values in sorted(found.values.items())}
    store(place, canonical_json(means).encode())
    return means
