"""Measures a mixplan job against a bare TRL script on the same rows, in turn in one run; the embedded model, LoRA.

    bin/bench --training [--rows 64] [--rounds 2]

Prints one JSON object. Tokens a second are those of the optimiser's steps alone, on either side; the fixed cost is what
`mixplan.train` takes beside these steps and beside loading libraries and model, which the bare script does too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from mixplan.domains.cached_domains import opened
from mixplan.mixture import build_mixture
from mixplan.plan.write import model_path
from mixplan.reading import standalone
from mixplan.reading.progress import Silent
from mixplan.recipe import LoadedRecipe, load_recipe
from mixplan.runs import content_hash
from mixplan.train.verify import AsPlanned, model_hash

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
ARGS: dict[str, Any] = {
    "num_train_epochs": 1,
    "per_device_train_batch_size": 8,
    "learning_rate": 2e-4,
    "max_length": 512,
}
LORA: dict[str, Any] = {"r": 16, "lora_alpha": 32, "lora_dropout": 0.05, "target_modules": "all-linear"}


def lay_job(folder: Path, rows: int) -> tuple[Path, LoadedRecipe, AsPlanned]:
    """A run folder with a mixture of school-maths rows, and what its job is planned with."""
    quick = yaml.safe_load((RECIPES / "quickstart.yaml").read_text(encoding="utf-8"))
    quick["target"]["split"] = {"evaluation": 1, "query": 1, "demonstration": 5}
    value = {name: quick[name] for name in ("model", "target", "domains")} | {
        "budget": {"rows": 0},
        "mixture": {"target_rows": rows},
        "train": {"method": "sft", "args": ARGS, "lora": LORA},
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
    loaded, run = load_recipe(folder / "job.yaml"), folder / "run"
    target, domains = opened(loaded)
    mixture = build_mixture(
        target=target,
        domains=domains,
        rows={},
        spec=loaded.recipe.mixture,
        budget_max_repeats=1,
        train=loaded.recipe.train,
        model=loaded.recipe.model,
        model_path=model_path(loaded),
        seed=0,
        folder=run / "mixture",
    )
    planned = AsPlanned(content_hash(standalone(loaded)), loaded.resolved, model_hash(loaded), mixture.hash)
    return run, loaded, planned


def ours(folder: Path, rows: int) -> dict[str, float]:
    """One job through mixplan: seconds in all, and of the steps alone."""
    from mixplan.train.launch import Launch
    from mixplan.train.make import train

    folder.mkdir()
    run, loaded, planned = lay_job(folder, rows)
    start = time.perf_counter()
    done = train(run, loaded, planned, launch=Launch(), watcher=Silent())
    return {"all": time.perf_counter() - start, "steps": done.seconds}


def bare(mixture: Path, folder: Path) -> dict[str, float]:
    """The same job by TRL alone, in a process of its own."""
    command = [sys.executable, __file__, "--bare", str(mixture), "--out", str(folder)]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found | {"all": time.perf_counter() - start}


def train_bare(mixture: Path, out: Path) -> None:
    """What a person would write: load, train, save. Prints seconds and tokens."""
    start = time.perf_counter()
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    from mixplan import embedded

    place = str(embedded.converted_folder())
    rows = Dataset.from_parquet([str(path) for path in sorted(mixture.glob("train-*.parquet"))], cache_dir=str(out))
    config = SFTConfig(
        output_dir=str(out / "model"),
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        completion_only_loss=True,
        logging_steps=1,
        seed=0,
        dataloader_pin_memory=False,
        model_init_kwargs={"dtype": "float32"},
        disable_tqdm=True,
        **ARGS,
    )
    trainer = SFTTrainer(
        model=place,
        args=config,
        train_dataset=rows,
        processing_class=AutoTokenizer.from_pretrained(place),
        peft_config=LoraConfig(task_type="CAUSAL_LM", **LORA),
    )
    ready = time.perf_counter()
    trainer.train()
    trained = time.perf_counter()
    trainer.save_model()
    tokens = trainer.state.log_history[-2]["num_tokens"]
    print(json.dumps({"loading": ready - start, "steps": trained - ready, "tokens": tokens}))  # noqa: T201


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=64, help="rows of the job")
    parser.add_argument("--rounds", type=int, default=2, help="mixplan and the bare script in turn, so many times")
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bare:
        train_bare(given.bare, given.out)
        return
    from mixplan.model import embedded_folder

    embedded_folder()
    left, right = [], []
    with tempfile.TemporaryDirectory() as name:
        for number in range(given.rounds):
            left.append(ours(Path(name) / f"ours-{number}", given.rows))
            right.append(bare(Path(name) / f"ours-{number}" / "run" / "mixture", Path(name) / f"bare-{number}"))
    # Both read the same rows in the same batches, so their tokens are the same and cancel.
    ratio = sum(b["steps"] for b in right) / sum(a["steps"] for a in left)
    fixed = min(a["all"] - a["steps"] for a in left) - min(b["loading"] for b in right)
    result = {
        "rows": given.rows,
        "tokens": right[0]["tokens"],
        "tokens_per_second": round(max(right[0]["tokens"] / a["steps"] for a in left), 1),
        "of_the_bare_scripts_tokens_per_second": round(ratio, 3),
        "steps_seconds": [[round(a["steps"], 1), round(b["steps"], 1)] for a, b in zip(left, right, strict=True)],
        "loading_seconds": round(min(b["loading"] for b in right), 1),
        "fixed_seconds_beside_loading": round(fixed, 1),
    }
    print(json.dumps(result, indent=2))  # noqa: T201 - a script's output


if __name__ == "__main__":
    main()
