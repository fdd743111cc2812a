"""Measures the peak memory of a whole plan over the loaded model and SAE, and counts both for larger shapes.

    bin/bench --plan-memory                                     a random Llama of about 1.2B parameters, float32
    bin/bench --plan-memory --blocks 4 --width 256              another shape
    bin/bench --plan-memory --tokens 2000 --features 65536      more query tokens, a wider SAE

Plans four of the quickstart's domains with a random SAE, in a process of its own, and looks at its anonymous memory,
which the system cannot take back, every few milliseconds: over what it was when model and SAE were loaded. The counted
part needs no memory: parameters of 7B and 8B shapes on the meta device, those up to the SAE's block alone, and the
keys and values of a prefix of so many tokens (Linux). Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from bench_memory import Peak, made
from bench_targets import LEFT_OUT, RECIPE, Unwatched

from mixplan.model.device import DTYPES

HERE = Path(__file__).resolve().parent.parent
SHAPES = {
    # Vocabulary, width, feed-forward width, blocks, heads, heads of keys and values, and the block of a public SAE.
    "Qwen2.5-7B": (152_064, 3584, 18_944, 28, 28, 4, 24),
    "Llama-3-8B": (128_256, 4096, 14_336, 32, 32, 8, 26),
}
PREFIX = 2400
"""Tokens in front of a query at the paper's shape."""


def counted(features: int, dtype: str) -> dict[str, Any]:
    """Megabytes by shape: the whole model, what a plan loads of it, the SAE, a prefix's keys and values."""
    from transformers import LlamaConfig, LlamaForCausalLM

    size = torch.empty((), dtype=DTYPES[dtype]).element_size()
    found = {}
    for name, (vocabulary, width, inner, blocks, heads, pairs, depth) in SHAPES.items():
        config = LlamaConfig(
            vocab_size=vocabulary, hidden_size=width, intermediate_size=inner, num_hidden_layers=blocks,
            num_attention_heads=heads, num_key_value_heads=pairs, tie_word_embeddings=False,
        )  # fmt: skip
        with torch.device("meta"):
            lm = LlamaForCausalLM(config)
        block = sum(part.numel() for part in lm.model.layers[0].parameters())
        table = lm.model.embed_tokens.weight.numel()
        found[name] = {
            "whole_mb": round(sum(part.numel() for part in lm.parameters()) * size / 1e6),
            "up_to_the_block_mb": round((depth * block + table) * size / 1e6),
            "sae_mb": round((2 * width + 1) * features * 4 / 1e6),
            "prefix_mb": round(2 * PREFIX * depth * pairs * (width // heads) * size / 1e6),
        }
    return found


def random_sae(folder: Path, width: int, features: int, depth: int) -> None:
    """Save a random top-k SAE of the stream after so many blocks."""
    import sae_lens
    from sae_lens.saes.sae import SAEMetadata

    metadata = SAEMetadata(hook_name=f"blocks.{depth - 1}.hook_resid_post")
    sae = sae_lens.TopKSAE(sae_lens.TopKSAEConfig(d_in=width, d_sae=features, k=64, metadata=metadata))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in sae.state_dict().values():
            value.copy_(torch.randn(value.shape, generator=generator) * width**-0.5)
    sae.save_model(folder)


def watched(recipe: str, run: str, overrides: list[str]) -> dict[str, float]:
    """Plan in this process; megabytes at its peak, over the start and over the loaded model and SAE."""
    from mixplan.plan import PlanRequest, make_plan, scores

    peak = Peak()
    loaded: dict[str, float] = {}
    ready = scores.made_ready

    def noted(*given: Any) -> Any:
        found = ready(*given)
        loaded.update(peak.now())
        peak.highest_mb = dict(loaded)
        return found

    scores.made_ready = noted
    peak.start()
    make_plan(PlanRequest(Path(recipe), tuple(overrides), None, Path(run)), watcher=Unwatched())
    return {
        "loaded_mb": round(loaded["RssAnon"] - peak.start_mb["RssAnon"], 1),
        "peak_over_loaded_mb": round(peak.highest_mb["RssAnon"] - loaded["RssAnon"], 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=16)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--features", type=int, default=16_384)
    parser.add_argument("--tokens", type=int, default=600, help="query tokens of the target and of each domain")
    parser.add_argument("--dtype", default="float32", choices=list(DTYPES))
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        recipe, run, *overrides = given.worker
        answers, sys.stdout = sys.stdout, sys.stderr
        answers.write(json.dumps(watched(recipe, run, overrides)))
        return
    depth = 2 * given.blocks // 3
    with tempfile.TemporaryDirectory(prefix="mixplan-bench-") as base:
        model, sae = Path(base) / "model", Path(base) / "sae"
        made(model, given.blocks, given.width)
        random_sae(sae, given.width, given.features, depth)
        asked = [
            *(f"domains.{name}=null" for name in LEFT_OUT),
            *(f"drift.query_tokens={given.tokens}", f"sts.query_tokens={given.tokens}", "drift.draws=1", "sts.draws=1"),
            *(f"model.name={model}", f"model.sae={{path: {sae}}}", f"model.dtype={given.dtype}", "model.device=cpu"),
        ]
        there = os.environ | {"MIXPLAN_CACHE": str(Path(base) / "cache"), "PYTHONPATH": str(HERE)}
        command = [sys.executable, __file__, "--worker", str(HERE / RECIPE), str(Path(base) / "run"), *asked]
        done = subprocess.run(command, env=there, check=True, stdout=subprocess.PIPE, text=True)
    result = {
        "blocks": given.blocks, "width": given.width, "read": depth, "features": given.features, "dtype": given.dtype,
        "tokens": given.tokens, **json.loads(done.stdout), "counted": counted(given.features, given.dtype),
    }  # fmt: skip
    print(json.dumps(result, indent=2))  # noqa: T201 - a script's output


if __name__ == "__main__":
    main()
