#!/usr/bin/env bash
# datasets 5.2.0: load_dataset of a local folder whose README has a `configs:` block is answered with the rows of
# another folder of the same name, or with its own rows as they were before they were written anew.
#
# The prepared copy in the cache is named by the folder's last name, the config's name and a hash of the block. Neither
# the folder's path nor what its files hold (nor their times) is in it, so that `run-2/data` is answered with what
# `run-1/data` was, by absolute paths too, and so is a folder that was made again. No message says so. Without the
# block in the README the files' times are in the name, and the rows are right.
#
# Seen: rows "first" for the second folder and again after it was written anew; without README "second" and "anew".
# Exits 1 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0
cd "$folder"
HF_HUB_OFFLINE=1 HF_HOME="$folder/hub" "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import os
import sys
from pathlib import Path

import datasets

datasets.disable_progress_bars()
CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/*.parquet
---
"""


def write(folder: str, text: str, card: bool) -> None:
    """A data set of one row, as one downloads it or as a script leaves it."""
    (Path(folder) / "data").mkdir(parents=True, exist_ok=True)
    file = Path(folder) / "data" / "train-00000-of-00001.parquet"
    datasets.Dataset.from_list([{"text": text}]).to_parquet(file)
    os.utime(file, (write.clock, write.clock))  # another second each time
    write.clock += 60
    if card:
        (Path(folder) / "README.md").write_text(CARD)


write.clock = 1_700_000_000


def read(folder: str) -> str:
    """The row, by the absolute path."""
    return datasets.load_dataset(str(Path(folder).resolve()), split="train")[0]["text"]


print("datasets", datasets.__version__)
found = {}
for card, run in ((True, "with"), (False, "without")):
    write(f"{run}-1/rows", "first", card)
    write(f"{run}-2/rows", "second", card)
    found[run] = [read(f"{run}-1/rows"), read(f"{run}-2/rows")]
    write(f"{run}-2/rows", "anew", card)
    found[run].append(read(f"{run}-2/rows"))
    print(f"{run} a `configs:` block: {found[run]}")
as_seen = found == {"with": ["first", "first", "first"], "without": ["first", "second", "anew"]}
sys.exit(0 if as_seen else "folders are told apart otherwise now")
PYTHON
