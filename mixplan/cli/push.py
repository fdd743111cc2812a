"""Pushes a run's mixture, model or report to a hub repository (`mixplan push RUN --repo NAME`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mixplan.runs import refuse_absent

if TYPE_CHECKING:
    from mixplan.push import Offer

UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
STATES = {
    "new": "new",
    "same": "there already",
    "replaces": "replaces the repository's own",
    "deletes": "deleted: it would be read beside these",
    "unknown": "",
}


def push(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A planned run folder.")],
    repo: Annotated[str, typer.Option("--repo", metavar="NAME", help="NAME in your own namespace, or NAMESPACE/NAME.")],
    what: Annotated[
        Literal["mixture", "model", "report"],
        typer.Option("--what", help="A data set, a model, or the report as a static Space."),
    ] = "mixture",
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and send nothing.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace files that are there already; delete those read beside them.")
    ] = False,
    publish_restricted: Annotated[
        bool,
        typer.Option(
            "--publish-restricted",
            help="Push non-commercial rows, rows of unknown licence and test rows to a public repository.",
        ),
    ] = False,
    language: Annotated[
        list[str] | None, typer.Option("--language", metavar="CODE", help="For the card, such as en; several allowed.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--license", metavar="ID", help="For the card, such as cc-by-4.0.")
    ] = None,
    base_model: Annotated[
        str | None,
        typer.Option("--base-model", metavar="NAME", help="The hub's name of an untrained model from a folder."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: what was sent.")] = False,
) -> None:
    """Push a mixture, model or report in one commit, with its card; refuse what should not leave this machine."""
    refuse_absent(run)
    from mixplan.push import PushRequest, push_run
    from mixplan.push.request import Stated

    stated = Stated(repo, tuple(language or ()), licence, base_model)
    request = PushRequest(run, stated, what, private, dry_run, replace=replace, publish_restricted=publish_restricted)
    told: list[str] = []

    def tell(offer: Offer) -> None:
        told.extend(offer.notes)
        if not as_json:
            typer.echo("\n".join(lines(offer)))

    offer = push_run(request, tell)
    if as_json:
        typer.echo(json.dumps({**asdict(offer), "dry_run": dry_run}, indent=2, ensure_ascii=False))
        return
    if dry_run:
        tell(offer)
    for note in offer.notes[len(told) :]:
        typer.echo(f"- {note}")
    typer.echo(ended(offer, dry_run=dry_run))


def ended(offer: Offer, *, dry_run: bool) -> str:
    """What came of it, in a sentence."""
    kind = f"{'private' if offer.private else 'public'} {offer.kind}"
    if dry_run:
        made = {True: "", False: ", which would be made", None: ""}[offer.exists]
        return f"Would go to the {kind} {offer.url}{made}: {size(offer.bytes)}. Nothing was sent."
    if offer.commit is None:
        return f"All of it is in the {kind} {offer.url} already. Nothing was sent."
    return f"Pushed to the {kind} {offer.url}, commit {offer.commit[:12]}"


def lines(offer: Offer) -> Iterator[str]:
    """What to know, and each file with its size and what becomes of it."""
    yield from (f"- {note}" for note in offer.notes)
    width = max(len(file.name) for file in offer.files)
    for file in offer.files:
        yield f"  {file.name:{width}}  {size(file.bytes):>9}  {STATES[file.state]}".rstrip()


def size(count: int) -> str:
    """So many bytes, as text."""
    return next((f"{count / unit:.1f} {name}" for unit, name in UNITS if count >= unit), f"{count} B")
