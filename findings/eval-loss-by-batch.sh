#!/usr/bin/env bash
# TRL 1.16.0 with transformers 5.24.0: `eval_loss` depends on per_device_eval_batch_size, `loss` of the training does
# not.
#
# While it trains, the trainer divides the summed loss of a step by the step's tokens, so that micro batches of any
# size give one figure. Evaluating, it takes each batch's mean over its tokens and averages these by rows: a token of a
# short answer in a batch of its own weighs more than one of a long answer. With batches of one it is a mean over rows,
# with one batch of all a mean over tokens. So the two curves of a plot are of different quantities, exp(eval_loss) is
# no perplexity of the set, and runs that differ in the evaluation's batch size alone cannot be compared. Nothing says
# so.
#
# Seen: one model, eight rows with answers of 1 to 50 letters: the training's loss 6.60 by micro batches of 1 and of 8;
# eval_loss of the same rows 6.16 by batches of 1, 6.60 of 8. Exits 1 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.13.0 transformers==5.24.0 trl==1.16.0 datasets==5.2.0
cd "$folder"
export HF_HUB_OFFLINE=1 HF_HOME="$folder/hub"
"$folder/venv/bin/python" -W ignore - >"$folder/log" 2>&1 <<'PYTHON' || { tail -30 "$folder/log"; exit 1; }
import importlib.metadata
import sys

import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
backend = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
backend.decoder = decoders.ByteLevel()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>", pad_token="<pad>")
torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                                     num_attention_heads=4, initializer_range=0.3))
LETTERS = (1, 30, 2, 40, 1, 3, 50, 2)
rows = Dataset.from_list([{"prompt": "Say it: ", "completion": "a" * letters} for letters in LETTERS])


def figures(batch: int) -> tuple[float, float]:
    """The loss of one step without an effect on all rows, and eval_loss of the same rows, by batches of so many."""
    config = SFTConfig("out", per_device_train_batch_size=batch, gradient_accumulation_steps=len(rows) // batch,
                       per_device_eval_batch_size=batch, learning_rate=1e-12, num_train_epochs=1, logging_steps=1,
                       use_cpu=True, bf16=False, report_to="none", save_strategy="no", disable_tqdm=True)
    trainer = SFTTrainer(model, config, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer)
    return trainer.train().training_loss, trainer.evaluate()["eval_loss"]


loss, evaluated = {}, {}
for batch in (1, 2, 4, 8):
    loss[batch], evaluated[batch] = figures(batch)
versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("trl", "transformers", "torch"))
print(f"RESULT {versions}")
print("RESULT training, by micro batch:", {batch: round(value, 3) for batch, value in loss.items()})
print("RESULT eval_loss, by batch:", {batch: round(value, 3) for batch, value in evaluated.items()})
one_loss = max(loss.values()) - min(loss.values()) < 1e-4
as_seen = one_loss and abs(evaluated[8] - loss[8]) < 1e-4 and abs(evaluated[1] - loss[1]) > 0.05
sys.exit(0 if as_seen else "eval_loss is weighed otherwise now")
PYTHON
sed -n 's/^RESULT //p' "$folder/log"
