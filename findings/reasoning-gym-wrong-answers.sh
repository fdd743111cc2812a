#!/usr/bin/env bash
# reasoning-gym 0.1.25: the scorer of `game_of_life_halting` gives every answer that is not empty a full score, and
# that of `number_sorting` every list whose numbers are off by 0.9.
#
# The entries of `game_of_life_halting` ask for 'True' or 'False' and hold the reference as text. The scorer compares
# the truth of the two texts, and any text that is not empty is true. `number_sorting` holds each number against the
# reference with a tolerance of 1, whatever its numbers' own spacing. Used as a reward the first teaches nothing, since
# all answers are rewarded alike; as a test both say that a model which guesses is right.
#
# Seen: of 50 entries each, the opposite answer is scored 1 in 50, "I do not know" in 50; lists of which every number
# is 0.9 too large are scored 1 in 50. Exits 1 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check reasoning-gym==0.1.25
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import ast
import importlib.metadata
import sys

import reasoning_gym

SIZE = 50
halting = reasoning_gym.create_dataset("game_of_life_halting", seed=1, size=SIZE)
entries = list(halting)
asked = sum("reply 'True'" in entry["question"] for entry in entries)
true = sum(entry["answer"] == "True" for entry in entries)
opposite = sum(halting.score_answer(str(entry["answer"] == "False"), entry) == 1 for entry in entries)
neither = sum(halting.score_answer("I do not know", entry) == 1 for entry in entries)
sorting = reasoning_gym.create_dataset("number_sorting", seed=1, size=SIZE)
off = 0
for entry in sorting:
    numbers = [str(round(float(number) + 0.9, 4)) for number in ast.literal_eval(entry["answer"])]
    off += sorting.score_answer(str(numbers), entry) == 1
print("reasoning-gym", importlib.metadata.version("reasoning-gym"))
print(f"game_of_life_halting: {asked} of {SIZE} ask for 'True' or 'False', {true} references are True")
print(f"  scored 1: the opposite answer {opposite} of {SIZE}, 'I do not know' {neither} of {SIZE}")
print(f"number_sorting, every number + 0.9: scored 1 in {off} of {SIZE}; the last one {numbers} for {entry['answer']}")
as_seen = asked == opposite == neither == off == SIZE and 0 < true < SIZE
sys.exit(0 if as_seen else "the scorers tell right from wrong otherwise now")
PYTHON
