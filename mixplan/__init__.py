"""Plans the data mixture that protects a model's other abilities in a post-training job, from one recipe.

One flow, one direction: a **recipe** names a model with its SAE, a target and downstream **domains**;
the untrained model's SAE **features**, read with and without demonstrations, give the **drift** dimensions
the job is expected to move; **sts** scores each domain by how it uses them; a **forecast** turns scores into
expected change; **allocate** spends a budget of rows on the domains; **mixture** writes the mixed data set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixplan.api import (
        Diff,
        Outcome,
        Plan,
        allocate_budget,
        check_recipe,
        compare_arms,
        diff_models,
        evaluate_run,
        judge_model,
        judge_results,
        load_recipe,
        make_plan,
        read_outcome,
        read_plan,
        replan,
        train_run,
        write_report,
    )
    from mixplan.errors import MixplanError

__version__ = "0.1.0"

__all__ = [
    "Diff",
    "MixplanError",
    "Outcome",
    "Plan",
    "allocate_budget",
    "check_recipe",
    "compare_arms",
    "diff_models",
    "evaluate_run",
    "judge_model",
    "judge_results",
    "load_recipe",
    "make_plan",
    "read_outcome",
    "read_plan",
    "replan",
    "train_run",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that `import mixplan` alone takes no time."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    home = importlib.import_module("mixplan.errors" if name == "MixplanError" else "mixplan.api")
    return getattr(home, name)
