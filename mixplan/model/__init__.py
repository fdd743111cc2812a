"""Loads a causal LM, untrained or trained, reads it after any block, and generates its answers."""

from mixplan.model.answers import Answer, Sampling, generate, generation_way, padding_way, sampled_ends
from mixplan.model.attention import has_windows, masks_by_kind
from mixplan.model.converted import embedded_folder
from mixplan.model.device import (
    DTYPES,
    give_back_memory,
    keep_freed_memory,
    resolve_device,
    resolve_dtype,
    use_threads,
)
from mixplan.model.families import decoder_blocks, is_wrapped, model_class, text_config
from mixplan.model.load import Model, fingerprint_tensors, load_model
from mixplan.model.selfcheck import Checked, Way, settled, slower
from mixplan.model.stream import at_depth, check_depth, decoder_of, read_stream, taken, takes_positions
from mixplan.model.text import answered_tokens, chat_template, render, spoken, text_hash, tokens_of_place
from mixplan.model.tokenizer_template import give_back_template, hold_template, special_tokens, template_source
from mixplan.model.trained import load_trained
from mixplan.model.unpacked_reading import own_cache, read_behind

__all__ = [
    "DTYPES",
    "Answer",
    "Checked",
    "Model",
    "Sampling",
    "Way",
    "answered_tokens",
    "at_depth",
    "chat_template",
    "check_depth",
    "decoder_blocks",
    "decoder_of",
    "embedded_folder",
    "fingerprint_tensors",
    "generate",
    "generation_way",
    "give_back_memory",
    "give_back_template",
    "has_windows",
    "hold_template",
    "is_wrapped",
    "keep_freed_memory",
    "load_model",
    "load_trained",
    "masks_by_kind",
    "model_class",
    "own_cache",
    "padding_way",
    "read_behind",
    "read_stream",
    "render",
    "resolve_device",
    "resolve_dtype",
    "sampled_ends",
    "settled",
    "slower",
    "special_tokens",
    "spoken",
    "taken",
    "takes_positions",
    "template_source",
    "text_config",
    "text_hash",
    "tokens_of_place",
    "use_threads",
]
