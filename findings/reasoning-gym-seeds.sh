#!/usr/bin/env bash
# reasoning-gym 0.1.25: data sets of two seeds are nearly the same data set. Train and test sets of seeds 1 and 2 share
# all entries but one.
#
# Entry i is made from a random generator of seed + i, so that the set of seed 2 is that of seed 1 moved on by one.
# Sets of n entries share n - |difference of the seeds| of them, in most of the library's generators. Who trains on one
# seed and tests on the next, or averages an evaluation over seeds 0 to 4, measures what was trained on, or the same
# entries five times. Seeds that lie further apart than the sets are long share none but what small generators repeat
# by chance.
#
# Seen: of 500 entries of seeds 1 and 2, 499 are shared at the neighbouring place in each of eight generators; of seeds
# 1 and 1,000,001 none. Exits 1 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check reasoning-gym==0.1.25
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import importlib.metadata
import sys

import reasoning_gym

NAMES = ["chain_sum", "spell_backward", "basic_arithmetic", "number_sorting", "countdown", "calendar_arithmetic",
         "word_sorting", "simple_equations"]
SIZE = 500


def questions(name: str, seed: int) -> list[str]:
    """The questions of a data set, in order."""
    return [entry["question"] for entry in reasoning_gym.create_dataset(name, seed=seed, size=SIZE)]


print("reasoning-gym", importlib.metadata.version("reasoning-gym"))
as_seen = True
for name in NAMES:
    train, following, far = questions(name, 1), questions(name, 2), questions(name, 1_000_001)
    moved = sum(early == late for early, late in zip(train[1:], following, strict=False))
    same_place = sum(early == late for early, late in zip(train, far, strict=True))
    print(f"{name}: of {SIZE} entries seed 2 has {moved} of seed 1's, one place on; seed 1,000,001 has {same_place}")
    as_seen = as_seen and moved == SIZE - 1 and same_place == 0
sys.exit(0 if as_seen else "seeds make other data sets now")
PYTHON
