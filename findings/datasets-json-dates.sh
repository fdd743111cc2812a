#!/usr/bin/env bash
# datasets 5.2.0: a JSON Lines column of texts that all are dates comes back as datetime objects, though JSON has no
# dates.
#
# The reader below guesses the type and takes ISO dates for timestamps, in nested fields too. Written into a prompt or
# completion, "2024-01-05" has become "2024-01-05 00:00:00", which a model then learns and an exact-match grader asks
# for. It depends on the other rows: with one answer that is no date the column stays text, so that the same row
# differs from file to file, and from a small sample of the file. No message says so.
#
# Seen: "2024-01-05" as datetime where both rows are dates, at the top and nested; as text where the other is
# "unknown". Exits 1 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0
cd "$folder"
HF_HUB_OFFLINE=1 HF_HOME="$folder/hub" "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import json
import sys
from datetime import datetime
from pathlib import Path

import datasets

datasets.disable_progress_bars()
DAY = "2024-01-05"


def first(name: str, rows: list[dict]) -> dict:
    """The first row of a file, as load_dataset gives it."""
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return datasets.load_dataset("json", data_files=name, split="train")[0]


dates = first("dates.jsonl", [{"answer": DAY}, {"answer": "1999-12-31"}])["answer"]
nested = first("nested.jsonl", [{"label": {"gold": [DAY]}}, {"label": {"gold": ["1999-12-31"]}}])["label"]["gold"][0]
mixed = first("mixed.jsonl", [{"answer": DAY}, {"answer": "unknown"}])["answer"]
print("datasets", datasets.__version__)
print(f"beside another date: {dates!r}, in a text: {f'On {dates}.'!r}")
print(f"nested: {nested!r}")
print(f"beside 'unknown': {mixed!r}, in a text: {f'On {mixed}.'!r}")
as_seen = dates == nested == datetime(2024, 1, 5) and mixed == DAY
sys.exit(0 if as_seen else "dates are read otherwise now")
PYTHON
