"""Plans a recipe in Python, shows the rows of each domain, and asks what half the budget would do.

Use: python examples/plan_in_python.py RECIPE [RUN]
"""

import sys

import mixplan


def main(recipe: str, run: str | None = None) -> None:
    """Check, plan and plan again."""
    checked = mixplan.check_recipe(recipe)
    if checked.problems:
        raise SystemExit("\n".join(checked.problems))
    plan = mixplan.make_plan(recipe, run=run, progress=lambda step, done, total: print(step, f"{done}/{total}"))
    for row in plan.scores():  # or: pandas.DataFrame(plan.scores())
        print(f"{row['domain']:16} score {row['score']:.3g} [{row['low']:.3g}, {row['high']:.3g}]  {row['rows']} rows")
    print(plan.mixture())
    half = mixplan.replan(plan.folder, budget=sum(plan.rows.values()) // 2)
    print("half the budget:", half.rows)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except mixplan.MixplanError as error:
        raise SystemExit(str(error)) from error
