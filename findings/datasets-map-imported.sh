#!/usr/bin/env bash
# datasets 5.2.0: `map` takes its cached rows although the function has changed, where the function, or one that it
# calls, is imported from a module.
#
# The cache is named by a hash of the function. What is defined in the script itself counts by its code, and what is
# imported counts by its name alone. So after `render` in a module of one's own was mended, the next run of the
# training script trains on the former rows, with no message; the same edit within the script is seen. The
# documentation says that the hash covers the function, not which part of one's code that leaves out.
#
# Seen: after the edit, rows of the imported function and of a local one that calls it are the former ones; those of
# the function within the script are new. Exits 1 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0
cd "$folder"
printf '{"question": "2 + 2"}\n' >rows.jsonl
cat >prompts.py <<'PYTHON'
def render(row):
    return {"text": "former " + row["question"]}
PYTHON
cat >train.py <<'PYTHON'
import datasets
import prompts

datasets.disable_progress_bars()
rows = datasets.load_dataset("json", data_files="rows.jsonl", split="train")


def calls(row):
    return prompts.render(row)


def inside(row):
    return {"text": "former " + row["question"]}


print("without a cache:", prompts.render(rows[0])["text"])
for name, function in (("imported", prompts.render), ("calls an imported one", calls), ("in the script", inside)):
    print(f"{name}: {rows.map(function)[0]['text']}")
PYTHON
export HF_HUB_OFFLINE=1 HF_HOME="$folder/hub" PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$folder${PYTHONPATH:+:$PYTHONPATH}"
"$folder/venv/bin/python" -c 'import datasets; print("datasets", datasets.__version__)'
before=$("$folder/venv/bin/python" -W ignore train.py 2>"$folder/before.err")
sed 's/former/mended/' prompts.py >prompts.new && mv prompts.new prompts.py
sed 's/former/mended/' train.py >train.new && mv train.new train.py
after=$("$folder/venv/bin/python" -W ignore train.py 2>"$folder/after.err")
printf 'before the edit:\n%s\nafter it:\n%s\n' "$before" "$after"
cached=$'imported: former 2 + 2\ncalls an imported one: former 2 + 2'
[ "$before" = $'without a cache: former 2 + 2\n'"$cached"$'\nin the script: former 2 + 2' ]
[ "$after" = $'without a cache: mended 2 + 2\n'"$cached"$'\nin the script: mended 2 + 2' ]
