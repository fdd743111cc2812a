#!/usr/bin/env bash
# peft 0.21.2 with transformers 5.23.0: LoRA on "all-linear" also adapts the router of LongCat-Flash, and does nothing
# there.
#
# The router is a torch.nn.Linear, so that peft wraps it, counts its parameters as trainable and saves them. But the
# model's own code multiplies by the layer's weight and does not call the layer, so that what peft put around it is
# never run: its matrices get no gradient, whatever they hold changes no logit, and no warning says so. The mixers of
# several state-space models hand weights to fused kernels in the same way where these are installed; peft refuses to
# adapt them for five model types by name (out_proj and conv1d of mamba, mamba2, falcon_mamba, falcon_h1, nemotron_h).
#
# Seen: 4 of 52 matrices have no gradient after a backward pass, those of the two routers; filling them with large
# numbers changes the logits by 0. Exits 1 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 peft==0.21.2
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import importlib.metadata
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import LongcatFlashConfig, LongcatFlashForCausalLM

torch.manual_seed(0)
config = LongcatFlashConfig(vocab_size=64, hidden_size=32, num_layers=2, num_attention_heads=4, ffn_hidden_size=32,
                            expert_ffn_hidden_size=16, q_lora_rank=16, kv_lora_rank=8, qk_nope_head_dim=8,
                            qk_rope_head_dim=8, head_dim=8, v_head_dim=8, moe_topk=2, n_routed_experts=4,
                            zero_expert_num=2, initializer_range=0.2)
model = get_peft_model(LongcatFlashForCausalLM(config), LoraConfig(r=2, target_modules="all-linear"))
matrices = {name: value for name, value in model.named_parameters() if "lora_" in name}
with torch.no_grad():
    for value in matrices.values():
        value.normal_(std=0.2)
tokens = torch.arange(1, 60)[None]
model(input_ids=tokens, labels=tokens).loss.backward()
idle = {name: value for name, value in matrices.items() if value.grad is None}
model.eval()
with torch.inference_mode():
    before = model(input_ids=tokens).logits
    for value in idle.values():
        value.fill_(100.0)
    changed = float((model(input_ids=tokens).logits - before).abs().max())
versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("peft", "transformers", "torch"))
print(versions)
print(f"{len(idle)} of {len(matrices)} matrices have no gradient: {', '.join(sorted({n.split('.')[-4] for n in idle}))}")
print(f"filled with 100, they change the logits by {changed:g}")
sys.exit("the router's adapter works now" if not idle or changed else 0)
PYTHON
