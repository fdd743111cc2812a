"""Holds what one process measures of the live model: its share of the rows, and the untrained model's reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from mixplan.errors import RunError
from mixplan.evaluate.reading import read_together
from mixplan.model import Model
from mixplan.monitor.reading import (
    Distribution,
    Features,
    distribution,
    divergence,
    quantity,
)
from mixplan.monitor.rows import Asked, Place, Scored, Text
from mixplan.runs import seal, unseal, write_atomic


@dataclass
class Share:
    """What a process found of its rows: each row's value and KL, and of each part the sum of drift and its tokens."""

    values: dict[Place, float] = field(default_factory=dict)
    kl: dict[Place, float] = field(default_factory=dict)
    drift: dict[str, tuple[float, int]] = field(default_factory=dict)

    def add(self, other: Share) -> None:
        """Take what was found of other rows in."""
        self.values |= other.values
        self.kl |= other.kl
        for name, (total, tokens) in other.drift.items():
            before, count = self.drift.get(name, (0.0, 0))
            self.drift[name] = (before + total, count + tokens)


@dataclass
class Watch:
    """The rows of one process, with the untrained model's distributions and features at its own answers.

    Attributes:
        asked: All parts' rows that are measured now, the same in every process.
        rank, count: Which of how many processes this is; rows go round.
        turns: All rows that were ever asked for, in order, the same in every process.
        features: What drift is read of; None where it is not.
        before: The untrained model's next-token distributions, by place.
        streams: Its features, `[tokens, features]`, by place.
    """

    asked: Mapping[str, Asked]
    rank: int
    count: int
    turns: Sequence[Place]
    features: Features | None = None
    before: dict[Place, Distribution] = field(default_factory=dict)
    streams: dict[Place, Tensor] = field(default_factory=dict)

    def mine(self, asked: Mapping[str, Asked]) -> tuple[list[tuple[Asked, Scored]], list[tuple[Place, Text]]]:
        """This process's rows to score, and its own answers with their places."""
        turns = {place: number % self.count for number, place in enumerate(self.turns)}
        parts = asked.items()
        scored = [(part, one) for name, part in parts for one in part.scored if turns[name, one.row.id] == self.rank]
        own = [((name, row), text) for name, part in parts for row, text in part.own.items()]
        return scored, [(place, text) for place, text in own if turns[place] == self.rank]

    def measure(self, model: Model, *, first: Mapping[str, Asked] | None = None) -> Share:
        """Measure this process's rows.

        Args:
            model: The live model, in evaluation mode.
            first: Rows of the untrained model, whose distributions and features are kept; None measures those that
                are asked for.
        """
        asked = self.asked if first is None else first
        scored, own = self.mine(asked)
        found, depth = Share(), None if self.features is None else self.features.sae.depth
        (logs,), read = read_together(
            model,
            [[(one.row, one.tree) for _, one in scored]],
            [(asked[part].rows[row], text.tree) for (part, row), text in own],
            advance=lambda _: None,
            depth=depth,
        )
        for (part, one), scores in zip(scored, logs, strict=True):
            values = [branch.log for branch in scores]
            found.values[part.name, one.row.id] = quantity(part.measure, one.row.gold, one.row.answer, values)
        for (place, text), (states,) in zip(own, read, strict=True):
            final, stream = (states, None) if depth is None else states.chunk(2, dim=1)
            if first is not None:
                self.before[place] = distribution(model, final)
            found.kl[place] = 0.0 if first is not None else divergence(model, self.before[place], final)
            if stream is not None:
                # A text's first token has a stream of another size.
                self.move(found, place, stream[1 if text.start == 1 else 0 :], first=first is not None)
        return found

    def move(self, found: Share, place: Place, stream: Tensor, *, first: bool) -> None:
        """Add how far the drift dimensions are from where they were: the sum of squares, over a text's tokens."""
        assert self.features is not None
        now = self.features.read(stream)
        if first:
            self.streams[place] = now.cpu()
        if not len(now):
            return  # a prompt of one token, whose answer is another one
        moved = float((now - self.streams[place].to(now.device)).square().sum())
        total, tokens = found.drift.get(place[0], (0.0, 0))
        found.drift[place[0]] = (total + moved, tokens + len(now))

    def keep(self, file: Path) -> None:
        """Keep the reference, for a training that is resumed."""
        tensors: dict[str, Tensor] = {}
        for number, (place, _) in enumerate(self.mine(self.asked)[1]):
            tensors |= {f"{number}.ids": self.before[place].ids, f"{number}.logs": self.before[place].logs}
            if self.features is not None:
                tensors[f"{number}.features"] = self.streams[place]
        write_atomic(file, seal(save({name: value.contiguous() for name, value in tensors.items()})))

    def restore(self, file: Path, remedy: str, *, drift: bool) -> None:
        """Take the reference back.

        Args:
            file: Where it was kept.
            remedy: How a person goes on without it.
            drift: Whether it has features.

        Raises:
            RunError: it is not there, or not whole.
        """
        data = unseal(file)
        try:
            tensors = {} if data is None else load(data)
            for number, (place, _) in enumerate(self.mine(self.asked)[1]):
                self.before[place] = Distribution(tensors[f"{number}.ids"], tensors[f"{number}.logs"])
                if drift:
                    self.streams[place] = tensors[f"{number}.features"]
        except (KeyError, SafetensorError) as error:
            raise RunError(
                f"{file}: what the untrained model gave at the beginning of this training is not there or not whole, "
                f"so a resumed training cannot be held against it. Resume it with as many processes as before. Else: "
                f"{remedy}"
            ) from error
