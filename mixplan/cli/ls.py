"""Lists the recipes, model configs, domain suites and past runs that can be used here (`mixplan ls`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from mixplan.recipe.configs import SHIPPED, display
from mixplan.recipe.lines import read

Entry = dict[str, Any]
HEADINGS = {"recipes": "Recipes", "models": "Model configs", "domains": "Domain suites", "runs": "Past runs"}


def ls(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """List recipes, model configs, domain suites and past runs."""
    found = listing()
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for kind, heading in HEADINGS.items():
        typer.echo(heading if found[kind] else f"{heading}: none")
        width = max((len(entry["path"]) for entry in found[kind]), default=0)
        for entry in found[kind]:
            typer.echo(f"  {entry['path']:{width}}  {entry['about']}".rstrip())


def listing() -> dict[str, list[Entry]]:
    """What there is here, and with mixplan itself when that is elsewhere.

    Returns:
        For each of `recipes`, `models`, `domains`, `runs`: `path`, `about` and more, sorted by path, runs newest first.
    """
    return {
        "recipes": list(_files("recipes")),
        "models": list(_files("configs/models")),
        "domains": list(_files("configs/domains")),
        "runs": list(_runs(Path.cwd() / "runs")),
    }


def _files(folder: str) -> Iterator[Entry]:
    homes = dict.fromkeys(home.resolve() for home in (Path.cwd(), SHIPPED))
    for home in homes:
        for file in sorted((home / folder).glob("*.yaml")):
            entry: Entry = {"path": shown(file), "name": file.stem, "about": _purpose(file)}
            if folder == "configs/domains":
                tree, _ = read(file, file.name)
                entry["domains"] = sorted(tree.value) if tree is not None else []
            yield entry


def shown(file: Path) -> str:
    """A file's path as commands take it: what comes with mixplan is found from everywhere by its short path."""
    path = display(file)
    inside = file.relative_to(SHIPPED) if file.is_relative_to(SHIPPED) else None
    return str(inside) if inside is not None and not inside.exists() else path


def _purpose(file: Path) -> str:
    """A file's opening comment, its first line."""
    with open(file, encoding="utf-8", errors="replace") as lines:
        first = lines.readline().strip()
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def _runs(folder: Path) -> Iterator[Entry]:
    runs = [run for run in folder.glob("*") if any((run / name).is_file() for name in ("plan.json", "recipe.yaml"))]
    for run in sorted(runs, key=_changed, reverse=True):
        planned = (run / "plan.json").is_file()
        when = datetime.fromtimestamp(_changed(run), tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
        about = f"{state(run)}, {when}"
        yield {"path": display(run), "name": run.name, "about": about, "planned": planned, "changed": when}


def state(run: Path) -> str:
    """Say how far a run folder is, by the artifacts that are of its present plan."""
    plan = _values(run / "plan.json")
    if plan is None:
        return "compared" if (run / "diff.json").is_file() else "unfinished"
    planned = _hashes(plan)
    if (run / "outcome.json").is_file():
        outcome = _values(run / "outcome.json")
        if outcome is None:
            return "planned; its outcome.json cannot be read"
        done = "trained elsewhere and measured" if outcome.get("elsewhere") else "trained and measured"
        same = _hashes(outcome).get("plan") == planned.get("plan")
        return done if same else f"planned again since it was {done}"
    if (run / "training" / "done.json").is_file():
        job = _values(run / "training" / "job.json") or {}
        same = _hashes(job).get("mixture") == planned.get("mixture")
        return "trained, not yet measured" if same else "planned again since it was trained"
    return "planned"


def _values(file: Path) -> Entry | None:
    """A file's JSON object; None where there is none."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _hashes(values: Entry) -> Entry:
    found = values.get("hashes")
    return found if isinstance(found, dict) else {}


def _changed(run: Path) -> float:
    return max(file.stat().st_mtime for file in run.iterdir() if file.is_file())
