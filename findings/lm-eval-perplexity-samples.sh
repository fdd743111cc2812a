#!/usr/bin/env bash
# lm-evaluation-harness 0.4.13: in the samples that --log_samples writes, `perplexity` is no perplexity. It is the item's
# log-likelihood, of which more is better, while `higher_is_better` in the results beside it says false of `perplexity`.
#
# Tasks of the output type `loglikelihood`, such as lambada_openai, put the log-likelihood into the sample under the name
# of the metric, and only the aggregation makes exp(-mean) of it. Whoever compares two models item by item, by the
# samples' own field and the results' own direction, finds every item worse where the model is better. `word_perplexity`,
# `byte_perplexity` and `bits_per_byte` of `loglikelihood_rolling` tasks keep a pair [log-likelihood, words or bytes]
# under their names, `brier_score` a pair whose second half is the text of an array. No document of the samples says so.
#
# Seen: of two models on three items, the second gives each item a higher likelihood and has the lower perplexity, 3.42
# against 9.97; its samples' `perplexity` is higher in 3 of 3 items, and below 0. Exits 1 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check lm-eval==0.4.13 datasets==5.2.0
cd "$folder"
cat >docs.jsonl <<'ROWS'
{"text": "the quick brown fox jumps over the lazy", "word": "dog"}
{"text": "a stitch in time saves", "word": "nine"}
{"text": "still waters run", "word": "deep"}
ROWS
mkdir tasks
cat >tasks/last_word.yaml <<'TASK'
# As lambada_openai's own, on three rows.
task: last_word
dataset_path: json
dataset_kwargs: {data_files: {test: docs.jsonl}}
test_split: test
output_type: loglikelihood
doc_to_text: "{{text}}"
doc_to_target: "{{' ' + word}}"
metric_list:
  - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
metadata: {version: 1.0}
TASK
HF_HUB_OFFLINE=1 HF_HOME="$folder/hub" "$folder/venv/bin/python" -W ignore - >"$folder/log" 2>&1 <<'PYTHON' || { tail -30 "$folder/log"; exit 1; }
import importlib.metadata
import json
import sys
from pathlib import Path

from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager


class Fixed(LM):
    """Gives each item a log-likelihood that is known beforehand."""

    def __init__(self, logs):
        super().__init__()
        self.logs = logs

    def loglikelihood(self, requests):
        return [(log, False) for log, _ in zip(self.logs, requests, strict=True)]

    def loglikelihood_rolling(self, requests):
        raise NotImplementedError

    def generate_until(self, requests):
        raise NotImplementedError


figures, samples = {}, {}
for name, logs in (("before", [-3.1, -2.2, -1.6]), ("after", [-1.7, -1.4, -0.59])):
    tracker = EvaluationTracker(output_path=name)
    manager = TaskManager(include_path="tasks", include_defaults=False)
    found = simple_evaluate(model=Fixed(logs), tasks=["last_word"], task_manager=manager, bootstrap_iters=0,
                            log_samples=True, evaluation_tracker=tracker)
    kept = found.pop("samples")
    tracker.save_results_aggregated(results=found, samples=kept)
    tracker.save_results_samples(task_name="last_word", samples=kept["last_word"])
    (file,) = Path(name).rglob("samples_last_word_*.jsonl")
    samples[name] = [json.loads(line)["perplexity"] for line in file.read_text().splitlines()]
    figures[name] = found["results"]["last_word"]["perplexity,none"]
    better = found["higher_is_better"]["last_word"]["perplexity"]
higher = sum(late > early for early, late in zip(samples["before"], samples["after"], strict=True))
print(f"lm-eval {importlib.metadata.version('lm-eval')}")
print(f"results: perplexity {figures['before']:.2f} before, {figures['after']:.2f} after; higher_is_better: {better}")
print(f"samples: `perplexity` {samples['before']} before, {samples['after']} after: higher in {higher} of 3 items")
as_seen = figures["after"] < figures["before"] and better is False and higher == 3 and max(samples["after"]) < 0
sys.exit(0 if as_seen else "samples and results say the same now")
PYTHON
grep -E "^(lm-eval|results|samples)" "$folder/log"
