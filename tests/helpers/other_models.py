"""Builds tiny random image-text models and mixtures of experts, saved as `from_pretrained` reads them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from conftest import EMBEDDED_TOKENS, save_tokenizer

TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "vocab_size": EMBEDDED_TOKENS,
    "initializer_range": 0.2,
}
TEXT = {**SIZES, **TOKENS, "head_dim": 8}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
QWEN_VISION = {"depth": 2, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 32}
QWEN_TOKENS = {"image_token_id": 316, "video_token_id": 317, "vision_start_token_id": 318, "vision_end_token_id": 319}
TURNS = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [1, 1, 2]}


def mistral3() -> Any:
    """Mistral 3, whose vision tower is Pixtral's."""
    vision = {"model_type": "pixtral", "head_dim": 8, **VISION}
    text = {"model_type": "mistral", **TEXT}
    return transformers.Mistral3Config(text_config=text, vision_config=vision, image_token_index=316)


def llava() -> Any:
    """Llava on a Llama."""
    vision, text = {"model_type": "clip_vision_model", **VISION}, {"model_type": "llama", **TEXT}
    return transformers.LlavaConfig(text_config=text, vision_config=vision, image_token_index=316)


def gemma3() -> Any:
    """Gemma 3 with its vision tower."""
    return transformers.Gemma3Config(
        text_config={"model_type": "gemma3_text", "sliding_window": 16, **TEXT},
        vision_config={"model_type": "siglip_vision_model", **VISION},
        mm_tokens_per_image=4,
        image_token_index=316,
        boi_token_index=317,
        eoi_token_index=318,
    )


def gemma4() -> Any:
    """Gemma 4 with its vision tower and no audio."""
    per_layer = {"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": EMBEDDED_TOKENS}
    text = {**TEXT, **per_layer, "sliding_window": 16, "global_head_dim": 8, "num_global_key_value_heads": 2}
    vision = {name: VISION[name] for name in VISION if name not in ("image_size", "patch_size")}
    return transformers.Gemma4Config(
        text_config={"model_type": "gemma4_text", **text},
        vision_config={**vision, "num_key_value_heads": 2, "head_dim": 8},
        audio_config=None,
        image_token_id=315,
        video_token_id=316,
        audio_token_id=317,
        boi_token_id=318,
        eoi_token_id=319,
    )


def qwen2_5_vl() -> Any:
    """Qwen2.5-VL, whose positions have three parts."""
    text, vision = {**SIZES, **TOKENS, "rope_parameters": TURNS}, {**QWEN_VISION, "fullatt_block_indexes": [1]}
    return transformers.Qwen2_5_VLConfig(text_config=text, vision_config=vision, **QWEN_TOKENS)


def qwen3_vl() -> Any:
    """Qwen3-VL, whose tower also adds to the first blocks' outputs."""
    text = {**TEXT, "rope_parameters": {**TURNS, "mrope_interleaved": True}}
    vision = {**QWEN_VISION, "deepstack_visual_indexes": [0]}
    return transformers.Qwen3VLConfig(text_config=text, vision_config=vision, **QWEN_TOKENS)


WRAPPED: dict[str, Callable[[], Any]] = {
    build.__name__: build for build in (mistral3, llava, gemma3, gemma4, qwen2_5_vl, qwen3_vl)
}


def qwen3_moe() -> Any:
    """Qwen3 with four experts, two a token."""
    experts = {"moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2, "decoder_sparse_step": 1}
    return transformers.Qwen3MoeConfig(**TEXT, **experts)


def mixtral() -> Any:
    """Mixtral with four experts."""
    return transformers.MixtralConfig(**TEXT, num_local_experts=4, num_experts_per_tok=2)


def olmoe() -> Any:
    """OLMoE with four experts."""
    return transformers.OlmoeConfig(**SIZES, **TOKENS, num_experts=4, num_experts_per_tok=2)


def gpt_oss() -> Any:
    """gpt-oss with four experts."""
    return transformers.GptOssConfig(**TEXT, num_local_experts=4, num_experts_per_tok=2, sliding_window=16)


EXPERTS: dict[str, Callable[[], Any]] = {build.__name__: build for build in (qwen3_moe, mixtral, olmoe, gpt_oss)}
PROCESSOR = {"preprocessor_config.json": {"image_mean": [0.5, 0.5, 0.5]}, "processor_config.json": {"patch_size": 14}}
"""Files beside a wrapped model's weights that its processor needs."""


def save_other(config: Any, folder: Path, *, seed: int = 0, **changes: Any) -> Path:
    """Save a random model of a config with the tests' tokenizer; a wrapped one has files for a processor.

    Args:
        config: A transformers config.
        folder: Where to save; made when it is not there.
        seed: Of the random parameters.
        changes: Entries of the saved config.json to change.
    """
    from mixplan.model import model_class

    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model_class(config, "test")(config).save_pretrained(folder)
    values = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({key: values[key] for key in values if values[key] is not None}))
    if "vision_config" in values:
        for name, value in PROCESSOR.items():
            (folder / name).write_text(json.dumps(value))
    return folder
