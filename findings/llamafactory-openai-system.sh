#!/usr/bin/env bash
# LLaMA-Factory 0.9.5: `formatting: openai` adds "detailed thinking off" to the system turn of every chat without tools,
# or makes a system turn of it where there is none, whatever model and template.
#
# dataset_info.json calls `openai` a chat format like `sharegpt`, and the rows of both are the same; only the converter
# differs. OpenAIDatasetConverter (llamafactory/data/converter.py) writes that sentence, a switch of one family of
# reasoning models, into `_system`, so that any model is trained on a system prompt that stands in no row and that nobody
# gives it afterwards. No message says so. The same rows with `formatting: sharegpt` are read as they are.
#
# Seen: of two chats read as `openai`, one has a system turn that it did not have, the other one a second line in its
# own; read as `sharegpt`, neither has. Exits 1 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 llamafactory==0.9.5 transformers==5.6.0
# The builds of these two on PyPI need CUDA's libraries, with which torch here may not come; rows of text need neither.
"$folder/venv/bin/pip" uninstall --quiet --yes torchvision torchaudio
cd "$folder"
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" -W ignore - "$folder" >"$folder/log" 2>&1 <<'PYTHON' || { tail -30 "$folder/log"; exit 1; }
import importlib.machinery
import importlib.metadata
import json
import sys
import types
from pathlib import Path

silent = types.ModuleType("torchaudio")
silent.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
sys.modules["torchaudio"] = silent

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, PreTrainedTokenizerFast

folder = Path(sys.argv[1])
model = folder / "model"
alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
backend = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
backend.decoder = decoders.ByteLevel()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<pad>")
tokenizer.save_pretrained(model)
LlamaConfig(vocab_size=300, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2).save_pretrained(model)

chats = [
    [{"role": "user", "content": "Name a colour."}, {"role": "assistant", "content": "Blue."}],
    [{"role": "system", "content": "Answer in French."}, {"role": "user", "content": "Name a colour."}, {"role": "assistant", "content": "Bleu."}],
]
(folder / "chats.json").write_text(json.dumps([{"messages": chat} for chat in chats]))
tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant", "system_tag": "system"}
entry = {"file_name": "chats.json", "columns": {"messages": "messages"}, "tags": tags}
info = {"as_openai": {**entry, "formatting": "openai"}, "as_sharegpt": {**entry, "formatting": "sharegpt"}}
(folder / "dataset_info.json").write_text(json.dumps(info))

from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer

read = {}
for name in info:
    model_args, data_args, training_args, *_ = get_train_args({
        "stage": "sft", "do_train": True, "model_name_or_path": str(model), "dataset": name, "dataset_dir": str(folder),
        "template": "chatml", "finetuning_type": "full", "output_dir": str(folder / "out"), "use_cpu": True,
    })
    loaded = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(loaded["tokenizer"], data_args)
    rows = get_dataset(template, model_args, data_args, training_args, stage="sft", **loaded)["train_dataset"]
    read[name] = [loaded["tokenizer"].decode(row["input_ids"]) for row in rows]
print("BEGIN")
print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("llamafactory", "transformers", "torch")))
for name, texts in read.items():
    for text in texts:
        print(f"{name}: {text!r}")
print("END")
as_openai, as_sharegpt = read["as_openai"], read["as_sharegpt"]
same = not any("detailed thinking" in text for text in as_sharegpt)
added = all("detailed thinking off" in text for text in as_openai)
sys.exit(None if same and added else "the system turns are read otherwise now")
PYTHON
sed -n '/^BEGIN$/,/^END$/p' "$folder/log" | sed '1d;$d'
