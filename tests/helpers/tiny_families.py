"""Builds a causal LM of any family of the installed transformers, tiny and random, from its config class."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from mixplan.model import Model, decoder_blocks, text_config

TOKENS, LAYERS, REACH, WINDOW = 320, 4, 16, 256

SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "dim", "word_embed_proj_dim", "embedding_size"), 32),
    **dict.fromkeys(("emb_dim", "hidden_dim", "lru_width", "global_d_model"), 32),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "decoder_ffn_dim", "encoder_ffn_dim", "n_inner", "d_ff"), 64),
    **dict.fromkeys(("d_inner", "ffn_hidden_size", "dense_intermediate_size", "mlp_intermediate_size"), 64),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers"), LAYERS),
    **dict.fromkeys(("encoder_layers", "num_decoder_layers", "num_encoder_layers"), LAYERS),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "num_decoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "kv_n_heads"), 2),
    **dict.fromkeys(("head_dim", "attention_head_dim"), 8),
    "global_head_dim": 8,
    **dict.fromkeys(("vocab_size", "n_tokens", "vocab_size_per_layer_input"), TOKENS),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_length"), WINDOW),
    **dict.fromkeys(("max_sequence_length", "seq_length", "max_target_positions", "context_length"), WINDOW),
    **dict.fromkeys(("sliding_window", "sliding_window_size", "window_size", "attention_window_size"), REACH),
    **dict.fromkeys(("attention_chunk_size", "local_window_size", "local_attention", "index_topk"), REACH),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "expert_ffn_hidden_size"), 32),
    **dict.fromkeys(("moe_shared_expert_intermediate_size", "shared_intermediate_size", "expert_dim"), 32),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk", "top_k_experts"), 2),
    **dict.fromkeys(("n_group", "topk_group", "n_shared_experts", "num_shared_experts"), 1),
    **dict.fromkeys(("zero_expert_num",), 2),
    "kv_lora_rank": 8,
    "q_lora_rank": 16,
    "o_lora_rank": 8,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "qk_head_dim": 16,
    "v_head_dim": 8,
    "index_head_dim": 8,
    "index_n_heads": 32,
    "rotary_dim": 4,
    "state_size": 8,
    "ssm_state_size": 8,
    "mamba_d_state": 8,
    "mamba_n_heads": 8,
    "mamba_num_heads": 8,
    "mamba_d_head": 8,
    "mamba_head_dim": 8,
    "n_mamba_heads": 2,
    "mamba_headdim": 8,
    "mamba_ngroups": 1,
    "mamba_n_groups": 1,
    "mamba_d_ssm": 64,
    "n_groups": 1,
    "mamba_chunk_size": 8,
    "chunk_size": 8,
    "time_step_rank": 4,
    "mamba_dt_rank": 4,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "first_k_dense_replace": 1,
    "moe_layer_start_index": 1,
    "hidden_size_per_layer_input": 8,
    "laurel_rank": 4,
    "num_kv_shared_layers": 0,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "is_decoder": True,
    "initializer_range": 0.2,
    "init_std": 0.2,
    "use_cache": True,
    "dropout": 0.0,
    "tie_word_embeddings": False,
}
"""Sizes by the names that config classes give them; a class is given those that it has."""

# What a family needs besides, where the sizes above do not fit each other in it.
HEADS = {"num_key_value_heads": 4}
TURNS = ["conv", "full_attention"] * 2
MIXED = ["sliding_attention", "full_attention"] * 2
WINDOWED = {"use_sliding_window": True, "sliding_window": REACH, "layer_types": MIXED, "max_window_layers": 0}
ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
OWN: dict[str, dict[str, Any]] = {
    "bailing_hybrid": HEADS
    | {"head_dim": 8, "n_group": 1, "topk_group": 1, "num_experts": 4, "num_experts_per_tok": 2},
    "bamba": {"attn_layer_indices": [1, 3]},
    "cohere_compass_text": {"layer_types": MIXED, "rope_parameters": dict.fromkeys(MIXED, ROPE)},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    "dbrx": {"attn_config": {"rope_theta": 10000.0, "clip_qkv": 8.0}},
    "dots3_note": {
        "text_config": HEADS,
        "vision_config": {"adapter_in_dim": 32, "adapter_out_dim": 32},
        "audio_config": {"adapter_out_dim": 32, "adapter_input_size": 32},
    },
    "dots3_note_text": HEADS,
    "falcon": {"new_decoder_architecture": False},
    "gemma4_assistant": {"text_config": {"hidden_size_per_layer_input": 0}},
    "granitemoehybrid": {"layer_types": ["linear_attention", "full_attention"] * 2, "position_embedding_type": "rope"},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1},
    "kimi_linear": {"linear_head_dim": 8, "linear_num_heads": 4},
    "qwen3_5": {"text_config": {"initializer_range": 0.08}},
    "qwen3_5_moe": {"text_config": {"initializer_range": 0.08}},
    "qwen3_5_text": {"initializer_range": 0.08},
    "qwen3_5_moe_text": {"initializer_range": 0.08},
    "qwen3_next": {"initializer_range": 0.08},
    "lfm2": {"layer_types": TURNS, "full_attn_idxs": None},
    "lfm2_moe": {"layer_types": TURNS, "num_dense_layers": 1},
    "deepseek_v2": {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    "ministral": {"layer_types": MIXED},
    "nemotron": {"head_dim": 8, "num_key_value_heads": 2},
    "mllama": {"text_config": {"cross_attention_layers": [0]}},
    "mamba2": {"num_heads": 8, "head_dim": 8},
    "qwen4_exp": {"text_config": {"indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 8,
                                  "indexer_budget": REACH, "indexer_compress_ratio": 4, "ngram_vocab_size_base": 400,
                                  "ple_embed_dim": 8, "hc_lowrank": 8, "split_ngram_parts": 2}},
    "recurrent_gemma": {"block_types": ["recurrent", "attention"]},
    "olmo_hybrid": {"initializer_range": 0.08},
    "reformer": {"axial_pos_embds_dim": [16, 16], "axial_pos_shape": [16, 16], "num_buckets": 4,
                 "attn_layers": ["local", "lsh"] * 2, "attention_head_size": 8, "feed_forward_size": 64},
    "xlm": {"causal": True},
    "xlnet": {"attn_type": "uni"},
    "xlstm": {"qk_dim_factor": 1.0, "chunk_size": 8},
    "xmod": {"default_language": "en_XX"},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid"] * 2, "n_mamba_heads": 8,
               "initializer_range": 0.08},
    "zaya": {"num_experts_per_tok": 1},
}  # fmt: skip
OWN["qwen4_exp_text"] = OWN["qwen4_exp"]["text_config"]
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen2 with windows": ("qwen2", WINDOWED),
    "qwen3 with windows": ("qwen3", WINDOWED),
    "smollm3 with windows": ("smollm3", WINDOWED),
    "qwen2_moe with a window of 0": ("qwen2_moe", {"sliding_window": 0, "use_sliding_window": False}),
    "falcon with alibi": ("falcon", {"alibi": True}),
    "phi3 with longrope": ("phi3", {
        "original_max_position_embeddings": 32,
        "rope_parameters": {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4,
                            "long_factor": [4.0] * 4, "original_max_position_embeddings": 32},
    }),
    "llama with dynamic rope": ("llama", {
        "rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0,
                            "original_max_position_embeddings": 32},
    }),
}  # fmt: skip
"""Families in a setting that is read otherwise than their default one."""

ASKED = {"head_dim"}
"""Sizes that are given even where a config class leaves them to be asked for."""


def model_types() -> list[str]:
    """Every model type that has a causal LM class, and some of them in further settings."""
    return sorted([*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *VARIANTS])


def tiny_config(model_type: str) -> Any:
    """A config of the family: 4 layers of width 32, a window of 256 tokens, layers that see 16 tokens.

    Kinds of layers take turns, so that each kind that the family has by default stands there.
    """
    name, own = VARIANTS.get(model_type, (model_type, {}))
    return shrunk(CONFIG_MAPPING[name], OWN.get(name, {}) | own)


def shrunk(kind: Any, own: dict[str, Any]) -> Any:
    """A config of a class with small sizes, configs inside it too."""
    default = kind()
    values = vars(default) | {name: getattr(default, name, None) for name in getattr(kind, "attribute_map", {})}
    inner = {
        name: value for name, value in values.items() if hasattr(value, "to_dict") and hasattr(value, "model_type")
    }
    given = {
        name: value for name, value in SIZES.items() if values.get(name) is not None or name in ASKED & set(values)
    }
    for name in ("sliding_window", "attention_chunk_size"):
        if name in values:
            given[name] = REACH
    if values.get("kv_lora_rank") and "num_key_value_heads" in given:
        given |= HEADS
    given = {name: value for name, value in given.items() if name not in getattr(kind, "attribute_map", {})}
    for name, value in inner.items():
        given[name] = shrunk(type(value), own.get(name, {}))
    given |= {n: v for n, v in turns(values).items() if n not in getattr(kind, "attribute_map", {})}
    given |= {name: value for name, value in own.items() if name not in inner}
    renamed = getattr(kind, "attribute_map", {})
    fixed = {name for name in given if isinstance(getattr(kind, renamed.get(name, name), None), property)}
    return kind(**{name: value for name, value in given.items() if name not in fixed})


def turns(values: dict[str, Any]) -> dict[str, Any]:
    """Per-layer lists of a default config, each kind of layer in turn."""
    found = {}
    count = next((values[name] for name in ("num_hidden_layers", "n_layer", "num_layers") if values.get(name)), None)
    for name, value in values.items():
        if isinstance(value, list | tuple) and len(value) == count and count > 2 and all(map(is_plain, value)):
            kinds = list(dict.fromkeys(value))
            found[name] = [kinds[place % len(kinds)] for place in range(LAYERS)]
    return found


def is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def tiny_lm(model_type: str, *, seed: int = 0) -> Any:
    """A random causal LM of the family, in float32, with parameters large enough that its layers matter."""
    config = tiny_config(model_type)
    torch.manual_seed(seed)
    try:
        lm = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    except ValueError:
        name = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[config.model_type]
        lm = getattr(importlib.import_module("transformers"), name)(config).float()
    stir(lm)
    return lm.eval().requires_grad_(False)


def stir(lm: Any) -> None:
    """Make constant parameters random, so that a forgotten bias, scale or sink shows, and tiny ones larger."""
    with torch.no_grad():
        for name, value in lm.named_parameters():
            if value.numel() > 1 and value.is_floating_point():
                spread = float(value.std())
                if "q_norm" in name:
                    value.mul_(0.3)  # sharp attention would carry rounding further than any fault is allowed
                if spread == 0:
                    value.add_(torch.randn_like(value) * 0.1)
                elif value.ndim == 2 and spread < 0.05 and "A_log" not in name:
                    value.mul_(0.2 / spread)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Words `w6` to `w319`, with tokens that pad, begin and end a text."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "<4>": 4, "<5>": 5} | {f"w{n}": n for n in range(6, TOKENS)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        additional_special_tokens=["<4>", "<5>"],
    )  # fmt: skip


def tiny_model(model_type: str, *, seed: int = 0) -> Model:
    """A tiny random model of the family, as `load_model` would give it."""
    lm = tiny_lm(model_type, seed=seed)
    return Model(
        lm=lm,
        tokenizer=tiny_tokenizer(),
        name=f"tiny {model_type}",
        dtype="float32",
        why_dtype="it was asked for",
        device=torch.device("cpu"),
        blocks=decoder_blocks(lm),
        window=int(getattr(text_config(lm), "max_position_embeddings", None) or 256),
        weights=f"tiny {model_type} {seed}",
        settings="",
    )
