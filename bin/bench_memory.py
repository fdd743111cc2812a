"""Measures the peak memory of reading up to a block: the model loaded so far, loaded whole, and as it was before.

    bin/bench --memory                            the embedded model up to its SAE's layer, 20 of 30 blocks
    bin/bench --memory --blocks 16 --width 2048   a random Llama of that shape, stored in bfloat16
    bin/bench --memory --depth 5                  up to another block

Each way is a process of its own. Prints one JSON object: peak megabytes over the libraries' that the system cannot take
back, those of files that it can (a page mapped twice counts twice), and seconds to load and to read (Linux).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch

from mixplan.model import DTYPES, decoder_blocks, embedded_folder, load_model, read_stream
from mixplan.recipe import ModelSpec, SaeSpec

WAYS = ("as_before", "whole", "up_to_the_block")


class Peak(threading.Thread):
    """The highest memory of this process so far, looked at every few milliseconds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.start_mb = self.now()
        self.highest_mb = dict(self.start_mb)

    def now(self) -> dict[str, float]:
        """Megabytes by kind: anonymous, which only this process can give back, and of files."""
        status = Path("/proc/self/status").read_text()
        return {kind: int(status.split(f"{kind}:")[1].split()[0]) / 1024 for kind in ("RssAnon", "RssFile")}

    def run(self) -> None:
        """Look, until the process ends."""
        while True:
            for kind, value in self.now().items():
                self.highest_mb[kind] = max(self.highest_mb[kind], value)
            time.sleep(0.003)

    def over_start(self) -> dict[str, float]:
        """Peak megabytes over those at the start."""
        return {kind: round(self.highest_mb[kind] - self.start_mb[kind], 1) for kind in self.start_mb}


def as_before(folder: str, dtype: str, depth: int, tokens: torch.Tensor) -> None:
    """Load in the stored type, cast, and read: what a plan did before it loaded a part."""
    from transformers import AutoModelForCausalLM

    class Reached(Exception):
        pass

    def stop(*_: Any) -> None:
        raise Reached

    lm = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", use_safetensors=True).eval().to(DTYPES[dtype])
    blocks = decoder_blocks(lm)
    if depth < len(blocks):
        blocks[depth].register_forward_pre_hook(stop)
    with torch.inference_mode():
        try:
            lm.get_decoder()(input_ids=tokens, use_cache=False)
        except Reached:
            return


def measure(way: str, folder: str, dtype: str, depth: int) -> dict[str, float]:
    """Load and read once, in this process."""
    tokens = torch.randint(5, 1000, (1, 512), generator=torch.Generator().manual_seed(0))
    peak, start = Peak(), time.perf_counter()
    peak.start()
    if way == "as_before":
        as_before(folder, dtype, depth, tokens)
    else:
        spec = ModelSpec(name=folder, dtype=dtype, device="cpu", sae=SaeSpec(embedded=True))
        read_stream(load_model(spec, depth=depth if way == "up_to_the_block" else None), depth, tokens)
    found = peak.over_start()
    return {
        "peak_mb": found["RssAnon"],
        "file_pages_mb": found["RssFile"],
        "seconds": round(time.perf_counter() - start, 2),
    }


def made(folder: Path, blocks: int, width: int) -> None:
    """Save a random Llama with the embedded model's tokenizer, in bfloat16."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(embedded_folder())
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=blocks,
        num_attention_heads=width // 64,
        num_key_value_heads=max(1, width // 256),
    )
    LlamaForCausalLM._from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, help="of a random Llama; the embedded model when not given")
    parser.add_argument("--width", type=int, default=2048, help="of the random Llama's residual stream")
    parser.add_argument("--depth", type=int, help="blocks that are read; two thirds of them when not given")
    parser.add_argument("--dtype", default="float32", choices=list(DTYPES))
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(measure(given.way, given.folder, given.dtype, given.depth)))  # noqa: T201
        return
    with tempfile.TemporaryDirectory() as folder:
        if given.blocks:
            made(Path(folder), given.blocks, given.width)
        place = folder if given.blocks else str(embedded_folder())
        config = json.loads((Path(place) / "config.json").read_bytes())
        blocks = config["num_hidden_layers"]
        depth = given.depth if given.depth is not None else 2 * blocks // 3
        command = [sys.executable, __file__, "--folder", place, "--dtype", given.dtype, "--depth", str(depth), "--way"]
        found = {
            way: json.loads(subprocess.run([*command, way], check=True, capture_output=True, text=True).stdout)
            for way in WAYS
        }
    result = {"blocks": blocks, "read": depth, "dtype": given.dtype, "stored": config["dtype"], **found}
    print(json.dumps(result, indent=2))  # noqa: T201 - a script's output


if __name__ == "__main__":
    main()
