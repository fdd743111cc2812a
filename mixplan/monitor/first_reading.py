"""Reads the untrained model row by row, as the training pays for it, with the weights that the training began with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object

from mixplan.evaluate.prompts import prompt_text
from mixplan.monitor.begin import Prepared, drift_features
from mixplan.monitor.live import settle, undisturbed
from mixplan.monitor.pace import Pace
from mixplan.monitor.points import gathered
from mixplan.monitor.row_sample import Rates, affordable, fewest, only, order
from mixplan.monitor.rows import Answers, Asked, Ids, Place, own_answers
from mixplan.monitor.start_weights import untrained
from mixplan.monitor.watch import Share, Watch


@dataclass
class FirstReading:
    """The untrained model's answers, reference and values, of as many rows as were read so far.

    Attributes:
        prepared: What may be measured.
        trainer: Whose model is at work.
        file: Where the weights of the beginning are.
        clock: Seconds.
        places: All rows in the order in which they are taken.
        tokens: What a measure reads of each.
        watch: What is filled.
        read: Rows that were read.
        answers: The untrained model's, of all processes.
        found: All processes' values.
        reused: Whether all answers are from the run's evaluation.
        rates: How long the larger of the pieces took for each token; None until one was read beside the first.
        pieces: How many there were.
    """

    prepared: Prepared
    trainer: Any
    file: Path
    clock: Callable[[], float] = time.monotonic
    places: list[Place] = field(init=False)
    tokens: list[int] = field(init=False)
    watch: Watch = field(init=False)
    read: int = 0
    answers: dict[Place, Ids] = field(default_factory=dict)
    found: Share = field(default_factory=Share)
    reused: bool = True
    rates: Rates | None = None
    pieces: int = 0
    _kept: dict[str, dict[str, Ids]] = field(default_factory=dict)
    _largest: int = 0

    def __post_init__(self) -> None:
        asked, state = self.prepared.asked, self.trainer.accelerator.state
        self.places = order(asked)
        self.tokens = [asked[name].tokens(row, self.prepared.tokens) for name, row in self.places]
        self.watch = Watch(asked, state.process_index, state.num_processes, self.places)

    @property
    def least(self) -> int:
        """Rows below which nothing is measured."""
        return fewest(self.prepared.asked)

    def wanted(self, pace: Pace, step: int, time: tuple[float, float]) -> int:
        """Rows that leave the training room for measures; 0 where there is none for the fewest.

        Args:
            pace: The training's.
            step: The present one.
            time: Seconds of training by itself, and of the monitor.
        """
        room = pace.cost * pace.whole(step, time[0]) - time[1]
        if self.rates is None:
            return self.least if 2 * self._fewest(pace, step, time[0]) <= room or not pace.known(step) else 0
        count = affordable(self.tokens, self.least, self.read, self.rates, room)
        if not count and 2 * self._largest < sum(self.tokens[: self.least]):
            # A small piece takes longer for each token than a measure does, so the next one is asked too.
            return self.least if affordable(self.tokens, self.least, self.read, self.rates, 2 * room) else 0
        return count

    def expected(self, pace: Pace, step: int, time: tuple[float, float]) -> float | None:
        """Seconds up to the end of the first measure; None where that is not known yet, endless where it is not made.

        Args:
            pace: The training's.
            step: The present one.
            time: Seconds of training by itself, and of the monitor.
        """
        count = self.wanted(pace, step, time)
        if not count:
            return float("inf")
        if self.rates is None or not pace.known(step):
            return None
        more = self.rates.beginning(sum(self.tokens[self.read : count]))
        return more + self.rates.measure(sum(self.tokens[:count]))

    def said(self) -> str:
        """What the fewest rows are expected to take, in words; nothing before that is known."""
        if self.rates is None:
            return ""
        more = self.rates.beginning(sum(self.tokens[self.read : self.least]))
        measure = self.rates.measure(sum(self.tokens[: self.least]))
        return f" (of {self.least} rows {measure:.3g} s, and {more:.3g} s before the first)"

    def advance(self, pace: Pace, step: int, time: Callable[[], tuple[float, float]]) -> int | None:
        """Read on piece by piece, as long as there is room for the next one; all processes must call this.

        A piece is as large as all before it, so that few are needed and each is expected by one of half its size.

        Args:
            pace: The training's.
            step: The present one.
            time: Says seconds of training by itself and of the monitor, the same to all processes.

        Returns:
            How many rows are measured from now on; None where too few were read yet.

        Raises:
            MixplanError: the weights of the beginning, or the SAE, cannot be used.
            RuntimeError: memory is out, or another process had a problem.
        """
        while True:
            training, spent = time()
            wanted = self.wanted(pace, step, (training, spent))
            sure = wanted == len(self.places) or pace.known(step)
            if self.rates is not None and self.read >= wanted > 0 and sure:
                return wanted
            count = min(max(wanted, self.least), 2 * self.read or self.watch.count)
            seconds = self._fewest(pace, step, training)
            if self.rates is not None:
                seconds = self.rates.beginning(sum(self.tokens[self.read : count]))
            room = pace.room(training, spent)
            if wanted == 0 or count <= self.read or seconds > room or room <= 0:
                return None
            self.extend(count)

    def _fewest(self, pace: Pace, step: int, training: float) -> float:
        """What reading the fewest rows is expected to take before any was: a third of training on as many.

        Backward passes take two thirds. It is room for what the first row alone brings with it: checks of the model,
        and the SAE.
        """
        args = self.trainer.args
        rows = int(args.train_batch_size * args.gradient_accumulation_steps) * self.watch.count
        return self.least * pace.whole(step, training) / (pace.steps if pace.known(step) else step) / rows / 3

    def extend(self, count: int) -> None:
        """Read the untrained model on rows up to one; all processes must call this.

        Every problem is one of all processes, so that none waits for another.

        Raises:
            RunError: the weights of the beginning cannot be brought back.
            RuntimeError: memory is out, or another process's was.
        """
        try:
            mine, reused, share, seconds = self._piece(self.places[self.read : count])
        except Exception as error:  # whatever it is, the other processes wait to hear of it
            gather_object([(str(error), {}, True, (0.0, 0.0, 0.0))])
            raise
        told = gather_object([(None, mine, reused, seconds)])
        if (others := [text for text, *_ in told if text is not None]) != []:
            raise RuntimeError(others[0])
        for _, theirs, all_reused, _ in told:
            self.answers |= theirs
            self.reused &= all_reused
        self.found.add(gathered(share))
        tokens, self.read = sum(self.tokens[self.read : count]), count
        self._time(tokens, [one for *_, one in told])

    def _piece(self, places: list[Place]) -> tuple[dict[Place, Ids], bool, Share, tuple[float, float, float]]:
        """This process's rows of a piece: answers, whether they were there, values; seconds it took in all and each."""
        model, began = self.prepared.model, self.clock()
        turns = {place: number % self.watch.count for number, place in enumerate(self.places)}
        mine = [place for place in places if turns[place] == self.watch.rank]
        outer: Any = self.trainer.accelerator.unwrap_model(self.trainer.model, keep_torch_compile=False)
        with untrained(outer, model.lm, self.file), undisturbed(self.trainer):
            if self.prepared.drift and self.watch.features is None:
                self.watch.features = drift_features(self.prepared.run, model)
            opened = self.clock()
            answers, reused = self._answered(mine)
            settle(model.device)
            answered = self.clock()
            share = self.watch.measure(model, first=with_answers(only(self.prepared.asked, mine), answers))
            settle(model.device)
            ended = self.clock()
        answering, reading = answered - opened, ended - answered
        return answers, reused, share, (self.clock() - began - answering - reading, answering, reading)

    def _answered(self, places: list[Place]) -> tuple[dict[Place, Ids], bool]:
        """Own answers of rows, and whether all are from the run's evaluation."""
        for name in {name for name, _ in places} - self._kept.keys():
            self._kept[name] = self.prepared.evaluated(name)
        found = {(name, row): self._kept[name][row] for name, row in places if row in self._kept[name]}
        lacking = [place for place in places if place not in found]
        asked, model = self.prepared.asked, self.prepared.model
        made = own_answers(
            model,
            {(name, row): asked[name].prompts[row] for name, row in lacking},
            {(name, row): prompt_text(model, asked[name].rows[row]) for name, row in lacking},
            self.prepared.tokens,
        )
        return {**found, **made}, not lacking

    def _time(self, tokens: int, seconds: list[tuple[float, float, float]]) -> None:
        """Take a piece's rates, those of the slowest process; the first piece's are of what is done only once."""
        self.pieces += 1
        if (self.pieces == 1 and self.read < len(self.places)) or tokens < self._largest:
            return
        opening, answering, reading = (max(values) for values in zip(*seconds, strict=True))
        self.rates, self._largest = Rates(answering / tokens, reading / tokens, opening), tokens

    def settle_on(self, count: int) -> dict[str, Asked]:
        """Have the first rows measured from now on; what was read of others goes."""
        places = set(self.places[:count])
        asked = only(self.prepared.asked, self.places[:count])
        self.watch.asked = with_answers(asked, self.answers)
        for held in (self.watch.before, self.watch.streams):
            for place in [place for place in held if place not in places]:
                del held[place]
        return dict(self.watch.asked)


def own_of(asked: Mapping[str, Asked]) -> Answers:
    """The untrained model's answers of rows that are measured."""
    return {name: {row: text.targets for row, text in part.own.items()} for name, part in asked.items()}


def with_answers(asked: Mapping[str, Asked], answers: Mapping[Place, Ids]) -> dict[str, Asked]:
    """Parts with the untrained model's answers."""
    return {
        name: part.answered({row: ids for (own, row), ids in answers.items() if own == name})
        for name, part in asked.items()
    }
