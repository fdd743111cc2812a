"""Loads a causal LM, untrained or trained, reads it after any block, and has it answer."""

from mixplan.model.answers import Answer, Sampling, generate
from mixplan.model.classes import decoder_blocks, is_wrapped, model_class, text_config
from mixplan.model.load import Model, embedded_folder, fingerprint_tensors, load_model
from mixplan.model.place import DTYPES, give_back_memory, resolve_device, resolve_dtype, use_threads
from mixplan.model.stream import final_norm, read_stream
from mixplan.model.text import answered, render
from mixplan.model.trained import load_trained

__all__ = [
    "DTYPES",
    "Answer",
    "Model",
    "Sampling",
    "answered",
    "decoder_blocks",
    "embedded_folder",
    "final_norm",
    "fingerprint_tensors",
    "generate",
    "give_back_memory",
    "is_wrapped",
    "load_model",
    "load_trained",
    "model_class",
    "read_stream",
    "render",
    "resolve_device",
    "resolve_dtype",
    "text_config",
    "use_threads",
]
