"""Lists the shapes of the models that pretrained SAEs were made for, and derives a model's family from its name."""

from __future__ import annotations

import re
from dataclasses import dataclass

TUNING_WORDS = {
    *("it", "pt", "instruct", "chat", "base", "hf", "meta", "thinking"),
    *("bf16", "fp16", "fp8", "fp4", "mxfp4", "int4", "int8", "4bit", "8bit", "bnb", "awq", "gptq", "dynamic"),
}
"""Parts of a model's name that say how it was tuned or stored, not which model it is."""

DATE = re.compile(r"2[3-9](?:0[1-9]|1[0-2])")
"""Year and month of a release, as in `Qwen3-4B-Instruct-2507`."""


@dataclass(frozen=True)
class Shape:
    """What a model's config.json says of its build.

    Attributes:
        architecture: transformers' `model_type`, without the `_text` of a language model inside a larger one.
        width: Width of the residual stream.
        layers: Number of decoder blocks.
    """

    architecture: str
    width: int
    layers: int

    def difference(self, other: Shape) -> str | None:
        """What tells two builds apart for sure, in words; None when one may descend from the other.

        Vocabularies are no part of a build: tuning adds tokens.
        """
        if self.architecture != other.architecture:
            return f"of architecture {self.architecture}, not {other.architecture}"
        if self.layers != other.layers:
            return f"of {self.layers} blocks, not {other.layers}"
        return None


SHAPES = {
    "gpt2": Shape("gpt2", 768, 12),
    "EleutherAI/pythia-70m-deduped": Shape("gpt_neox", 512, 6),
    "mistralai/Mistral-7B-v0.1": Shape("mistral", 4096, 32),
    "google/gemma-2b": Shape("gemma", 2048, 18),
    "google/gemma-2-2b": Shape("gemma2", 2304, 26),
    "google/gemma-2-9b": Shape("gemma2", 3584, 42),
    "google/gemma-2-27b": Shape("gemma2", 4608, 46),
    "google/gemma-3-270m": Shape("gemma3", 640, 18),
    "google/gemma-3-1b-pt": Shape("gemma3", 1152, 26),
    "google/gemma-3-4b-pt": Shape("gemma3", 2560, 34),
    "google/gemma-3-12b-pt": Shape("gemma3", 3840, 48),
    "google/gemma-3-27b-pt": Shape("gemma3", 5376, 62),
    "meta-llama/Meta-Llama-3-8B": Shape("llama", 4096, 32),
    "meta-llama/Llama-3.1-8B": Shape("llama", 4096, 32),
    "meta-llama/Llama-3.3-70B-Instruct": Shape("llama", 8192, 80),
    "deepseek-ai/DeepSeek-R1-Distill-Llama-8B": Shape("llama", 4096, 32),
    "Qwen/Qwen2.5-7B": Shape("qwen2", 3584, 28),
    "Qwen/Qwen3-1.7B-Base": Shape("qwen3", 2048, 28),
    "Qwen/Qwen3-8B-Base": Shape("qwen3", 4096, 36),
    "Qwen/Qwen3-30B-A3B-Base": Shape("qwen3_moe", 2048, 48),
    "Qwen/Qwen3.5-2B-Base": Shape("qwen3_5", 2048, 24),
    "Qwen/Qwen3.5-9B-Base": Shape("qwen3_5", 4096, 32),
    "Qwen/Qwen3.5-27B": Shape("qwen3_5", 5120, 64),
    "Qwen/Qwen3.5-35B-A3B-Base": Shape("qwen3_5_moe", 2048, 40),
    "openai/gpt-oss-20b": Shape("gpt_oss", 2880, 24),
}
"""As each model's config.json on the hub has it."""


def shape_of(name: str) -> Shape | None:
    """The build of a model that SAEs are listed for, or of its tuned children; None for any other name."""
    return _BY_FAMILY.get(family(name))


def family(name: str) -> str:
    """A model's name without owner and tuning suffix: `google/gemma-2-9b-it` and `gemma-2-9b` are one family."""
    short = name.rstrip("/").rsplit("/", 1)[-1].lower()
    words = [word for word in re.split(r"[-_ ]+", short) if word not in TUNING_WORDS and not DATE.fullmatch(word)]
    return re.sub(r"[^a-z0-9]", "", "".join(words))


_BY_FAMILY = {family(name): shape for name, shape in SHAPES.items()}
