"""Offers a callback of transformers' trainers that measures a plan's domains while a model trains."""

from __future__ import annotations

import importlib
import logging
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState

from mixplan.errors import MixplanError, RunError
from mixplan.monitor import closing, resume
from mixplan.monitor.begin import Planned, Prepared, anew, part_of, prepare
from mixplan.monitor.choice import FOLDER, chosen, keep_candidates
from mixplan.monitor.first_reading import FirstReading, own_of
from mixplan.monitor.live import settle, undisturbed
from mixplan.monitor.pace import Pace
from mixplan.monitor.points import gathered, label_of, log, point_of, said, settled
from mixplan.monitor.row_sample import said_rows
from mixplan.monitor.rows import keep_answers
from mixplan.monitor.start_weights import FILE, keep_weights, kept_start
from mixplan.monitor.watch import Share, Watch
from mixplan.saved.trajectory import (
    OTHERS,
    Clock,
    End,
    Failed,
    Kept,
    Point,
    Trajectory,
    read_trajectory,
    write_trajectory,
)

LOG = logging.getLogger("mixplan.monitor")
FAILURES = (MixplanError, RuntimeError)
"""What a measure may fail with; torch says by RuntimeError that memory is out."""


class DomainMonitor(TrainerCallback):
    """Measures the plan's domains every so many steps, within any trainer of transformers or TRL.

    Give it to the trainer by `trainer.add_callback(DomainMonitor("runs/mine", trainer))`. Each measure goes to the
    trainer's trackers and log as `domain/NAME/kl`, `domain/NAME/QUANTITY` and `domain/NAME/drift`, and to
    `trajectory.jsonl` in the run folder, from which `mixplan report` draws it.

    Attributes:
        folder: Where the trajectory is kept: `monitored/NAME` of the run folder.
        trajectory: What was measured so far.
        stopped: Why the training was stopped; None where it was not.
        kept: The checkpoint that was chosen, once training has ended; None without `keep: best`.
        say: Is told each measure in a sentence, where it is set.
        clock: Says seconds, by which all time is counted; the machine's own.
    """

    def __init__(self, run: str | Path, trainer: Trainer, *, name: str | None = None, **settings: Any) -> None:
        """Prepare to measure; nothing is read before training begins.

        Args:
            run: A planned run's folder.
            trainer: The trainer.
            name: What the trajectory is called; the name of the trainer's output folder when not given.
            settings: Keys of the recipe's `evaluate.during`, in their place: `every`, `rows`, `target_rows`,
                `tokens`, `cost`, `drift`, `stop={"worst_kl": 0.2}`, `keep="best"`.

        Raises:
            RecipeError: a setting is unknown or has a wrong value.
            RunError: the name cannot be a folder's.
        """
        self.run, self.trainer = Path(run), trainer
        self.during = settled(self.run, settings)
        if self.during.drift:
            importlib.import_module(
                "mixplan.sae"
            )  # loads SAELens: while the training is at work it would be on its time
        label = name or label_of(Path(str(trainer.args.output_dir)))
        self.folder = self.run / OTHERS / label
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", label):
            raise RunError(
                f"DomainMonitor: the name {label!r} cannot name a folder. Give another one as `name`: at "
                "most 100 letters, digits, `_`, `.` or `-`, the first a letter or digit."
            )
        self.trajectory: Trajectory | None = None
        self.stopped: str | None = None
        self.kept: Kept | None = None
        self.say: Callable[[str], None] | None = None
        self.clock: Callable[[], float] = time.monotonic
        self._prepared: Prepared | None = None
        self._first: FirstReading | None = None
        self._watch: Watch | None = None
        self._pace = Pace.of(self.during.cost, self.during.every, 1)
        self._began = self._before = 0.0
        self._measuring: float | None = None
        self._told = False

    @property
    def seconds(self) -> float:
        """Since the first start, over all starts, measuring included."""
        return self._before + self.clock() - self._began

    @property
    def spent(self) -> float:
        """Seconds of them that the monitor took: its start, the untrained model's reading, measures, and deciding."""
        return self._pace.spent + (0.0 if self._measuring is None else self.clock() - self._measuring)

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002
        """Refuse what cannot be measured and keep the weights of the beginning, or take up where a training was.

        Raises:
            MixplanError: the run, the model or the SAE cannot be used.
        """
        self._began = self._measuring = self.clock()
        self._before, step = 0.0, int(state.global_step)
        self._pace = Pace.of(self.during.cost, self.during.every, int(state.max_steps))
        self.stopped = self.kept = self._first = self._watch = None
        self._told = False
        with undisturbed(self.trainer):
            run, start = Planned.of(self.run), kept_start(self.folder / FILE) if step else None
            self._prepared = prepare(run, self.trainer, self.during, steps=self._pace.steps, start=start)
        if step:
            self._resume(step)
        else:
            self._start()
        settle(self._prepared.model.device)
        self._rest(step)
        control.should_training_stop |= self.stopped is not None

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002
        """Read the untrained model, or measure, where it is due and its time allows; stop where the recipe says so."""
        step = int(state.global_step)
        if self._prepared is None or not (self._pace.due(step) or self._pace.first is None):
            return
        settle(self._prepared.model.device)
        self._measuring = self.clock()
        training, spent = self._time()
        if self._pace.first is None:
            self._pace.first = (step, training)
        if self._pace.due(step):
            room = self._pace.room(training, spent)
            if self._first is not None:
                self._read(step)
                room = self._pace.room(*self._time())
            if self._watch is not None and not self._pace.turn(step, self._last(), *self._time()):
                self._pace.left_out += 1
            elif self._watch is not None and self._pace.estimate <= room:
                began = self.clock()
                if self._measure(step):
                    self._act(control)
                settle(self._prepared.model.device)
                self._pace.estimate = max(gather_object([self.clock() - began]))
            elif self._prepared is not None:
                self._leave_out(step, training)
        self._rest(step)

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002
        """Write down the time up to a checkpoint, for a training that goes on from it."""
        if self._prepared is not None:
            self._rest(int(state.global_step))

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002
        """Write down how it ended, what was left out, and which checkpoint was chosen."""
        if self.trajectory is None:
            return
        self._end(int(state.global_step), self.seconds, self._pace.spent)
        for sentence in [*self.warnings(), *self.notes()]:
            LOG.warning(sentence)
        self._tell(closing.summary(self.trajectory, self.during.cost))

    def had_stopped(self, step: int) -> bool:
        """Whether an earlier start of the training was stopped at a step, from which it would go on now."""
        self.trajectory = read_trajectory(self.folder)
        if self.trajectory is None or not self.trajectory.points:
            return False
        self.trajectory = self.trajectory.up_to(step)
        self.stopped = self._reason()
        return self.stopped is not None and self.trajectory.points[-1].step == step

    def conclude(self, step: int) -> None:
        """Write down the end of a training whose last step an earlier start has made."""
        self.trajectory = read_trajectory(self.folder)
        if self.trajectory is not None:
            self.trajectory = self.trajectory.up_to(step)
            self.stopped = self._reason()
            self._pace = Pace.of(self.during.cost, self.during.every, self.trajectory.begin.steps)
            self._pace.left_out = self._left_out(step)
            self._end(step, *self.trajectory.time)

    def clear(self) -> None:
        """Remove what only a training that goes on needs: checkpoints, and what is kept of the untrained model."""
        shutil.rmtree(self.folder / FOLDER, ignore_errors=True)
        for path in (self.folder / resume.ANSWERS, self.folder / FILE, *self.folder.glob("reference-*.safetensors")):
            path.unlink(missing_ok=True)

    def _end(self, step: int, seconds: float, spent: float) -> None:
        """Choose among the checkpoints where that is asked for, and write the last line."""
        assert self.trajectory is not None
        if self.during.keep == "best" and self.trajectory.points:
            self.kept = chosen(self.trajectory, self.folder)
        left_out, stopped = self._pace.left_out, self.stopped
        end = End(step=step, seconds=seconds, spent=spent, left_out=left_out, stopped=stopped, kept=self.kept)
        self.trajectory = replace(self.trajectory, end=end)
        self._write()

    def notes(self) -> list[str]:
        """What was done to the training: that it was stopped, and which step's model was chosen."""
        return [] if self.trajectory is None else closing.notes(self.trajectory, self.during.keep)

    def warnings(self) -> list[str]:
        """What a person should know of a training that has ended."""
        return [] if self.trajectory is None else closing.warnings(self.trajectory, self.during.cost)

    def _time(self) -> tuple[float, float]:
        """Seconds of training by itself and of the monitor, of the process that has the fewest, and of the most."""
        spent = self.spent
        told = gather_object([(self.seconds - spent, spent)])
        return min(training for training, _ in told), max(spent for _, spent in told)

    def _rest(self, step: int) -> None:
        """Write the time down, and leave the clock to the training."""
        assert self.trajectory is not None
        clock = Clock(step=step, seconds=self.seconds, spent=self.spent, estimate=self._pace.estimate)
        self.trajectory = replace(self.trajectory, clock=clock)
        self._write()
        self._pace.spent, self._measuring = self.spent, None

    def _start(self) -> None:
        """Keep the weights of the beginning; the model is read once the training has paid for it."""
        assert self._prepared is not None
        accelerator = self.trainer.accelerator
        if accelerator.is_main_process:
            self.clear()
        accelerator.wait_for_everyone()
        if accelerator.is_local_main_process:
            outer = accelerator.unwrap_model(self.trainer.model, keep_torch_compile=False)
            keep_weights(outer, self._prepared.start, self.folder / FILE)
        accelerator.wait_for_everyone()
        self.trajectory = Trajectory(self._prepared.begin)
        self._tell(*closing.unchoosable(self._prepared.begin, self.during.keep))
        self._first = FirstReading(self._prepared, self.trainer, self.folder / FILE, self.clock)

    def _resume(self, step: int) -> None:
        """Go on with what was measured up to a step.

        Raises:
            RunError: nothing was, or other rows were.
        """
        prepared, remedy = self._prepared, anew(self.run, self.folder)
        assert prepared is not None
        self.trajectory = resume.earlier(self.folder, prepared, step, remedy)
        self._before, self._pace.spent = self.trajectory.time
        self._pace.left_out = self._left_out(step)
        if not self.trajectory.points:
            self._first = FirstReading(prepared, self.trainer, self.folder / FILE, self.clock)
            return
        self._watch = resume.as_measured(self.folder, prepared, self.trainer, self.trajectory, remedy)
        self._pace.estimate = self.trajectory.clock.estimate if self.trajectory.clock else 0.0
        self.stopped = self._reason()

    def _left_out(self, step: int) -> int:
        """Measures that earlier starts left out up to a step; every other place has a point or says why it has none."""
        assert self.trajectory is not None
        made = max(0, len(self.trajectory.points) - 1) + len(self.trajectory.failed)
        return max(0, self._pace.places(step) - made)

    def _read(self, step: int) -> None:
        """Read the untrained model on as many rows as there is room for; with enough of them, measures begin."""
        assert self._first is not None
        try:
            rows = self._first.advance(self._pace, step, self._time)
        except FAILURES as error:
            self._fail(step, f"{type(error).__name__}: {' '.join(str(error).split())[:300]} Nothing more is measured.")
            self._prepared = self._first = None
            return
        if rows is not None:
            self._begin(rows)

    def _begin(self, count: int) -> None:
        """Measure the first rows from now on; the first point is of the untrained model."""
        prepared, first = self._prepared, self._first
        assert prepared is not None
        assert first is not None
        assert first.rates is not None
        assert self.trajectory is not None
        asked = first.settle_on(count)
        self._watch, self._first = first.watch, None
        self._pace.estimate = first.rates.measure(sum(first.tokens[:count]))
        told = []
        if count < len(first.places):
            told = [
                f"Only the first {said_rows(asked, prepared.asked)} evaluation rows of each part are measured while it "
                f"trains, to keep measuring within {100 * self.during.cost:.3g} % of the training's time "
                "(evaluate.during.cost)."
            ]
        parts = {name: part_of(part) for name, part in asked.items()}
        changes = {"parts": parts, "reused_answers": first.reused, "warnings": [*prepared.begin.warnings, *told]}
        self.trajectory = replace(self.trajectory, begin=prepared.begin.model_copy(update=changes))
        self._watch.keep(resume.reference(self.folder, self.trainer))
        if self.trainer.accelerator.is_main_process:
            keep_answers(self.folder / resume.ANSWERS, own_of(asked), prepared.tokens)
        self._tell(*told)
        self._add(0, first.found)
        self.trainer.accelerator.wait_for_everyone()
        (self.folder / FILE).unlink(missing_ok=True)

    def _leave_out(self, step: int, training: float) -> None:
        """Count a measure that is left out; say so once, and when the next is expected, as soon as that is known."""
        self._pace.left_out += 1
        seconds = self._pace.estimate if self._first is None else self._first.expected(self._pace, step, self._time())
        if self._told or seconds is None:
            return
        self._told = True
        following = self._pace.next_after(step, training, self.spent + seconds)
        when = "none before the training ends" if following is None else f"the next at about step {following}"
        takes = "" if self._first is None else self._first.said()
        self._tell(
            f"Step {step} is not measured: measuring{takes} is expected to take more than "
            f"{100 * self.during.cost:.3g} % of the training's time so far (evaluate.during.cost). "
            f"At this speed, {when}."
        )

    def _tell(self, *sentences: str) -> None:
        """Say sentences at once."""
        for sentence in sentences:
            LOG.warning(sentence)
            if self.say is not None:
                self.say(sentence)

    def _last(self) -> int:
        """The step at which something was last measured, or was to be."""
        assert self.trajectory is not None
        points, failed = self.trajectory.points, self.trajectory.failed
        return max([point.step for point in points] + [one.step for one in failed])

    def _measure(self, step: int) -> bool:
        """Add a point, or say why there is none; all processes get the same. Returns whether there is one."""
        assert self._prepared is not None
        assert self._watch is not None
        share, problem = Share(), ""
        try:
            with undisturbed(self.trainer):
                share = self._watch.measure(self._prepared.model)
        except FAILURES as error:
            problem = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        problems = [one for one in gather_object([problem]) if one]
        if not problems:
            self._add(step, gathered(share))
            return True
        self._fail(step, problems[0])
        return False

    def _fail(self, step: int, why: str) -> None:
        """Note that a step could not be measured."""
        assert self.trajectory is not None
        self.trajectory = replace(self.trajectory, failed=(*self.trajectory.failed, Failed(step=step, why=why)))
        LOG.warning("step %d could not be measured, and training goes on: %s", step, why)
        self._write()

    def _add(self, step: int, share: Share) -> None:
        """Add a point of all processes' values, and log it."""
        assert self.trajectory is not None
        parts = {name: point_of(name, share, self.trajectory) for name in self.trajectory.begin.parts}
        point = Point(step=step, seconds=self.seconds, spent=self.spent, parts=parts)
        self.trajectory = replace(self.trajectory, points=(*self.trajectory.points, point))
        self._write()
        log(point, self.trajectory, self.trainer)
        if self.say is not None:
            self.say(said(point, self.trajectory))

    def _act(self, control: TrainerControl) -> None:
        """Stop, and keep checkpoints, as the recipe says, by what all processes know."""
        assert self.trajectory is not None
        if self.during.keep == "best":
            keep_candidates(self.trajectory, self.folder, self.trainer)
        self.stopped = self._reason()
        if self.stopped is not None:
            control.should_training_stop = control.should_save = True

    def _reason(self) -> str | None:
        """Why the training stops at the newest point; None where it does not."""
        assert self.trajectory is not None
        limit, points = self.during.stop.worst_kl, self.trajectory.points
        if limit is None or not points or points[-1].worst[1] <= limit:
            return None
        point, (domain, worst) = points[-1], points[-1].worst
        return (
            f"Training was stopped at step {point.step} of {self.trajectory.begin.steps}: the mean KL of {domain} is "
            f"{worst:.3g} nats per token, above evaluate.during.stop.worst_kl, {limit:g}."
        )

    def _write(self) -> None:
        assert self.trajectory is not None
        if self.trainer.accelerator.is_main_process:
            write_trajectory(self.trajectory, self.folder)
