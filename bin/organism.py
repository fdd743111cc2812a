"""Makes the organism in a folder and asks it: what it can, and whether mixtures can be told apart in it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch
import yaml
from organism_arms import weights_mark
from organism_heldout import compare
from organism_lessons import save_tokenizer
from organism_levers import compare_levers
from organism_model import Making, make_model, right_answers
from organism_regime import search
from organism_results import write_results
from organism_skills import SKILLS, Item, Skill, draw_items
from organism_targets import TARGETS
from transformers import LlamaForCausalLM

from mixplan.errors import MixplanError

ROWS = 1500
"""Rows a skill and a target, for recipes."""
MEASURED = 300
"""Questions a skill in the table of accuracies."""
GOOD = 0.9
"""The accuracy from which a skill counts as one."""
HOOK = "blocks.2.hook_resid_post"


def say(line: str) -> None:
    """Prints a line at once."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a command's own output


def rows_file(folder: Path, name: str) -> Path:
    """Where the rows of a skill or target lie."""
    return folder / "rows" / f"{name}.jsonl"


def write_rows(folder: Path, *, rows: int = ROWS) -> None:
    """Writes rows of each skill and target from the split `train`, and all skills' together for the SAE's corpus."""
    (folder / "rows").mkdir(parents=True, exist_ok=True)
    everything: list[Item] = []
    named: list[tuple[str, Skill]] = [(skill.word, skill) for skill in SKILLS]
    named += [(target.name, target.task) for target in TARGETS]
    for name, skill in named:
        items = draw_items(skill, "train", rows, "rows")
        write_items(rows_file(folder, name), items)
        if name == skill.word:
            everything += draw_items(skill, "train", 6 * rows, "corpus", distinct=False)
    write_items(rows_file(folder, "corpus"), everything)


def write_items(path: Path, items: list[Item]) -> None:
    """Writes questions and answers as JSON lines."""
    lines = (json.dumps({"question": item.question, "answer": item.answer}) for item in items)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def accuracies(model: LlamaForCausalLM, *, split: str = "evaluation", count: int = MEASURED) -> dict[str, float]:
    """The share of right answers by skill, on questions that no training holds."""
    return {
        skill.word: float(right_answers(model, draw_items(skill, split, count, "skills")).float().mean())
        for skill in SKILLS
    }


def make(folder: Path, making: Making, *, every: int) -> None:
    """Makes rows, tokenizer, model and SAE; what is there already is not made again."""
    write_rows(folder)
    model = make_model(making, folder / "work", every=every, told=say)
    assert model is not None
    model.save_pretrained(folder / "model")
    save_tokenizer(folder / "model")
    print_skills(folder)
    make_sae(folder)


def print_skills(folder: Path, into: Path | None = None) -> None:
    """Measures each skill and writes skills.json, and the same with the SAE's figures for a study as organism.json."""
    model = LlamaForCausalLM.from_pretrained(folder / "model", dtype=torch.float32).eval()
    found = accuracies(model)
    kept = [word for word, right in found.items() if right >= GOOD]
    for word, right in found.items():
        say(f"{word:6s} {100 * right:5.1f} %{'' if word in kept else '  not kept'}")
    about = {"items": MEASURED, "good": GOOD, "accuracy": found, "kept": kept, **figures_of(model, folder / "work")}
    if (folder / "sae" / "card.json").exists():
        card = json.loads((folder / "sae" / "card.json").read_bytes())
        sae = {key: card[key] for key in ("hook_name", "kind", "d_sae", "tokens", "sha256")}
        heldout = card["heldout"]["all"]
        about["sae"] = sae | {"tokens_heldout": heldout.pop("tokens")} | heldout
    for path in (folder / "skills.json", *([into / "organism.json"] if into else [])):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def figures_of(model: LlamaForCausalLM, work: Path) -> dict[str, object]:
    """The organism's size and weights, and what its steps up to the last checkpoint took."""
    log = [json.loads(line) for line in (work / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return {
        "parameters": model.num_parameters(),
        "weights": weights_mark(model),
        "steps": log[-1]["step"],
        "processor_seconds": sum(line["processor_seconds"] for line in log),
        "seconds": sum(line["seconds"] for line in log),
    }


def make_sae(folder: Path) -> None:
    """Trains the organism's SAE by `mixplan sae train`."""
    spec = {
        "model": "model",
        "dtype": "float32",
        "device": "cpu",
        "hook_name": HOOK,
        "context_tokens": 128,
        "batch_contexts": 64,
        "buffer_contexts": 512,
        "heldout_tokens": 20_000,
        "corpus": {
            "skills": {
                "tokens": 800_000,
                "chats": [
                    {
                        "data": {"file": "rows/corpus.jsonl", "limit": 200_000},
                        "question": "question",
                        "answer": "answer",
                        "turns": 7,
                        "licence": "Apache-2.0",
                    }
                ],
            }
        },
        "trainer": {"kind": "batchtopk", "d_sae": 1024, "k": 12, "learning_rate": 1.0e-3, "batch_tokens": 1024},
    }
    path = folder / "sae.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "mixplan", "sae", "train", str(path), "--out", str(folder / "sae")]
    subprocess.run(command, check=True)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    texts = {
        "make": "make rows, tokenizer, model and SAE, going on where it was stopped",
        "skills": "measure each skill",
        "sae": "make the SAE alone",
        "regime": "search jobs in which an oracle's mixture beats an even spread",
        "heldout": "compare mixtures on the held-out targets",
        "levers": "compare other ways to keep skills, at equal gain on the target",
    }
    for name, text in texts.items():
        commands.add_parser(name, help=text).add_argument("folder", type=Path, help="the organism's folder")
    commands.choices["make"].add_argument("--every", type=int, default=100, help="steps between checkpoints")
    commands.choices["skills"].add_argument("--into", type=Path, help="a study's folder, for organism.json")
    for name in ("regime", "heldout", "levers"):
        commands.choices[name].add_argument("results", type=Path, help="JSON lines, gone on with where they are there")
    commands.add_parser("results", help="write RESULTS.md").add_argument("study", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    try:
        run(given)
    except MixplanError as error:
        say(f"error: {error}")
        raise SystemExit(1) from None


def run(given: argparse.Namespace) -> None:
    """Does what the command line asks for."""
    if given.command == "make":
        make(given.folder, Making(), every=given.every)
    elif given.command == "skills":
        print_skills(given.folder, given.into)
    elif given.command == "sae":
        make_sae(given.folder)
    elif given.command == "regime":
        search(given.folder, given.results, told=say)
    elif given.command == "heldout":
        compare(given.folder, given.results, told=say)
    elif given.command == "levers":
        compare_levers(given.folder, given.results, told=say)
    else:
        write_results(given.study)


if __name__ == "__main__":
    main()
