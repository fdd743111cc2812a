"""Offers a callback of transformers' trainers that measures a plan's domains while a model trains."""

from __future__ import annotations

import logging
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState

from mixplan.errors import MixplanError, RunError
from mixplan.monitor.begin import Planned, Prepared, anew, prepare
from mixplan.monitor.choice import FOLDER, chosen, keep_candidates
from mixplan.monitor.live import settle, undisturbed
from mixplan.monitor.pace import Pace
from mixplan.monitor.points import gathered, label_of, logged, point_of, said, settled
from mixplan.monitor.row_sample import as_measured, fewer, remaining, share_of_rows, with_rows
from mixplan.monitor.rows import keep_answers
from mixplan.monitor.watch import Share
from mixplan.saved.trajectory import (
    OTHERS,
    End,
    Failed,
    Kept,
    Point,
    Trajectory,
    read_trajectory,
    write_trajectory,
)

LOG = logging.getLogger("mixplan.monitor")
FIRST_FIT = 2
"""The first step after which a step's time is known well enough to give up rows for it: the first one is slow."""
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
        self._prepared: Prepared | None = None
        self._pace = Pace.of(self.during.cost, self.during.every, 1)
        self._began = self._before = self._measuring = 0.0
        self._fits = False

    @property
    def seconds(self) -> float:
        """Since the first start, over all starts, measuring included."""
        return self._before + time.monotonic() - self._began

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002
        """Read the untrained model, or take up where a resumed training was.

        Raises:
            MixplanError: the run, the model or the SAE cannot be used.
        """
        self._began, self._before = time.monotonic(), 0.0
        self._measuring, self._fits = self._began, False
        self._pace = Pace.of(self.during.cost, self.during.every, int(state.max_steps))
        self.stopped = self.kept = None
        with undisturbed(self.trainer):
            run = Planned.of(self.run)
            resumed = int(state.global_step) > 0
            kept_at = self._answers() if resumed else None
            self._prepared = prepare(run, self.trainer, self.during, steps=int(state.max_steps), kept_at=kept_at)
            if resumed:
                self._resume(int(state.global_step))
            else:
                self._start()
        settle(self._prepared.model.device)
        self._pace.spent += time.monotonic() - self._began
        control.should_training_stop |= self.stopped is not None

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002
        """Measure where it is due and its time allows, and stop where the recipe says so."""
        step = int(state.global_step)
        if self._prepared is None or not self._pace.due(step):
            return
        settle(self._prepared.model.device)
        began = self._measuring = time.monotonic()
        told = gather_object([(self.seconds - self._pace.spent, self._pace.spent, self._pace.estimate)])
        training, spent, estimate = min(t for t, _, _ in told), max(s for _, s, _ in told), max(e for _, _, e in told)
        share = share_of_rows(self._pace, step=step, training=training, spent=spent, estimate=estimate)
        if share < 1 and step >= FIRST_FIT and self._fits is False:
            estimate *= self._fewer(share)
        self._fits |= step >= FIRST_FIT
        if self._pace.affords(training, spent, estimate):
            if self._measure(step):
                self._act(control)
            settle(self._prepared.model.device)
            self._pace.estimate = time.monotonic() - began
        elif self._pace.left_out == 1:
            self._later(step, training)
        self._pace.spent += time.monotonic() - began

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002
        """Write down how it ended, what was left out, and which checkpoint was chosen."""
        if self.trajectory is None:
            return
        self._end(int(state.global_step), self.seconds, self._pace.spent)
        for sentence in [*self.warnings(), *self.notes()]:
            LOG.warning(sentence)

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
        if self.trajectory is not None and self.trajectory.points:
            self.trajectory = self.trajectory.up_to(step)
            self.stopped, last = self._reason(), self.trajectory.points[-1]
            self._pace = Pace.of(self.during.cost, self.during.every, self.trajectory.begin.steps)
            self._pace.left_out = self._left_out(step)
            self._end(step, last.seconds, last.spent)

    def clear(self) -> None:
        """Remove what only a training that goes on needs: checkpoints, the untrained model's answers and reference."""
        shutil.rmtree(self.folder / FOLDER, ignore_errors=True)
        self._answers().unlink(missing_ok=True)
        for path in self.folder.glob("reference-*.safetensors"):
            path.unlink(missing_ok=True)

    def _end(self, step: int, seconds: float, spent: float) -> None:
        """Choose among the checkpoints where that is asked for, and write the last line."""
        assert self.trajectory is not None
        if self.during.keep == "best":
            self.kept = chosen(self.trajectory, self.folder)
        end = End(
            step=step,
            seconds=seconds,
            spent=spent,
            left_out=self._pace.left_out,
            stopped=self.stopped,
            kept=self.kept,
        )
        self.trajectory = Trajectory(self.trajectory.begin, self.trajectory.points, self.trajectory.failed, end)
        self._write()

    def notes(self) -> list[str]:
        """What was done to the training: that it was stopped, and which step's model was chosen."""
        end = None if self.trajectory is None else self.trajectory.end
        if end is None:
            return []
        found = [] if end.stopped is None else [end.stopped]
        if end.kept is not None:
            found.append(end.kept.why)
            if end.kept.step < end.step:
                found[-1] += f" The training went on to step {end.step}; what it read is counted up to there."
        elif self.during.keep == "best":
            found.append(
                "No step was measured whose model could be chosen, so the last one is kept although "
                "evaluate.during.keep is best."
            )
        return found

    def warnings(self) -> list[str]:
        """What a person should know of a training that has ended."""
        if self.trajectory is None or self.trajectory.end is None:
            return []
        end, told = self.trajectory.end, list(self.trajectory.begin.warnings)
        told += [f"Step {one.step} was not measured: {one.why}" for one in self.trajectory.failed]
        if end.left_out:
            training = max(end.seconds - end.spent, 1e-9)
            first = (
                ""
                if self.trajectory.begin.reused_answers
                else (", or measure the run before training (`mixplan eval`), so that its answers are there")
            )
            told.append(
                f"While it trained, {len(self.trajectory.points) - 1} measures were made and {end.left_out} left out, "
                f"where measuring was expected to go beyond {100 * self.during.cost:.3g} % of the training's time "
                f"(evaluate.during.cost). With what the beginning took, it has taken {end.spent:.3g} s, "
                f"{100 * end.spent / training:.1f} % of the training's {training:.3g} s. For more measures, raise "
                f"evaluate.during.cost, lower evaluate.during.rows or tokens{first}."
            )
        return told

    def _start(self) -> None:
        """Read the untrained model: its reference, and the first point."""
        assert self._prepared is not None
        began = time.monotonic()
        if self.trainer.accelerator.is_main_process:
            self.clear()
        self.trainer.accelerator.wait_for_everyone()
        self.trajectory = Trajectory(self._prepared.begin)
        share = self._prepared.watch.measure(self._prepared.model, first=True)
        self._add(0, gathered(share))
        self._prepared.watch.keep(self._reference())
        if self.trainer.accelerator.is_main_process:
            keep_answers(self._answers(), self._prepared.answers, self._prepared.tokens)
        self._pace.estimate = time.monotonic() - began

    def _resume(self, step: int) -> None:
        """Go on with what was measured up to a step.

        Raises:
            RunError: nothing was, or other rows were.
        """
        assert self._prepared is not None
        earlier = read_trajectory(self.folder)
        if earlier is None or earlier.begin.asked != self._prepared.begin.asked or not earlier.points:
            raise RunError(
                f"{self.folder}: the training goes on from step {step}, but what the untrained model gave at its "
                "beginning was not kept here, or for other rows, answers or features. "
                f"{anew(self.run, self.folder)}"
            )
        self._prepared.watch.restore(self._reference(), anew(self.run, self.folder))
        self.trajectory = earlier.up_to(step)
        self._prepared.watch.asked = as_measured(self._prepared.watch.asked, self.trajectory)
        last = self.trajectory.points[-1]
        self._before, self._pace.spent = last.seconds, last.spent
        self._pace.left_out = self._left_out(step)
        self._pace.estimate = last.spent / len(self.trajectory.points)
        self.stopped = self._reason()
        self._write()

    def _left_out(self, step: int) -> int:
        """Measures that earlier starts left out up to a step; every other place has a point or says why it has none."""
        assert self.trajectory is not None
        made = len(self.trajectory.points) - 1 + len(self.trajectory.failed)
        return max(0, self._pace.places(step) - made)

    def _fewer(self, share: float) -> float:
        """Go on with the first rows of each part alone, where no step has been measured yet.

        Returns:
            The share of the rows that is left.
        """
        assert self._prepared is not None
        assert self.trajectory is not None
        if len(self.trajectory.points) > 1:
            return 1.0
        watch = self._prepared.watch
        cut = fewer(watch.asked, share)
        left = remaining(watch.asked, cut)
        if left == 1:
            return 1.0
        watch.asked = cut
        rows = sorted({len(part.scored) for part in watch.asked.values()})
        sentence = (
            f"Only the first {'' if rows[0] == rows[-1] else f'{rows[0]} to '}{rows[-1]} evaluation rows of each part "
            f"are measured while it trains, to keep measuring within {100 * self.during.cost:.3g} % of the training's "
            "time (evaluate.during.cost)."
        )
        self.trajectory = with_rows(self.trajectory, watch.asked, sentence)
        self._pace.estimate *= left
        self._write()
        self._tell(sentence)
        return left

    def _later(self, step: int, training: float) -> None:
        """Say that a measure was left out for the first time, and when the next is expected."""
        following = self._pace.next_after(step, training)
        when = "none before the training ends" if following is None else f"the next at about step {following}"
        self._tell(
            f"Step {step} is not measured: measuring is expected to take more than {100 * self.during.cost:.3g} % of "
            f"the training's time so far (evaluate.during.cost). At this speed, {when}."
        )

    def _tell(self, sentence: str) -> None:
        """Say a sentence at once."""
        LOG.warning(sentence)
        if self.say is not None:
            self.say(sentence)

    def _measure(self, step: int) -> bool:
        """Add a point, or say why there is none; all processes get the same. Returns whether there is one."""
        assert self._prepared is not None
        share, problem = Share(), ""
        try:
            with undisturbed(self.trainer):
                share = self._prepared.watch.measure(self._prepared.model)
        except FAILURES as error:
            problem = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        problems = [one for one in gather_object([problem]) if one]
        if not problems:
            self._add(step, gathered(share))
            return True
        assert self.trajectory is not None
        failed = (*self.trajectory.failed, Failed(step=step, why=problems[0]))
        self.trajectory = Trajectory(self.trajectory.begin, self.trajectory.points, failed)
        LOG.warning("step %d could not be measured, and training goes on: %s", step, problems[0])
        self._write()
        return False

    def _add(self, step: int, share: Share) -> None:
        """Add a point of all processes' values, and log it."""
        assert self.trajectory is not None
        parts = {name: point_of(name, share, self.trajectory) for name in self.trajectory.begin.parts}
        spent = self._pace.spent + time.monotonic() - self._measuring
        point = Point(step=step, seconds=self.seconds, spent=spent, parts=parts)
        self.trajectory = Trajectory(self.trajectory.begin, (*self.trajectory.points, point), self.trajectory.failed)
        self._write()
        self._log(point)
        if self.say is not None:
            self.say(said(point, self.trajectory))

    def _log(self, point: Point) -> None:
        """Hand a point to the trainer's log and trackers.

        TRL's own `log` would put its running averages in and begin them anew; and any log of a step takes the place of
        the one that is due.
        """
        assert self.trajectory is not None
        due = self.trainer.control.should_log
        Trainer.log(self.trainer, logged(point, self.trajectory))
        self.trainer.control.should_log = due

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
        limit, point = self.during.stop.worst_kl, self.trajectory.points[-1]
        domain, worst = point.worst
        if limit is None or worst <= limit:
            return None
        return (
            f"Training was stopped at step {point.step} of {self.trajectory.begin.steps}: the mean KL of {domain} is "
            f"{worst:.3g} nats per token, above evaluate.during.stop.worst_kl, {limit:g}."
        )

    def _answers(self) -> Path:
        return self.folder / "answers.json"

    def _reference(self) -> Path:
        assert self._prepared is not None
        watch = self._prepared.watch
        return self.folder / f"reference-{watch.rank}-of-{watch.count}.safetensors"

    def _write(self) -> None:
        assert self.trajectory is not None
        if self.trainer.accelerator.is_main_process:
            write_trajectory(self.trajectory, self.folder)
