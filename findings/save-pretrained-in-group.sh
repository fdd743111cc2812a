#!/usr/bin/env bash
# transformers 5.24.0: within a torch.distributed group `save_pretrained` writes on rank 0 alone, whatever
# is_main_process.
#
# The argument is_main_process is True by default, and rank 1 that asks for it still gets an empty folder: no config,
# no weights, no error, exit code 0. So where processes each train a model of their own in one group (seeds, folds, a
# sweep), and each saves to its own folder, only the first one's is there afterwards. Configs and tokenizers, which are
# saved by calls of their own, are written on every rank, so that a folder without weights can look like a model.
#
# Seen: rank 0 leaves model.safetensors, rank 1 nothing; the config's own save_pretrained writes on both. Exits 1 where
# that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0
cat >"$folder/save.py" <<'PYTHON'
import sys

import torch.distributed
from transformers import LlamaConfig, LlamaForCausalLM

torch.distributed.init_process_group("gloo")
rank = torch.distributed.get_rank()
torch.manual_seed(rank)  # a model of its own
config = LlamaConfig(vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
LlamaForCausalLM(config).save_pretrained(f"{sys.argv[1]}/model-{rank}", is_main_process=True)
config.save_pretrained(f"{sys.argv[1]}/config-{rank}")
torch.distributed.barrier()
torch.distributed.destroy_process_group()
PYTHON
export HF_HOME="$folder/home" OMP_NUM_THREADS=1
"$folder/venv/bin/python" -W ignore -m torch.distributed.run --nproc_per_node 2 \
  "$folder/save.py" "$folder" 2>"$folder/err" || { tail -20 "$folder/err"; exit 1; }
"$folder/venv/bin/python" -c 'from importlib.metadata import version as v; print("transformers", v("transformers"))'
for rank in 0 1; do
  model=$(ls "$folder/model-$rank" 2>/dev/null | tr '\n' ' ')
  echo "rank $rank: model: ${model:-nothing}; config: $(ls "$folder/config-$rank")"
done
[ -f "$folder/model-0/model.safetensors" ] && [ -f "$folder/config-1/config.json" ]
[ -z "$(ls "$folder/model-1" 2>/dev/null)" ]
