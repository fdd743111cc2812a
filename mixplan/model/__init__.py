"""A model spec in, a loaded causal LM out, untrained or trained, that is read after any block or asked to answer."""

from mixplan.model.answers import Answer, Sampling, generate
from mixplan.model.held import give_back_template, hold_template, special_tokens, template_source
from mixplan.model.load import Model, decoder_blocks, embedded_folder, fingerprint_tensors, load_model, text_config
from mixplan.model.place import DTYPES, give_back_memory, resolve_device, resolve_dtype, use_threads
from mixplan.model.stream import final_norm, read_stream
from mixplan.model.text import answered_tokens, chat_template, render, spoken, tokens_of_place
from mixplan.model.trained import load_trained

__all__ = [
    "DTYPES",
    "Answer",
    "Model",
    "Sampling",
    "answered_tokens",
    "chat_template",
    "decoder_blocks",
    "embedded_folder",
    "final_norm",
    "fingerprint_tensors",
    "generate",
    "give_back_memory",
    "give_back_template",
    "hold_template",
    "load_model",
    "load_trained",
    "read_stream",
    "render",
    "resolve_device",
    "resolve_dtype",
    "special_tokens",
    "spoken",
    "template_source",
    "text_config",
    "tokens_of_place",
    "use_threads",
]
