"""Judges a model that was trained without mixplan by a planned run: what changed, domain by domain.

Use: python examples/judge_my_own_training.py RUN FOLDER_OR_HUB_ID [LABEL]
"""

import sys

import mixplan


def main(run: str, model: str, label: str | None = None) -> None:
    """Measure the model on the run's evaluation rows, and list each domain's change with its 95 % interval."""
    outcome = mixplan.judge_model(run, model, label=label, progress=lambda step, done, total: print(step, done, total))
    for row in outcome.changes():  # or: pandas.DataFrame(outcome.changes())
        ends = f"[{row['low']:+.3g}, {row['high']:+.3g}]"
        print(f"{row['domain']:16} {row['measure']:10} {row['change']:+.3g} {ends}  {row['direction']}")
    print("Page:", outcome.folder / "report.html")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except mixplan.MixplanError as error:
        raise SystemExit(str(error)) from error
