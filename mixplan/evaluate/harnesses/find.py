"""Finds out which harness wrote the results that a person names, and reads them."""

from __future__ import annotations

from pathlib import Path

from mixplan.errors import EvaluateError
from mixplan.evaluate.harnesses.inspect_logs import is_log, read_logs
from mixplan.evaluate.harnesses.lm_eval_files import is_results, read_results
from mixplan.evaluate.harnesses.results import Results

EXPECTED = (
    "expected results_DATE.json of lm-evaluation-harness with its samples beside it, a log of inspect_ai (.eval or "
    ".json), or a folder of either"
)


def read_harness(place: Path) -> Results:
    """Read what a harness measured of one model.

    Args:
        place: A results file, a log, or a folder of such; those of a folder count together.

    Raises:
        EvaluateError: there is nothing of the kind, or what there is cannot be read.
    """
    if not place.exists():
        raise EvaluateError(f"{place}: there is no such file or folder; {EXPECTED}.")
    if place.is_dir():
        files = sorted(path for path in place.rglob("*") if path.suffix in (".json", ".eval") and path.is_file())
    else:
        files = [place]
    logs = [path for path in files if is_log(path)]
    results = [path for path in files if path not in logs and is_results(path)]
    if logs and results:
        raise EvaluateError(
            f"{place}: holds results of lm-evaluation-harness ({results[0].name}) and logs of inspect_ai "
            f"({logs[0].name}). Name those of one harness."
        )
    if logs:
        return read_logs(place, logs)
    if not results:
        samples = " It is a samples file: name the results file beside it." if place.suffix == ".jsonl" else ""
        raise EvaluateError(f"{place}: holds no results that mixplan reads; {EXPECTED}.{samples}")
    return read_results(place, results)
