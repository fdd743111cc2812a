"""Reports a run's plan before it is measured, and what is measured before and after, to the trackers of its job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mixplan.errors import TrainError
from mixplan.outcome.figures import Figures, after_figures, before_figures, planned_figures
from mixplan.reading import Watcher
from mixplan.recipe import LoadedRecipe
from mixplan.saved import Outcome, Plan
from mixplan.saved.evaluation import Evaluation
from mixplan.train.follow import wait_for_former
from mixplan.train.job import Job, read_job
from mixplan.train.make import prepare
from mixplan.train.trackers import log_figures, tracked_run, trackers_of
from mixplan.train.verify import AsPlanned


@dataclass(frozen=True)
class Tracking:
    """A job's trackers.

    Attributes:
        run: The run folder.
        job: The job; None where it reports to no tracker that mixplan's figures go to.
        watcher: Told where a tracker does not take a figure once training is paid for.
    """

    run: Path
    job: Job | None
    watcher: Watcher

    def before(self, evaluation: Evaluation) -> None:
        """Report the untrained model's figures, at step 0."""
        self._log("before", before_figures(evaluation), 0)

    def after(self, outcome: Outcome, steps: int) -> None:
        """Report the trained model's figures, at the last step."""
        self._log("after", after_figures(outcome), steps)

    def _log(self, stage: str, figures: Figures, step: int) -> None:
        if self.job is not None:
            for failure in log_figures(self.run, self.job, stage, figures, step):
                self.watcher.say(f"{failure} The figures are in the run folder, and `mixplan eval` reports them again.")


def begin_tracking(run: Path, loaded: LoadedRecipe, plan: Plan, watcher: Watcher) -> Tracking:
    """Begin a job's run on its trackers with what was planned, before anything is measured for it.

    Args:
        run: The run folder.
        loaded: Its recipe.
        plan: Its plan.
        watcher: Told of progress.

    Raises:
        TrainError: a tracker does not take it, as without a login or a network.
        MixplanError: the plan does not hold any more.
    """
    if not loaded.recipe.train.args.get("report_to"):
        return Tracking(run, None, watcher)
    wait_for_former(run, watcher)
    job = prepare(run, loaded, AsPlanned.of(plan))
    names = trackers_of(job)
    if not names:
        return Tracking(run, None, watcher)
    if failures := log_figures(run, job, "planned", planned_figures(plan), 0):
        raise TrainError("\n".join(failures))
    tracked = tracked_run(run)
    watcher.say(f"reporting to {' and '.join(names)} as run {tracked.name if tracked else ''}")
    return Tracking(run, job, watcher)


def tracking_of(run: Path, watcher: Watcher) -> Tracking:
    """The trackers of a job that was trained."""
    job = read_job(run)
    return Tracking(run, job if trackers_of(job) and tracked_run(run) else None, watcher)
