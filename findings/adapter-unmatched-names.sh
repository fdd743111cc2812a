#!/usr/bin/env bash
# peft 0.21.2 with transformers 5.24.0: of names in `target_modules` those that match no layer are passed over without
# a word, so that the usual list of seven adapts two kinds of layers of a Phi-3.
#
# A list of which no name matches is refused, and a `rank_pattern` that matches nothing is warned of. But where one
# name matches, the others need not: families that keep query, key and value (qkv_proj) or gate and up (gate_up_proj)
# in one matrix have no q_proj, k_proj, v_proj, gate_proj or up_proj. The adapter then sits on o_proj and down_proj
# alone, the training runs, and its loss falls. GLM-4 loses gate and up in the same way.
#
# Seen: Llama 7 kinds of layers, GLM-4 5, Phi-3 2, none of them with a warning about names. Exits 1 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 peft==0.21.2
HF_HOME="$folder/hub" "$folder/venv/bin/python" - 2>"$folder/err" <<'PYTHON' || { tail -20 "$folder/err"; exit 1; }
import importlib.metadata
import logging
import sys
import warnings

from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Glm4Config, LlamaConfig, Phi3Config

NAMES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SIZES = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0, "eos_token_id": 1}
said: list[str] = []


class Keep(logging.Handler):
    """Keeps what the libraries log."""

    def emit(self, record):
        said.append(record.getMessage())


logging.getLogger().addHandler(Keep())
for library in ("peft", "transformers"):
    logging.getLogger(library).addHandler(Keep())
kinds = {}
for config in (LlamaConfig(**SIZES), Glm4Config(**SIZES), Phi3Config(**SIZES)):
    model = AutoModelForCausalLM.from_config(config)
    said.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        adapted = get_peft_model(model, LoraConfig(r=2, target_modules=NAMES, task_type="CAUSAL_LM"))
    said += [str(warning.message) for warning in caught]
    names = {name.split(".lora_")[0].rsplit(".", 1)[1] for name, _ in adapted.named_parameters() if ".lora_" in name}
    kinds[config.model_type] = (sorted(names), [text for text in said if any(name in text for name in NAMES)])
try:
    get_peft_model(AutoModelForCausalLM.from_config(config), LoraConfig(target_modules=["q_proj"]))
    refused = "taken"
except ValueError:
    refused = "refused"
print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("peft", "transformers", "torch")))
for family, (names, told) in kinds.items():
    print(f"{family}: adapters on {', '.join(names)}; {len(told)} messages about names")
print(f"phi3 with q_proj alone: {refused}")
counts = {family: (len(names), len(told)) for family, (names, told) in kinds.items()}
as_seen = counts == {"llama": (7, 0), "glm4": (5, 0), "phi3": (2, 0)} and refused == "refused"
sys.exit(0 if as_seen else "unmatched names are dealt with otherwise now")
PYTHON
