#!/usr/bin/env bash
# TRL 1.16.0 with math-verify 0.9.0: `accuracy_reward` rewards wrong answers and not the right one where the `solution`
# column holds LaTeX without dollar signs.
#
# math-verify reads LaTeX only between its delimiters. From a bare solution it takes one plain number:
# 4 from 4\pi, 3 from x \le 3, 5 from 6 - 5i. TRL documents bare solutions by \frac{1}{3}, one of the forms that
# are read. The right answer gets 0, the number alone 1; solutions without a number are skipped (None), as its
# documentation says. `answer` columns of data sets of competition mathematics hold bare LaTeX. In dollar signs all of
# these are graded right.
#
# Seen: of six bare solutions \boxed{} of the solution is rewarded in none, of the number within in all six; in dollar
# signs it is the other way round. Exits 1 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.13.0 transformers==5.24.0 trl==1.16.0 math-verify==0.9.0
HF_HOME="$folder/hub" "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import importlib.metadata
import sys

from trl.rewards import accuracy_reward

SOLUTIONS = {r"4\pi": "4", r"x \le 3": "3", "2 x + 3": "3", "6 - 5i": "5", r"3\sqrt{13}": "3", "2^{10}": "2"}


def reward(solution: str, answer: str) -> float | None:
    """What a completion gets that ends with this answer in a box."""
    completion = [{"role": "assistant", "content": rf"So the answer is \boxed{{{answer}}}."}]
    return accuracy_reward([completion], [solution])[0]


print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("trl", "math-verify")))
bare, dollars = [], []
for solution, number in SOLUTIONS.items():
    bare.append((reward(solution, solution), reward(solution, number)))
    dollars.append((reward(f"${solution}$", solution), reward(f"${solution}$", number)))
    print(f"solution {solution}: the solution gets {bare[-1][0]}, {number} gets {bare[-1][1]}; ", end="")
    print(f"in dollar signs {dollars[-1][0]} and {dollars[-1][1]}")
as_seen = all(pair == (0, 1) for pair in bare) and all(pair == (1, 0) for pair in dollars)
sys.exit(0 if as_seen else "bare LaTeX is rewarded otherwise now")
PYTHON
