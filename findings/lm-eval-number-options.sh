#!/usr/bin/env bash
# lm-evaluation-harness 0.4.13: in a multiple-choice task whose options are numbers, a target that is the text of the
# right option is taken for its position.
#
# Where `doc_to_target` gives text, the harness looks the text up among the options, so that "blue" among colours
# works. But text of digits alone becomes an index, counted from 0: among the options 2, 0, 3, 1 the target "0" stands
# for the option 2. A model that always knows the answer gets an accuracy of 0, or of chance where numbers happen to
# stand at their own place, and nothing says so as long as the number is smaller than the count of options. With the
# same options as words the same task file scores 1.
#
# Seen: a model that gives each right option the highest likelihood has acc 0.0 with numbers, 1.0 with words. Exits 1
# where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check lm-eval==0.4.13 datasets==5.2.0
cd "$folder"
mkdir tasks
for kind in numbers words; do
  cat >"tasks/$kind.yaml" <<TASK
task: $kind
dataset_path: json
dataset_kwargs: {data_files: {test: $kind.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{options}}"
doc_to_target: "{{answer}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
metadata: {version: 1.0}
TASK
done
HF_HUB_OFFLINE=1 HF_HOME="$folder/hub" "$folder/venv/bin/python" -W ignore - >"$folder/log" 2>&1 <<'PYTHON' || { tail -30 "$folder/log"; exit 1; }
import importlib.metadata
import json
import sys
from pathlib import Path

from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

QUESTIONS = {"How many moons has Mars?": 2, "How many moons has Venus?": 0, "How many moons has Earth?": 1,
             "How many sides has a triangle?": 3}
TEXTS = {"numbers": ["0", "1", "2", "3"], "words": ["none", "one", "two", "three"]}
ORDER = [2, 0, 3, 1]


class Knows(LM):
    """Finds the right option always."""

    def __init__(self, right):
        super().__init__()
        self.right = right

    def loglikelihood(self, requests):
        return [(0.0 if self.right[request.args[0]] == request.args[1].strip() else -9.0, True) for request in requests]

    def loglikelihood_rolling(self, requests):
        raise NotImplementedError

    def generate_until(self, requests):
        raise NotImplementedError


accuracy = {}
for kind, texts in TEXTS.items():
    right = {question: texts[answer] for question, answer in QUESTIONS.items()}
    options = [texts[number] for number in ORDER]
    rows = [{"question": question, "options": options, "answer": answer} for question, answer in right.items()]
    Path(f"{kind}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    manager = TaskManager(include_path="tasks", include_defaults=False)
    found = simple_evaluate(model=Knows(right), tasks=[kind], task_manager=manager, bootstrap_iters=0)
    accuracy[kind] = found["results"][kind]["acc,none"]
    targets = [(sample["doc"]["answer"], sample["target"]) for sample in found["samples"][kind]]
    print(f"RESULT {kind}, options {options}: acc {accuracy[kind]}; answer and target {targets}")
print(f"RESULT lm-eval {importlib.metadata.version('lm-eval')}")
sys.exit(0 if accuracy == {"numbers": 0.0, "words": 1.0} else "numbers are looked up among the options now")
PYTHON
sed -n 's/^RESULT //p' "$folder/log"
