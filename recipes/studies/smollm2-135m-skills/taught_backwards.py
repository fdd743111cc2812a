"""Runs the registered search from its last job backwards, on another core than `taught.py search`.

    python recipes/studies/smollm2-135m-skills/taught_backwards.py FOLDER

Both add lines to one results.jsonl, whose order decides nothing: what a training gives hangs on its job, arm and the
registered files alone. Each reads the file when it starts, so stop both before they meet and start one again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import taught
import torch
from taught_arms import Job

FORWARDS = taught.jobs


def backwards() -> Iterator[Job]:
    """Every registered job, the last one first."""
    return reversed(list(FORWARDS()))


if __name__ == "__main__":
    torch.set_num_threads(1)
    taught.jobs = backwards
    taught.search(Path(sys.argv[1]))
