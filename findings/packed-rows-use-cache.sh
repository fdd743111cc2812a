#!/usr/bin/env bash
# transformers 5.24.0: whether texts that are packed into one row see each other depends on `use_cache`, which is on by
# default, and on whether an attention mask of ones is given.
#
# Where `position_ids` begin again at 0, a model takes the row for several texts and keeps them apart, also with
# PyTorch's own attention. But it looks only where it has neither a mask nor a cache. `model(input_ids, position_ids)`
# makes a cache by itself, in training mode too, so that each text is read behind all texts in front of it; so it is
# with use_cache=False and a mask of ones, which hides nothing. The Trainer switches the cache off, a training or
# scoring loop of one's own does not. No message says so, and the loss looks like one.
#
# Seen: two texts in a row, logits against those of each text alone: off by 0.0 % with use_cache=False, by 119 % of the
# largest by default and with a mask of ones. Exits 1 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0
HF_HOME="$folder/hub" TRANSFORMERS_VERBOSITY=error "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import importlib.metadata
import sys

import torch
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                                     num_attention_heads=4, initializer_range=0.3))
first, second = torch.randint(3, 64, (1, 9)), torch.randint(3, 64, (1, 7))
row = torch.cat([first, second], dim=1)
positions = torch.cat([torch.arange(9), torch.arange(7)])[None]
with torch.no_grad():
    alone = torch.cat([model(first).logits, model(second).logits], dim=1)


def off(**given: object) -> float:
    """The largest difference from the texts' own logits, as a share of the largest of these."""
    with torch.no_grad():
        packed = model(input_ids=row, position_ids=positions, **given).logits
    return float((packed - alone).abs().max() / alone.abs().max())


model.train()
ways = {"use_cache=False": off(use_cache=False), "by default": off(),
        "use_cache=False, a mask of ones": off(use_cache=False, attention_mask=torch.ones_like(row))}
print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("transformers", "torch")))
for name, share in ways.items():
    print(f"{name}: off by {share:.1%}")
apart, *together = ways.values()
sys.exit(0 if apart < 1e-4 and min(together) > 0.1 else "packed texts are kept apart otherwise now")
PYTHON
