"""Plans, trains and measures the embedded model on this machine's GPU in bfloat16; see bin/device-check.

Each step runs in processes of its own with a limit, and the JSON is written after each, so that whatever breaks costs
its own step alone.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RECIPE = "recipes/quickstart.yaml"
SMALL = {"cuda": ("drift.query_tokens=2000", "sts.query_tokens=500"),
         "cpu": ("drift.query_tokens=120", "drift.draws=1", "sts.query_tokens=30", "sts.draws=1")}  # fmt: skip
"""Sizes of the plan whose scores are held against float32 on the CPU."""

DTYPE = {"cuda": "bfloat16", "cpu": "float32"}
"""What the device computes in: many CPUs take tens of times as long for bfloat16 as for float32, and prove the script
alone."""

TINY_JOB = ("budget.rows=0", "mixture.target_rows=4", "evaluate.rows=1", "evaluate.also=[behaviour]",
            "evaluate.behaviour_tokens=2", "evaluate.answer_tokens=2", "train.args.max_steps=1",
            "train.args.warmup_steps=0")  # fmt: skip
"""What proves the job's path on a CPU."""

LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "sae-lens", "numpy")


@dataclass(frozen=True)
class Check:
    """What a step needs: the device, a folder for its runs, and how long it may take."""

    device: str
    work: Path
    seconds: float


def versions() -> dict[str, str]:
    """Versions of what computes, by package."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES if installed(name)}


def installed(name: str) -> bool:
    """Whether a package is there."""
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def machine(device: str) -> dict[str, Any]:
    """What this machine is."""
    import torch

    found: dict[str, Any] = {"python": platform.python_version(), "libraries": versions(), "device": device}
    if device == "cuda":
        card = torch.cuda.get_device_properties(0)
        found |= {"card": card.name, "card_memory_gib": round(card.total_memory / 2**30, 1), "cuda": torch.version.cuda}
    return found


def planned(check: Check, device: str, dtype: str) -> dict[str, Any]:
    """Plan the quickstart; its seconds and plan.json's figures."""
    overrides = [f"model.device={device}", f"model.dtype={dtype}", *SMALL[check.device]]
    folder = check.work / f"scores-{len(list(check.work.iterdir()))}"
    start = time.perf_counter()
    mixplan("plan", RECIPE, "--run", str(folder), *sets(overrides), seconds=check.seconds)
    made = json.loads((folder / "plan.json").read_text())
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "reading": made["model"].get("reading"),
        "features": [entry[0] for entry in made["drift"]["features"]],
        "scores": {name: domain["sts_icl"]["value"] for name, domain in made["domains"].items()},
        "rows": made["allocation"]["rows"],
        "hash": made["hashes"]["plan"],
    }


def step_scores(check: Check) -> dict[str, Any]:
    """Scores in bfloat16 on the device against float32 on the CPU."""
    ours, theirs = planned(check, check.device, DTYPE[check.device]), planned(check, "cpu", "float32")
    ratios = [ours["scores"][name] / theirs["scores"][name] - 1 for name in theirs["scores"]]
    return {
        "plan_seconds": {check.device: ours["seconds"], "cpu": theirs["seconds"]},
        "shared_drift_dimensions": len(set(ours["features"]) & set(theirs["features"])),
        "of": len(theirs["features"]),
        "sts_largest_difference_percent": round(100 * max(map(abs, ratios)), 3),
        "sts_mean_difference_percent": round(100 * sum(map(abs, ratios)) / len(ratios), 3),
        "rows_largest_difference": max(abs(ours["rows"][name] - theirs["rows"][name]) for name in theirs["rows"]),
        "rows": ours["rows"],
    }


def step_bench(check: Check) -> dict[str, Any]:
    """bin/bench at the paper's shape."""
    sizes = ["--tokens", "20000", "--rounds", "2", "--queries", "10"]
    if check.device == "cpu":
        sizes = ["--tokens", "100", "--rounds", "1", "--queries", "1"]
    command = [sys.executable, "bin/bench.py", *sizes, "--items", "0", "--device", check.device]
    found: dict[str, Any] = json.loads(run(command, seconds=check.seconds))
    return found


def step_train(check: Check) -> dict[str, Any]:
    """Train the quickstart by LoRA and measure every domain before and after."""
    tiny = (*SMALL["cpu"], *TINY_JOB) if check.device == "cpu" else ()
    return trained("train", check, tiny)


def step_fsdp2(check: Check) -> dict[str, Any]:
    """Full fine-tuning under FSDP2 with one process."""
    sizes = ("train.lora=null", "train.args.learning_rate=2.0e-5", "evaluate.rows=4", "train.args.max_steps=4")
    return trained("fsdp2", check, sizes, "--launch", "fsdp2", "--processes", "1")


def trained(name: str, check: Check, sizes: tuple[str, ...], *flags: str) -> dict[str, Any]:
    """Train in a run folder; what the outcome says."""
    start = time.perf_counter()
    overrides = [f"model.device={check.device}", f"model.dtype={DTYPE[check.device]}", *sizes]
    mixplan("train", RECIPE, "--run", str(check.work / name), *sets(overrides), *flags, seconds=check.seconds)
    made = json.loads((check.work / name / "outcome.json").read_text())
    moved = {n: part["measures"]["behaviour"]["kl"]["change"] for n, part in made["domains"].items()}
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "steps": made["training"]["steps"],
        "training_seconds": round(made["training"]["seconds"], 1),
        "summary": made["summary"],
        "token_kl": {name: round(value, 4) for name, value in moved.items()},
    }


def step_vllm(check: Check) -> dict[str, Any]:
    """Greedy answers of vLLM against those of transformers."""
    code = (
        "import json\n"
        "from mixplan.model import load_model, generate\nfrom mixplan.recipe import ModelSpec, SaeSpec\n"
        "from mixplan.evaluate.vllm_answers import Server\n"
        "spec = ModelSpec(name='embedded', device='cuda', dtype='bfloat16', sae=SaeSpec(embedded=True))\n"
        "model = load_model(spec)\n"
        "turn = '<|im_start|>user\\n%d + %d = ?<|im_end|>\\n<|im_start|>assistant\\n'\n"
        "asked = [turn % (n, n + 3) for n in range(8)]\n"
        "theirs = generate(model, asked, max_new_tokens=16)\n"
        "ids = [tuple(model.tokenizer(text, add_special_tokens=False)['input_ids']) for text in asked]\n"
        "ours = Server(model, 64).generate(ids, max_new_tokens=16)\n"
        "print(json.dumps({'answers': 8, 'alike': sum(a.ids == b.ids for a, b in zip(ours, theirs))}))\n"
    )
    found: dict[str, Any] = json.loads(run([sys.executable, "-c", code], seconds=check.seconds).splitlines()[-1])
    return found


def sets(overrides: list[str]) -> list[str]:
    """Overrides as the command line takes them."""
    return [word for override in overrides for word in ("--set", override)]


def mixplan(*arguments: str, seconds: float) -> None:
    """Run a command of mixplan's to its end."""
    run([sys.executable, "-m", "mixplan", *arguments], seconds=seconds)


def run(command: list[str], *, seconds: float) -> str:
    """A command's standard output.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=max(1.0, seconds), check=False)
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}: {(done.stderr + done.stdout)[-1500:]}")
    return done.stdout


STEPS = {"scores": step_scores, "bench": step_bench, "train": step_train, "fsdp2": step_fsdp2, "vllm": step_vllm}


def why_not(step: str, device: str) -> str | None:
    """Why a step does not apply here; None where it does."""
    if step in ("fsdp2", "vllm") and device == "cpu":
        return "needs a GPU"
    if step == "vllm" and importlib.util.find_spec("vllm") is None:
        return "vllm is not installed"
    return None


def main() -> int:
    """Run the steps within the time given; exit code 1 where one failed."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("device-check.json"))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=470, help="of all steps together")
    parser.add_argument("--only", default=",".join(STEPS), help="which steps, by name")
    given = parser.parse_args()
    end = time.monotonic() + given.seconds
    result: dict[str, Any] = {"machine": machine(given.device), "steps": {}}
    with tempfile.TemporaryDirectory(prefix="mixplan-device-") as folder:
        for name in given.only.split(","):
            start, left = time.monotonic(), end - time.monotonic()
            if (reason := why_not(name, given.device)) is not None:
                found: dict[str, Any] = {"skipped": reason}
            elif left < 5:
                found = {"skipped": "no time left"}
            else:
                try:
                    found = STEPS[name](Check(given.device, Path(folder), left))
                except (RuntimeError, ValueError, OSError, LookupError, subprocess.TimeoutExpired) as error:  # shown
                    found = {"failed": f"{type(error).__name__}: {error}"}
            result["steps"][name] = found | {"step_seconds": round(time.monotonic() - start, 1)}
            print(f"{name}: {json.dumps(result['steps'][name])}", file=sys.stderr)  # noqa: T201 - a script's progress
            given.out.write_text(json.dumps(result, indent=2) + "\n")
    return int(any("failed" in found for found in result["steps"].values()))


if __name__ == "__main__":
    sys.exit(main())
