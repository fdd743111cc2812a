"""Loads a causal LM, untrained or trained, reads it after any block, and has it answer."""

from mixplan.model.answers import Answer, Sampling, generate
from mixplan.model.apart import own_cache, read_behind
from mixplan.model.attention import has_windows, masks_by_kind
from mixplan.model.classes import decoder_blocks, is_wrapped, model_class, text_config
from mixplan.model.load import Model, embedded_folder, fingerprint_tensors, load_model
from mixplan.model.place import DTYPES, give_back_memory, resolve_device, resolve_dtype, use_threads
from mixplan.model.selfcheck import Checked, Way, settled
from mixplan.model.stream import at_depth, check_depth, decoder_of, read_stream, taken, takes_positions
from mixplan.model.text import answered, render
from mixplan.model.trained import load_trained

__all__ = [
    "DTYPES",
    "Answer",
    "Checked",
    "Model",
    "Sampling",
    "Way",
    "answered",
    "at_depth",
    "check_depth",
    "decoder_blocks",
    "decoder_of",
    "embedded_folder",
    "fingerprint_tensors",
    "generate",
    "give_back_memory",
    "has_windows",
    "is_wrapped",
    "load_model",
    "load_trained",
    "masks_by_kind",
    "model_class",
    "own_cache",
    "read_behind",
    "read_stream",
    "render",
    "resolve_device",
    "resolve_dtype",
    "settled",
    "taken",
    "takes_positions",
    "text_config",
    "use_threads",
]
