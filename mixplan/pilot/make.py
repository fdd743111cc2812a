"""Makes a plan whose forecast may rest on a pilot: that is trained and measured first, where the recipe asks for it."""

from __future__ import annotations

import os
from pathlib import Path

from mixplan.errors import RunError
from mixplan.plan import PlanRequest
from mixplan.plan import make_plan as plan_alone
from mixplan.reading import Watcher
from mixplan.runs import locked


def make_plan(request: PlanRequest, *, watcher: Watcher, rank: int = 0) -> Path:
    """Make a plan, with a pilot first where `forecast.from: pilot` asks for one; see `mixplan.plan.make_plan`.

    Args:
        request: What to plan.
        watcher: Told of progress.
        rank: Of this process; those but 0 only help reading.

    Returns:
        The run folder; a pilot lies in its folder pilot/.

    Raises:
        MixplanError: anything that the person can mend.
        KeyboardInterrupt: it was stopped; a pilot's checkpoint was saved.
    """
    loaded = request.loaded
    if loaded.recipe.forecast.from_ == "pilot":
        if "RANK" in os.environ:
            raise RunError(
                f"{loaded.where(('forecast', 'from'))}: forecast.from: a pilot is trained by processes that mixplan "
                "starts itself. Plan without `accelerate launch`."
            )
        from mixplan.pilot.bench import Bench  # loads torch, which a plan without a pilot may not need

        folder = request.run or Path("runs") / loaded.path.stem
        with locked(folder):
            Bench(loaded, folder, watcher).run()
    return plan_alone(request, watcher=watcher, rank=rank)
