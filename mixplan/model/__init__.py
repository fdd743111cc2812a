"""A model spec in, a loaded causal LM out, untrained or trained, that is read after any block or asked to answer."""

from mixplan.model.answers import Answer, Sampling, generate, generation_way
from mixplan.model.apart import own_cache, read_behind
from mixplan.model.attention import has_windows, masks_by_kind
from mixplan.model.load import Model, decoder_blocks, embedded_folder, fingerprint_tensors, load_model, text_config
from mixplan.model.place import DTYPES, give_back_memory, resolve_device, resolve_dtype, use_threads
from mixplan.model.selfcheck import Checked, Way, settled, slower
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
    "generation_way",
    "give_back_memory",
    "has_windows",
    "load_model",
    "load_trained",
    "masks_by_kind",
    "own_cache",
    "read_behind",
    "read_stream",
    "render",
    "resolve_device",
    "resolve_dtype",
    "settled",
    "slower",
    "taken",
    "takes_positions",
    "text_config",
    "use_threads",
]
