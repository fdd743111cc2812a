"""Holds what other trainers read of an exported mixture against the plan's own rows and supervised tokens.

bin/export-check [TRAINER ...]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "helpers")]

from mixed_rows import hand, lay_mixed  # noqa: E402 - the tests' helpers are no package

from mixplan.export.make import TRAINERS  # noqa: E402

TORCH = "torch==2.13.0"
NEEDS = {
    # PyPI's torchvision and torchaudio need CUDA's libraries; rows of text need neither.
    "llamafactory": ([TORCH, "llamafactory==0.9.5"], [], ["torchvision", "torchaudio"]),
    "ms-swift": ([TORCH, "ms-swift==4.6.0"], [], []),
    # Its data set alone is read: the trainer needs a GPU, and shuffles.
    "verl": ([TORCH, "verl==0.9.1"], [], []),
    # Without bitsandbytes, triton, xformers and what else needs a GPU: what its data pipeline and trainer import.
    "axolotl": (
        [
            TORCH,
            *("transformers==5.16.1", "tokenizers==0.23.1", "trl==1.9.0", "peft==0.20.0", "datasets==4.8.4"),
            *("accelerate==1.13.0", "huggingface_hub==1.17.0", "pydantic==2.12.5", "PyYAML==6.0.3", "typer==0.25.1"),
            *("addict", "fire", "requests", "einops", "colorama", "numba", "scipy", "sentencepiece", "art", "psutil"),
            *("python-dotenv==1.0.1", "packaging==26.0", "fastcore", "langdetect", "immutabledict", "schedulefree"),
            *("posthog", "nvidia-ml-py", "tensorboard", "evaluate==0.4.1", "optimum==1.16.2", "kernels<0.17"),
            *("axolotl-contribs-lgpl==0.0.7", "axolotl-contribs-mit==0.0.6", "mistral-common==1.11.5"),
        ],
        ["axolotl==0.19.0", "bitsandbytes==0.50.2", "triton", "wandb"],
        [],
    ),
}
"""Says what an environment gets, what is then added without its own needs, and what is removed again."""

QUIET = {"DO_NOT_TRACK": "1", "AXOLOTL_DO_NOT_TRACK": "1", "WANDB_MODE": "disabled"}

CASES = {"qwen3": {}, "llama3": {"lora": {"r": 4, "target_modules": "all-linear"}}}
"""Chat templates, each with further keys of the recipe's `train`."""


def environment(trainer: str) -> Path:
    """The Python of a trainer's environment, made where it is not there."""
    place = Path(os.environ.get("EXPORT_CHECK", ROOT / "build" / "export-check")) / trainer
    python = place / "bin" / "python"
    if (place / "whole").exists():
        return python
    wanted, bare, unwanted = NEEDS[trainer]
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
    for words in (["install", "-q", "--no-deps", *bare] if bare else [], ["uninstall", "-qy", *unwanted]):
        if words and words[2:]:
            subprocess.run([python, "-m", "pip", *words], check=True)
    (place / "whole").touch()
    return python


def version(python: Path, trainer: str) -> str:
    """The installed version of a trainer."""
    code = f"import importlib.metadata as m; print(m.version({trainer!r}))"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def check(trainer: str, template: str, folder: Path) -> str:
    """Lay a mixture, export it, have the trainer read it, and compare; gives what was found as a line."""
    import trl

    source = (Path(trl.__file__).parent / "chat_templates" / f"{template}.jinja").read_text()
    loaded, mixture = lay_mixed(folder, source, **CASES[template])
    handover = hand(loaded, mixture, folder / "out")
    written = TRAINERS[trainer](handover)
    config = next(name for name in written.files if name.endswith((".yaml", ".sh")))
    python, seen = environment(trainer), folder / "seen.jsonl"
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | QUIET
    variables |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub"), "CUDA_VISIBLE_DEVICES": ""}
    log = folder / "log"
    with log.open("w") as file:
        command = [python, ROOT / "bin" / "export_probe.py", trainer, config, seen]
        done = subprocess.run(command, cwd=folder / "out", stdout=file, stderr=file, env=variables, check=False)
    if done.returncode:
        return f"failed:\n{log.read_text()[-3000:]}"
    found = [json.loads(line) for line in seen.read_text().splitlines()]
    planned = list(hand(loaded, mixture, folder).rendered())
    equal = [
        row["ids"] == list(made.ids) and row["trained"] == list(made.ids[made.trained_from :])
        for row, made in zip(found, planned, strict=False)
    ]
    tokens = sum(len(row["trained"]) for row in found)
    expected = sum(len(made.ids) - made.trained_from for made in planned)
    verdict = "equal" if all(equal) and len(found) == len(planned) else f"{equal.count(False)} DIFFER"
    return (
        f"{len(found)} rows read of {len(planned)}, {tokens:,} supervised tokens of {expected:,}, in order: {verdict}"
    )


def main() -> None:
    """Check each trainer with each case; ends with 1 where one differs."""
    wrong = False
    for trainer in sys.argv[1:] or NEEDS:
        python = environment(trainer)
        for template in CASES:
            with tempfile.TemporaryDirectory() as folder:
                line = check(trainer, template, Path(folder))
            adapter = "LoRA" if CASES[template] else "full"
            sys.stdout.write(f"{trainer} {version(python, trainer)}, template {template}, {adapter}: {line}\n")
            sys.stdout.flush()
            wrong = wrong or not line.endswith(": equal")
    sys.exit(wrong)


if __name__ == "__main__":
    main()
