"""States what a small job trains with, for tests of how each trainer's config says it."""

from typing import Any

from mixplan.export.training import Training

VALUES = {
    "learning_rate": 3e-4, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 3,
    "lr_scheduler_type": "cosine", "warmup_steps": 0.1, "weight_decay": 0.01, "max_grad_norm": 0.5,
    "adam_beta1": 0.8, "adam_beta2": 0.95, "adam_epsilon": 1e-7,
}  # fmt: skip
LORA = {
    "r": 4,
    "lora_alpha": 16,
    "lora_dropout": 0.05,
    "target_modules": ["q_proj", "v_proj"],
    "task_type": "CAUSAL_LM",
}


def training(values: dict[str, Any] | None = None, **changes: Any) -> Training:
    """The small job, with further arguments and other fields."""
    fields = {
        "model": "org/base", "revision": "v2", "trust_remote_code": False, "cpu": False, "bf16": True, "fp16": False,
        "seed": 5, "epochs": 2.0, "values": VALUES | (values or {}), "lora": LORA, "max_length": 64, "notes": (),
    }  # fmt: skip
    return Training(**{**fields, **changes})
