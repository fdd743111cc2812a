#!/usr/bin/env bash
# lm-evaluation-harness 0.4.13: with `--cache_requests true` an edited task is measured by its former prompts.
#
# The cache of built requests is named by the task's name, its number of examples, the chat template and the tokenizer.
# Neither the task's file nor its rows are in the name. So after `doc_to_text`, or the data set, was changed, the model
# is given the former prompts, and the figure is written to the results beside the new configuration, as if measured by
# it. `--cache_requests refresh` makes the requests anew.
#
# Seen: after the edit the model reads the former prompts with the cache and the new ones without, and `configs` of the
# results says the new one both times. Exits 1 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check lm-eval==0.4.13 datasets==5.2.0
cd "$folder"
mkdir tasks
export HF_HUB_OFFLINE=1 HF_HOME="$folder/hub" LM_HARNESS_CACHE_PATH="$folder/requests"
"$folder/venv/bin/python" -W ignore - >"$folder/log" 2>&1 <<'PYTHON' || { tail -30 "$folder/log"; exit 1; }
import importlib.metadata
import sys
from pathlib import Path

from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

TASK = """task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: docs.jsonl}}
test_split: test
output_type: loglikelihood
doc_to_text: "PROMPT {{sum}} ="
doc_to_target: " {{value}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
metadata: {version: 1.0}
"""


class Reads(LM):
    """Keeps the prompts that it is given."""

    def loglikelihood(self, requests):
        self.prompts = [request.args[0] for request in requests]
        return [(-1.0, True) for _ in requests]

    def loglikelihood_rolling(self, requests):
        raise NotImplementedError

    def generate_until(self, requests):
        raise NotImplementedError


def measure(prompt: str, *, cached: bool) -> tuple[str, str]:
    """The prompt that the model is given, and the one that the results' configuration says."""
    Path("tasks/sums.yaml").write_text(TASK.replace("PROMPT", prompt))
    model = Reads()
    found = simple_evaluate(model=model, tasks=["sums"], bootstrap_iters=0, cache_requests=cached,
                            task_manager=TaskManager(include_path="tasks", include_defaults=False))
    return model.prompts[0], found["configs"]["sums"]["doc_to_text"]


Path("docs.jsonl").write_text('{"sum": "2 + 2", "value": "4"}\n')
first = measure("Compute", cached=True)
edited, plain = measure("Work out step by step:", cached=True), measure("Work out step by step:", cached=False)
print(f"RESULT lm-eval {importlib.metadata.version('lm-eval')}")
for name, (given, said) in (("first", first), ("edited, cached", edited), ("edited, not cached", plain)):
    print(f"RESULT {name}: the model reads {given!r}, the results say {said!r}")
new = "Work out step by step: "
as_seen = edited == (first[0], plain[1]) and plain[0] == f"{new}2 + 2 =" and edited[1] == f"{new}{{{{sum}}}} ="
sys.exit(0 if as_seen and first[0] == "Compute 2 + 2 =" else "the cache knows the task now")
PYTHON
sed -n 's/^RESULT //p' "$folder/log"
