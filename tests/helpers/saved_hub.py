"""Writes snapshots into the hub's cache, laid out as the hub's own repositories are."""

import hashlib
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file

LLAMA3 = (
    "{% for message in messages %}{{ bos_token if loop.first }}<|start_header_id|>{{ message['role'] }}"
    "<|end_header_id|>\n\n{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
QWEN2 = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GEMMA2 = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}"
    "{% endif %}<start_of_turn>{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
    "{{ message['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
"""Each architecture's manner: Qwen adds a system turn and has no sequence-start token, Gemma refuses system turns."""


def lay(kind: str, name: str) -> Path:
    """An empty snapshot in the hub's cache, current under `main`; what was there goes.

    Args:
        kind: `models` or `datasets`.
        name: Its hub id.
    """
    root = Path(os.environ["HF_HOME"]) / "hub" / f"{kind}--{name.replace('/', '--')}"
    # Each repository has commits of its own; `datasets` tells its copies apart by them.
    commit = hashlib.sha256(f"{kind}/{name}".encode()).hexdigest()[:40]
    shutil.rmtree(root, ignore_errors=True)
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    (root / "snapshots" / commit).mkdir(parents=True)
    return root / "snapshots" / commit


def lay_parquet(name: str, splits: dict[str, list[dict[str, Any]]]) -> None:
    """A data set of Parquet files, its splits named in the card."""
    folder = lay("datasets", name)
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split, rows in splits.items():
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), buffer)
        (folder / f"{split}.parquet").write_bytes(buffer.getvalue())
        lines += [f"  - split: {split}", f"    path: {split}.parquet"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))


def speak(folder: Path, template: str, *, sequence_start: bool) -> None:
    """Give a saved tokenizer another chat template, and perhaps no sequence-start token."""
    (folder / "chat_template.jinja").write_text(template)
    if not sequence_start:
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"bos_token": None}))


def tensors(d_in: int, d_sae: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """An SAE's random parameters, `[d_in, d_sae]` and so on, under SAELens's names; thresholds are positive."""
    draw = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw) * (d_in**-0.5 if len(shape) == 2 else 0.1)

    return {
        "W_enc": random(d_in, d_sae),
        "W_dec": random(d_sae, d_in),
        "b_enc": random(d_sae),
        "b_dec": random(d_in),
        "threshold": random(d_sae).abs() + 0.1,
    }


def save_saelens5(folder: Path, hook_name: str, model_name: str, parameters: dict[str, torch.Tensor]) -> None:
    """A standard SAE as SAELens 5 left it: one flat cfg.json, and a scaling factor that does nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    d_in, d_sae = parameters["W_enc"].shape
    config = {
        "architecture": "standard",
        "d_in": d_in,
        "d_sae": d_sae,
        "activation_fn_str": "relu",
        "apply_b_dec_to_input": True,
        "finetuning_scaling_factor": False,
        "context_size": 512,
        "model_name": model_name,
        "hook_name": hook_name,
        "hook_layer": int(hook_name.split(".")[1]),
        "hook_head_index": None,
        "prepend_bos": True,
        "normalize_activations": "none",
        "dtype": "torch.float32",
        "device": "cuda",
        "sae_lens_training_version": "5.1.0",
    }
    (folder / "cfg.json").write_text(json.dumps(config))
    kept = {name: value for name, value in parameters.items() if name != "threshold"}
    save_file(kept | {"scaling_factor": torch.ones(d_sae)}, folder / "sae_weights.safetensors")


def save_dictionary_learning(
    folder: Path, layer: int, model_name: str, parameters: dict[str, torch.Tensor], threshold: float = 0.1
) -> None:
    """A BatchTopK SAE as the dictionary_learning library leaves it: config.json and ae.pt."""
    folder.mkdir(parents=True, exist_ok=True)
    d_in, d_sae = parameters["W_enc"].shape
    trainer = {
        "trainer_class": "BatchTopKTrainer",
        "dict_class": "BatchTopKSAE",
        "activation_dim": d_in,
        "dict_size": d_sae,
        "k": 64,
        "layer": layer,
        "lm_name": model_name,
        "submodule_name": f"resid_post_layer_{layer}",
    }
    (folder / "config.json").write_text(
        json.dumps({"trainer": trainer, "buffer": {"d_submodule": d_in, "ctx_len": 1024}})
    )
    state = {
        "b_dec": parameters["b_dec"],
        "k": torch.tensor(64),
        "threshold": torch.tensor(threshold),
        "decoder.weight": parameters["W_dec"].T.contiguous(),
        "encoder.weight": parameters["W_enc"].T.contiguous(),
        "encoder.bias": parameters["b_enc"],
    }
    torch.save(state, folder / "ae.pt")


def save_gemma_scope2(folder: Path, hook: str, model_name: str, parameters: dict[str, torch.Tensor]) -> None:
    """A JumpReLU SAE as Gemma Scope 2 has it: config.json without widths, and params.safetensors in lower case.

    Args:
        folder: Such as `resid_post/layer_9_width_16k_l0_small` in its repository.
        hook: transformers' name of what is read, such as `model.layers.9.output`.
        model_name: As its config spells it, such as `gemma-v3-1b-it`.
        parameters: Of `tensors`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {"architecture": "jump_relu", "model_name": model_name, "hf_hook_point_in": hook, "width": 16384}
    (folder / "config.json").write_text(json.dumps(config))
    save_file({name.lower(): value for name, value in parameters.items()}, folder / "params.safetensors")


def save_sparsify(folder: Path, k: int, parameters: dict[str, torch.Tensor], **changes: Any) -> None:
    """A top-k SAE as EleutherAI's sparsify 1.3 leaves it: cfg.json and sae.safetensors, its folder named by the module.

    Args:
        folder: Such as `layers.10` in its repository, beside the training's config.json.
        k: Active features a token.
        parameters: Of `tensors`.
        changes: Entries of cfg.json to change, such as `transcode=True`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    d_in, d_sae = parameters["W_enc"].shape
    config = {"activation": "topk", "expansion_factor": 32, "normalize_decoder": True, "num_latents": d_sae, "k": k,
              "multi_topk": False, "skip_connection": False, "transcode": False, "d_in": d_in}  # fmt: skip
    (folder / "cfg.json").write_text(json.dumps(config | changes))
    names = {"encoder.weight": parameters["W_enc"].T.contiguous(), "encoder.bias": parameters["b_enc"],
             "W_dec": parameters["W_dec"], "b_dec": parameters["b_dec"]}  # fmt: skip
    save_file(names, folder / "sae.safetensors")


def save_llama_scope_r1(folder: Path, hook_name: str, parameters: dict[str, torch.Tensor]) -> None:
    """A JumpReLU SAE as Llama Scope's release for R1-Distill has it: its thresholds are stored as logarithms."""
    folder.mkdir(parents=True, exist_ok=True)
    d_in, d_sae = parameters["W_enc"].shape
    config = {"d_model": d_in, "expansion_factor": d_sae // d_in, "hook_point_in": hook_name}
    (folder / "config.json").write_text(json.dumps(config))
    state = {
        "encoder.weight": parameters["W_enc"].T.contiguous(),
        "decoder.weight": parameters["W_dec"].T.contiguous(),
        "encoder.bias": parameters["b_enc"],
        "decoder.bias": parameters["b_dec"],
        "log_jumprelu_threshold": parameters["threshold"].log(),
    }
    save_file(state, folder / "sae_weights.safetensors")


def save_qwen_scope(file: Path, parameters: dict[str, torch.Tensor]) -> None:
    """A top-k SAE as Qwen-Scope has it: one torch file a layer, both matrices transposed against SAELens's."""
    file.parent.mkdir(parents=True, exist_ok=True)
    matrices = {name: parameters[name].T.contiguous() for name in ("W_enc", "W_dec")}
    torch.save(matrices | {name: parameters[name] for name in ("b_enc", "b_dec")}, file)


def save_goodfire(file: Path, parameters: dict[str, torch.Tensor]) -> None:
    """A standard SAE as Goodfire's releases have it: one torch file of two linear layers."""
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "encoder_linear.weight": parameters["W_enc"].T.contiguous(),
            "decoder_linear.weight": parameters["W_dec"].T.contiguous(),
            "encoder_linear.bias": parameters["b_enc"],
            "decoder_linear.bias": parameters["b_dec"],
        },
        file,
    )


def save_gemma_scope(folder: Path, parameters: dict[str, torch.Tensor]) -> None:
    """A JumpReLU SAE as Gemma Scope has it: params.npz alone."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "params.npz", **{name: value.numpy() for name, value in parameters.items()})
