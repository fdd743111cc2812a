"""`mixplan sae train CONFIG`: a training's YAML in, an SAE in SAELens's layout with its card out."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Train an SAE.")


@app.callback()
def sae() -> None:
    """Train sparse autoencoders with SAELens."""


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The training's YAML file.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where checkpoints and the SAE go.")] = Path("runs/sae"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the card's figures as JSON.")] = False,
) -> None:
    """Train an SAE on the residual stream of a model; the same command goes on where it was stopped."""
    from mixplan.model import load_model
    from mixplan.recipe import ModelSpec, SaeSpec
    from mixplan.sae import blocks_before
    from mixplan.sae.corpus import build_corpus
    from mixplan.sae.make import make_sae
    from mixplan.sae.spec import load_training

    spec = load_training(config)
    console = Console(stderr=as_json, highlight=False)
    blocks_before(spec.hook_name, str(config))
    console.print(f"loading {spec.model}")
    unused = SaeSpec(embedded=True)
    model = load_model(
        ModelSpec(name=spec.model, dtype=spec.dtype, device=spec.device, sae=unused), folder=config.parent
    )
    console.print("reading the corpus")
    corpus = build_corpus(spec, model.tokenizer, config.parent)
    bars = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("tokens {task.fields[now]}"),
        TimeRemainingColumn(), console=console, disable=not console.is_terminal,
    )  # fmt: skip
    with bars:
        task = bars.add_task("training", total=None, now="")

        def report(done: int, total: int, figures: dict[str, float]) -> None:
            now = ", ".join(f"{name.replace('_', ' ')} {value:,.4g}" for name, value in figures.items())
            bars.update(task, completed=done, total=total, now=now)
            if not console.is_terminal:
                console.print(f"{done:,} of {total:,} tokens: {now}", soft_wrap=True)

        command = shlex.join(["mixplan", "sae", "train", str(config), "--out", str(out)])
        card = make_sae(spec, model, corpus, out, command=command, report=report)
    if as_json:
        typer.echo(json.dumps(card, indent=2))
        return
    for kind, figures in card["heldout"].items():
        console.print(
            f"{kind:<12} FVU {figures['fvu']:.3f}   L0 {figures['l0']:.1f}   dead {figures['dead_share']:.1%}   "
            f"on {figures['tokens']:,} held-out tokens"
        )
    console.print(f"The SAE and its card are in {out}.")
