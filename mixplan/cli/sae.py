"""Lists the SAEs that SAELens knows (`mixplan sae ls`) and trains one (`mixplan sae train CONFIG`)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mixplan.errors import SaeError
from mixplan.recipe.releases import ListedSae, hub_name, listed_models, sae_hint
from mixplan.recipe.sae_candidates import saes_for
from mixplan.recipe.suggest import did_you_mean

app = typer.Typer(
    add_completion=False, no_args_is_help=True, rich_markup_mode=None, help="List pretrained SAEs; train one."
)


@app.callback()
def sae() -> None:
    """Find or train a sparse autoencoder of a model's residual stream, with SAELens."""


@app.command()
def ls(
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="The SAEs of one model, by hub id, short name or folder.")
    ] = None,
    layer: Annotated[int | None, typer.Option(metavar="N", help="Only those at one block.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """List the SAEs of residual streams in SAELens's table, with the line to paste under `model:` in a recipe."""
    if model is None and layer is not None:
        raise typer.BadParameter("name a model with --model, too.", param_hint="--layer")
    if model == "embedded":
        typer.echo("[]" if as_json else sae_hint(model))
        return
    if model is None and not as_json:
        for name, saes in listed_models().items():
            layers = sorted({sae.layer for sae in saes if sae.layer is not None})
            where = (
                f"block {layers[0]}" if len(layers) == 1 else f"{len(layers)} of the blocks {layers[0]} to {layers[-1]}"
            )
            typer.echo(f"{name:45} {len(saes):5,} {'SAE ' if len(saes) == 1 else 'SAEs'} at {where}")
        typer.echo("List one model's with: mixplan sae ls --model NAME")
        return
    if model == "":
        raise typer.BadParameter("it is empty; give a hub id or a folder.", param_hint="--model")
    found, by_build = saes_for(model) if model else ([sae for saes in listed_models().values() for sae in saes], False)
    found = [sae for sae in found if layer is None or sae.layer == layer]
    if not found:
        where = "" if layer is None else f" at block {layer}"
        raise SaeError(
            f"SAELens's table has no SAE of the residual stream of '{model}'{where}."
            f"{did_you_mean(str(model), listed_models()) if layer is None else ''} `mixplan sae ls` lists its models; "
            "name the one that yours was tuned from. `mixplan sae train` trains one."
        )
    if by_build:
        typer.echo(
            f"No file says what '{model}' was tuned from. These were made for models of its build; `accept: true` "
            "under `sae:` tries one.",
            err=as_json,
        )
    lines = grouped(found, None if by_build else model)
    typer.echo(json.dumps([described(sae) for sae in found], indent=2) if as_json else "\n".join(lines))


def grouped(saes: list[ListedSae], asked: str | None) -> Iterator[str]:
    """The lines of a list, those made for one model together, which is named where it is not the one asked about."""
    models = list(dict.fromkeys(sae.model for sae in saes))
    named = None if asked is None else hub_name(asked).rstrip("/").rsplit("/", 1)[-1].lower()
    for made_for in models:
        if len(models) > 1 or named not in (None, made_for.rsplit("/", 1)[-1].lower()):
            yield f"made for {made_for}:"
        yield from (row(sae) for sae in saes if sae.model == made_for)


def described(sae: ListedSae) -> dict[str, object]:
    """One SAE as JSON values; null is what the table does not say before a download."""
    return {
        "model": sae.model, "release": sae.release, "id": sae.id, "hook_name": sae.hook_name, "layer": sae.layer,
        "d_sae": sae.d_sae, "l0": sae.l0, "float32_bytes": sae.size_bytes, "yaml": sae.line,
    }  # fmt: skip


def row(sae: ListedSae) -> str:
    """One SAE as a line of the list."""
    d_sae = "?" if sae.d_sae is None else f"{sae.d_sae:,}"
    l0 = "?" if sae.l0 is None else f"{sae.l0:.0f}"
    size = "?" if sae.size_bytes is None else f"{sae.size_bytes / 1e6:,.0f} MB"
    hook = "into" if (sae.hook_name or "").endswith("pre") else "after"
    return f"{hook} block {sae.layer:2}  {d_sae:>9} features  L0 {l0:>4}  {size:>9} in float32  {sae.line}"


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
