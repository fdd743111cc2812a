#!/usr/bin/env bash
# reasoning-gym 0.1.25: the scorer that `get_score_answer_fn(name)` gives grades by the generator's default options,
# not by those that the entry was made with.
#
# The README hands an entry to `get_score_answer_fn(entry["metadata"]["source_dataset"])`, which makes the scorer from
# a new default config. Some scorers take their tolerance from the config: `decimal_arithmetic` allows one unit of the
# last of `max_num_decimal_places`, by default 0.001. Rows that were saved with other options are then graded by
# another tolerance than their own data set's, more strictly or less, with no message.
#
# Seen: entries of six places, answers off by 0.0005: their own data set accepts 0 of 40, the scorer by name 40.
# Entries of one place, answers off by 0.05: 40 and 0. Exits 1 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check reasoning-gym==0.1.25
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import importlib.metadata
import sys
from decimal import Decimal

import reasoning_gym

SIZE = 40


def accepted(places: int, off: str) -> tuple[int, int]:
    """How many answers that are off are scored 1, by the data set itself and by the scorer of its name."""
    options = {"min_num_decimal_places": places, "max_num_decimal_places": places}
    data = reasoning_gym.create_dataset("decimal_arithmetic", seed=1, size=SIZE, **options)
    own = named = 0
    for entry in data:
        answer = str(Decimal(entry["answer"]) + Decimal(off))
        own += data.score_answer(answer, entry) == 1
        named += reasoning_gym.get_score_answer_fn(entry["metadata"]["source_dataset"])(answer, entry) == 1
    return own, named


fine, coarse = accepted(6, "0.0005"), accepted(1, "0.05")
print("reasoning-gym", importlib.metadata.version("reasoning-gym"))
print(f"six places, off by 0.0005: accepted {fine[0]} of {SIZE} by the data set, {fine[1]} by the scorer of its name")
print(f"one place, off by 0.05: accepted {coarse[0]} of {SIZE} by the data set, {coarse[1]} by the scorer of its name")
sys.exit(0 if (fine, coarse) == ((0, SIZE), (SIZE, 0)) else "both scorers grade by the same options now")
PYTHON
