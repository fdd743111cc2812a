"""Scores opened domains without an SAE, by what the target's worked examples move in the model's answers and stream.

`preview_kl` is the mean over a domain's query rows of the KL divergence that the target's demonstrations bring to the
model's next tokens along its own answers: see `mixplan.evaluate.preview_kl`. `behind_answers_raw` is the mean over the
tokens of the rows' reference answers of the squared change that they bring to the residual stream: see
`mixplan.features.stream_shift`. Neither is an STS, and no features are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixplan.domains import Domain, Row
from mixplan.errors import DataError, MixplanError
from mixplan.evaluate.packing import scoring_way
from mixplan.evaluate.preview_kl import Moved, own_answers, preview_kl
from mixplan.features.forward import reading_way
from mixplan.features.queries import Reading, draw_demonstrations, in_front, plan_reading
from mixplan.features.stream_shift import StreamShift, depth_read, stream_shift
from mixplan.model import Checked, Model, slower, text_hash
from mixplan.model.device import threads
from mixplan.plan.conversations import conversations_as_read
from mixplan.plan.figures import describe_model, interval_of, mean_row_tokens
from mixplan.plan.loaded_alike import load_alike
from mixplan.reading.progress import Watcher
from mixplan.reading.tokenizer import keep_tokenizer, tokens_of
from mixplan.reading.workers import Workers, deal
from mixplan.recipe import LoadedRecipe, Recipe
from mixplan.runs import cache_folder, canonical_json, content_hash, store, unseal
from mixplan.saved import scores as saved
from mixplan.saved.scores import SCORE_KEYS
from mixplan.sts import DomainScores, ranking_stability, score_rows

VERSION = 1
"""Of what is kept of a domain; part of its key."""


@dataclass(frozen=True)
class Previewed:
    """What was read of one domain behind the target's demonstrations.

    Attributes:
        moved: By draw, how far the model's own answers moved.
        stream: By draw, how far the stream moved at the reference answers.
        answer_tokens: Tokens of its own answers that were followed.
        too_long: Rows whose question or answer does not fit the window.
    """

    moved: tuple[Moved, ...]
    stream: tuple[StreamShift, ...]
    answer_tokens: int
    too_long: int

    def to_bytes(self) -> bytes:
        """As kept."""
        stream = [[part.tokens.tolist(), part.squares.tolist()] for part in self.stream]
        values = {"moved": [vars(part) for part in self.moved], "stream": stream}
        return canonical_json(values | {"tokens": self.answer_tokens, "too_long": self.too_long}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Previewed:
        """What `to_bytes` kept."""
        values = json.loads(data)
        moved = [Moved(**{**part, "rows": tuple(part["rows"]), "kl": tuple(part["kl"])}) for part in values["moved"]]
        stream = [StreamShift(np.array(tokens), np.array(squares)) for tokens, squares in values["stream"]]
        return cls(tuple(moved), tuple(stream), int(values["tokens"]), int(values["too_long"]))


@dataclass(frozen=True)
class Previewer:
    """What reading without an SAE needs.

    Attributes:
        model: The model, loaded whole.
        depth: Blocks before the place where the stream is read.
        recipe: What is asked for.
        fronts: The draws of the target's demonstrations.
        watcher: Told of progress.
    """

    model: Model
    depth: int
    recipe: Recipe
    fronts: Sequence[tuple[Row, ...]]
    watcher: Watcher

    def rows(self, domain: Domain) -> Sequence[Row]:
        """The query rows that are read."""
        return domain.query[: self.recipe.sts.preview.rows]

    def place(self, domain: Domain, target: Domain) -> Path:
        """Where what was read of a domain is kept: by all that it depends on."""
        recipe = self.recipe
        asked = [[row.id, row.prompt, row.answer, row.rationale] for row in self.rows(domain)]
        shown = [in_front(front, ()) for front in self.fronts]
        key = content_hash(
            VERSION, self.model.fingerprint, text_hash(self.model), self.model.device.type, threads(), self.depth,
            asked, shown,
            recipe.sts.preview.model_dump(), recipe.sts.tokens_at_most,
            [target.fingerprint, recipe.drift.demonstrations, recipe.drift.draws, recipe.seed],
        )  # fmt: skip
        return cache_folder() / "previews" / key[:2] / f"{key}.json"

    def read(self, domain: Domain, target: Domain, title: str) -> Previewed:
        """Read a domain behind the target's demonstrations.

        Raises:
            DataError: nothing of it fits the model's window behind a demonstration.
        """
        rows, spec, model = self.rows(domain), self.recipe.sts.preview, self.model
        self.watcher.stage(f"{title}: the model's own answers", len(rows), "rows")
        answers = own_answers(model, rows, answer_tokens=spec.answer_tokens, advance=self.watcher.advance)
        self.watcher.stage(f"{title} behind the target's examples", 2 * len(answers), "rows")
        moved = preview_kl(model, rows, self.fronts, answers, advance=self.watcher.advance)
        reading = self.reading(rows, target)
        self.watcher.stage(f"{title}: its stream", reading.tokens, "tokens")
        stream = [stream_shift(model, self.depth, unit, on_tokens=self.watcher.advance) for unit in reading.units]
        held = [part for unit, part in zip(reading.units, stream, strict=True) if unit.demonstrations]
        if not any(part.rows for part in moved) or not any(part.tokens.sum() for part in held):
            raise DataError(
                f"{domain.name}: none of its {len(rows)} query rows fits the model's window of {model.window} tokens "
                "behind one of the target's worked examples. Shorten the target's or this domain's rows with a "
                "template, or choose a model with a longer window."
            )
        followed = sum(len(answers[row]) for part in moved for row in part.rows)
        left = len(rows) - sum(len(part.rows) for part in moved)
        return Previewed(tuple(moved), tuple(held), followed, left)

    def reading(self, rows: Sequence[Row], target: Domain) -> Reading:
        """The reference answers' tokens that are read, dealt to the draws."""
        drift = self.recipe.drift
        return plan_reading(
            self.model, rows, target.demonstration, tokens=self.recipe.sts.tokens_at_most, shots=drift.demonstrations,
            draws=len(self.fronts), seed=self.recipe.seed, answers=True,
        )  # fmt: skip


def measure_without_sae(
    loaded: LoadedRecipe, target: Domain, domains: Mapping[str, Domain], *, watcher: Watcher
) -> saved.Scores:
    """Load the model whole and score every domain behind the target's worked examples.

    Args:
        loaded: The recipe, whose `model.sae` is none.
        target: The opened target, whose demonstrations stand in front.
        domains: The opened domains.
        watcher: Told of progress.

    Raises:
        MixplanError: model or data cannot be used.
    """
    recipe = loaded.recipe
    require_rows(target, domains)
    model, depth, checked, warnings = made_ready(loaded, target, domains, watcher)
    fronts = draw_demonstrations(
        target.demonstration, shots=recipe.drift.demonstrations, draws=recipe.drift.draws, seed=recipe.seed
    )
    previewer = Previewer(model, depth, recipe, fronts, watcher)
    found = read_all(previewer, target, domains)
    scored = {name: score_of(part, recipe) for name, part in found.items()}
    key = SCORE_KEYS[recipe.sts.score]
    return saved.Scores(
        model=describe_model(model, checked),
        tokenizer=keep_tokenizer(model, (*target.parts, *domains.values())),
        sae=None,
        drift=None,
        sources={
            str(part.source): saved.SourceScores(features=[], in_target=0, query_tokens=0) for part in target.sources
        },
        domains={name: described(scored[name], found[name], model, domains[name]) for name in domains},
        ranking=saved.Ranking(
            stability=ranking_stability(scored, key),
            of="mean Spearman correlation of resampled scores with the reported ones",
        ),
        reading={"target": front_reading(model, fronts)}
        | {name: describe_reading(found[name], len(previewer.rows(domains[name])), recipe) for name in domains},
        warnings=[
            *warnings,
            *(line for name in domains for line in reading_warnings(domains[name], found[name], recipe)),
        ],
    )


def require_rows(target: Domain, domains: Mapping[str, Domain]) -> None:
    """Hold that there is something to read, and something to put in front of it.

    Raises:
        DataError: the target has no demonstration row, or a domain no query row.
    """
    if not target.demonstration:
        raise DataError(
            "target: it has no demonstration rows to put in front of the domains' questions. Raise "
            "`target.split.demonstration`."
        )
    for name, domain in domains.items():
        if not domain.query:
            raise DataError(f"domain '{name}' has no query rows; scores need at least one. Raise its `split.query`.")


def made_ready(
    loaded: LoadedRecipe, target: Domain, domains: Mapping[str, Domain], watcher: Watcher
) -> tuple[Model, int, Checked, list[str]]:
    """Load the model whole, refuse rows that the chat template refuses, and find out how the model can be read.

    Returns:
        The model, the blocks before the place where its stream is read, how it is read, and what a person should know.

    Raises:
        MixplanError: model or rows cannot be used.
    """
    spec = loaded.recipe.model
    watcher.say(f"loading {spec.name}; it has no SAE, so no features are read")
    model = load_alike(spec, Workers.here(), folder=loaded.folder(("model", "name")))
    warnings = conversations_as_read(loaded.recipe, model, target, domains)
    depth = depth_read(model)
    checked, scored = reading_way(model, depth), scoring_way(model)
    warnings += filter(None, [slower(model, checked, "read"), slower(model, scored, "scored")])
    for warning in warnings:
        watcher.say(warning)
    return model, depth, checked, warnings


def read_all(previewer: Previewer, target: Domain, domains: Mapping[str, Domain]) -> dict[str, Previewed]:
    """Read every domain, or find it in the cache; with several processes each reads its share, by their lengths.

    Raises:
        MixplanError: another process's readings did not arrive.
    """
    workers = Workers.here()
    places = {name: previewer.place(domain, target) for name, domain in domains.items()}
    lengths = [sum(len(text) for row in previewer.rows(one) for _, text in row.prompt) for one in domains.values()]
    ranks = deal(lengths, workers.count)
    for number, (name, place) in enumerate(places.items()):
        if ranks[number] == workers.rank and unseal(place) is None:
            title = f"reading {name} ({number + 1} of {len(places)})"
            store(place, previewer.read(domains[name], target, title).to_bytes())
    workers.wait()
    found = {}
    for name, place in places.items():
        data = unseal(place)
        if data is None:
            raise MixplanError(
                f"{place.parent}: another process's readings did not arrive. All processes must share one cache "
                "folder: set MIXPLAN_CACHE to a shared one."
            )
        # Read back, so that a plan's bytes do not tell whether its scores were measured or stood.
        found[name] = Previewed.from_bytes(data)
    return found


def score_of(part: Previewed, recipe: Recipe) -> DomainScores:
    """Both scores of one domain, with intervals over draws and rows."""
    kl = [(np.array(moved.kl), np.ones(len(moved.kl))) for moved in part.moved]
    stream = [(moved.squares, moved.tokens) for moved in part.stream]
    return score_rows(
        {"preview_kl": kl, "behind_answers_raw": stream}, resamples=recipe.sts.resamples, seed=recipe.seed
    )


def described(scored: DomainScores, part: Previewed, model: Model, domain: Domain) -> saved.DomainScores:
    """One domain's scores, for the plan."""
    values = {name: interval_of(score) for name, score in scored.scores.items()}
    return saved.DomainScores.model_validate(
        {**values, "query_tokens": part.answer_tokens, "row_tokens_mean": mean_row_tokens(model, domain), "why": []}
    )


def front_reading(model: Model, fronts: Sequence[tuple[Row, ...]]) -> saved.Reading:
    """What of the target stands in front of the domains' questions; nothing of it is read by itself."""
    tokens = [sum(tokens_of(model, row) for row in front) for front in fronts]
    return saved.Reading(
        query_tokens=0,
        wanted_tokens=0,
        query_rows=0,
        draws=len(fronts),
        context_tokens_mean=sum(tokens) / len(tokens),
        dropped_demonstrations=0,
        too_long=0,
    )


def describe_reading(part: Previewed, rows: int, recipe: Recipe) -> saved.Reading:
    """What was read of a domain: tokens of its own answers, behind how much of the target."""
    read = sum(len(moved.rows) for moved in part.moved)
    return saved.Reading(
        query_tokens=part.answer_tokens,
        wanted_tokens=rows * recipe.sts.preview.answer_tokens,
        query_rows=read,
        draws=len(part.moved),
        context_tokens_mean=sum(moved.context_tokens * len(moved.rows) for moved in part.moved) / read,
        dropped_demonstrations=sum(moved.dropped for moved in part.moved),
        too_long=part.too_long,
    )


def reading_warnings(domain: Domain, part: Previewed, recipe: Recipe) -> list[str]:
    """What the person should know about rows that were not there or did not fit, and demonstrations dropped."""
    wanted, there = recipe.sts.preview.rows, len(domain.query)
    read, dropped = sum(len(moved.rows) for moved in part.moved), sum(moved.dropped for moved in part.moved)
    found = []
    if there < wanted:
        found.append(
            f"{domain.name}: it has {there} of the {wanted} query rows asked for (`sts.preview.rows`); raise its "
            "`split.query`, or give it more rows, for narrower intervals."
        )
    if read == 1:
        found.append(
            f"{domain.name}: its score rests on one query row, so its interval is no more than that row's value; raise "
            "`sts.preview.rows` and its `split.query` to read more rows."
        )
    if dropped:
        found.append(
            f"{domain.name}: {dropped} of the target's worked examples did not fit the model's window in front of its "
            "questions and were left out whole."
        )
    if part.too_long:
        found.append(
            f"{domain.name}: {part.too_long} of its rows were left out: their question does not fit the model's window "
            "behind a worked example of the target, or the model answers it with nothing."
        )
    return found
