#!/usr/bin/env bash
# SAELens 6.54.12: a BatchTopK SAE trained for a short time and saved for inference fires on far more features than k.
#
# BatchTopKTrainingSAE keeps a running mean of each batch's smallest kept activation (rate 0.01 a step) and saves it as
# the threshold of a JumpReLU SAE. The mean starts at 0 and is not corrected for that, so that after n steps it still
# holds 0.99^n of the 0: 37 % after 100 steps, 5 % after 300. In training exactly k features a token fire, so nothing
# in the loss or the logged L0 shows it; only the saved SAE differs.
#
# Seen: k = 8, 100 steps: L0 8.00 in training, 52.9 on the same tokens once saved (threshold 0.347 for 0.681). Exits 1
# where that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 sae-lens==6.54.12
"$folder/venv/bin/python" -W ignore - "$folder" <<'PYTHON'
import importlib.metadata
import sys

import torch
from sae_lens import SAE, BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.config import LoggingConfig, SAETrainerConfig
from sae_lens.training.sae_trainer import SAETrainer

K, STEPS, BATCH, D_IN, D_SAE = 8, 100, 512, 64, 512
torch.manual_seed(0)
directions = torch.nn.functional.normalize(torch.randn(D_SAE, D_IN), dim=1)


def batch(tokens: int) -> torch.Tensor:
    """Tokens made of 8 of 512 directions each."""
    chosen = torch.rand(tokens, D_SAE).topk(K, dim=1).indices
    return (directions[chosen] * (1 + torch.rand(tokens, K, 1))).sum(1)


sae = BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(d_in=D_IN, d_sae=D_SAE, k=K))
data = iter([batch(BATCH) for _ in range(STEPS)])
config = SAETrainerConfig(total_training_samples=STEPS * BATCH, train_batch_size_samples=BATCH, lr=3e-3, lr_end=3e-4,
                          lr_warm_up_steps=0, lr_decay_steps=25, dead_feature_window=1000, device="cpu", autocast=False,
                          n_checkpoints=0, checkpoint_path=None, save_final_checkpoint=False,
                          logger=LoggingConfig(log_to_wandb=False))
SAETrainer(config, sae, data_provider=data).fit()
tokens = batch(4096)
sae.eval()
in_training = float((sae.encode(tokens) > 0).sum(1).float().mean())
sae.save_inference_model(sys.argv[1] + "/sae")
saved = SAE.load_from_disk(sys.argv[1] + "/sae")
once_saved = float((saved.encode(tokens) > 0).sum(1).float().mean())
kept = float(saved.threshold[0])
pre = (sae.encode_with_hidden_pre(tokens)[1]).flatten()
right = float(pre.topk(K * len(tokens)).values[-1])
print(f"sae-lens {importlib.metadata.version('sae-lens')}, torch {torch.__version__}, k = {K}, {STEPS} steps")
print(f"L0 with the training SAE {in_training:.2f}, with the saved one {once_saved:.2f}")
print(f"threshold saved {kept:.3f}, that keeps {K} a token {right:.3f}; 1 - 0.99^{STEPS} = {1 - 0.99**STEPS:.3f}")
changed = abs(in_training - K) > 0.1 or once_saved < 1.3 * K
sys.exit("the saved SAE keeps its L0 now" if changed else 0)
PYTHON
