"""Saves a LoRA adapter of random values, with the logits that it gives."""

import peft
import torch
from transformers import AutoModelForCausalLM

TOKENS = torch.tensor([[1, 40, 50, 60, 70]])


def save_adapter(base, folder, *, scale=0.2):
    """Train an adapter in no time: random values in both of its matrices."""
    lm = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    wrapped = peft.get_peft_model(lm, peft.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"))
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in wrapped.named_parameters():
            if "lora_" in name:
                value.copy_(torch.randn(value.shape, generator=draw) * scale)
    wrapped.save_pretrained(folder)
    with torch.inference_mode():
        return wrapped.eval()(input_ids=TOKENS).logits.float()
