#!/usr/bin/env bash
# datasets 5.2.0: in a JSON Lines column that holds text in some rows and numbers in others, text comes back as what it
# would be if it were JSON: "007" as 7, "1.10" as 1.1, "null" as None, "true" as True, "[1, 2]" as a list.
#
# Such a column becomes a `Json` feature, which keeps every value as JSON and reads it again when a row is taken. But
# text is kept without its quotes where its column is read from a file, so that what looks like a number is one
# afterwards. A reference answer "007" or an assistant's turn "null" is another one then, in training and in grading,
# and no message says so. The same rows with text alone come back as they are.
#
# Seen: 5 of 6 texts of the mixed column are changed, of the same texts alone none. Exits 1 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0
cd "$folder"
HF_HUB_OFFLINE=1 HF_HOME="$folder/hub" "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import json
import sys
from pathlib import Path

import datasets

datasets.disable_progress_bars()
TEXTS = ["007", "1.10", "null", "true", "[1, 2]", "blue"]


def read(name: str, answers: list) -> tuple[str, list]:
    """The column's feature and values, as load_dataset gives them."""
    Path(name).write_text("".join(json.dumps({"answer": answer}) + "\n" for answer in answers))
    rows = datasets.load_dataset("json", data_files=name, split="train")
    return str(rows.features["answer"]), list(rows["answer"])


alone, mixed = read("alone.jsonl", TEXTS), read("mixed.jsonl", [*TEXTS, 5])
changed = sum(value != text for value, text in zip(mixed[1], TEXTS, strict=False))
print("datasets", datasets.__version__)
print(f"written:                {TEXTS}")
print(f"text alone, {alone[0]}: {alone[1]}")
print(f"with a number, {mixed[0]}: {mixed[1]}")
print(f"{changed} of {len(TEXTS)} texts changed")
as_seen = alone[1] == TEXTS and mixed[1] == [7, 1.1, None, True, [1, 2], "blue", 5]
sys.exit(0 if as_seen else "text of mixed columns is read otherwise now")
PYTHON
