"""Ends a command as its tolerances say: exit code 3 where one was broken, with files for a build server."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mixplan.errors import RunError
from mixplan.outcome.summary import changed_since, tolerances
from mixplan.recipe import load_recipe
from mixplan.recipe.tolerances import tolerances_of
from mixplan.report.gate_summary import gate_markdown
from mixplan.report.junit import Gated, junit_xml
from mixplan.report.sentences import STALE
from mixplan.report.tolerances import gate_of
from mixplan.runs import quoted, write_atomic
from mixplan.saved import Outcome, outcome_again, read_outcome, read_plan
from mixplan.saved.tolerances import Gate, worst

BROKEN = 3
"""What a command exits with where a tolerance was broken."""

Asked = Annotated[bool, typer.Option("--gate", help="Exit with 3 where a domain lost more than its tolerance.")]
Strict = Annotated[bool, typer.Option("--strict", help="With --gate: exit with 3 where one is undecided, too.")]
Junit = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write the verdicts as JUnit XML.")]
Summary = Annotated[
    Path | None,
    typer.Option("--summary", metavar="FILE", help="Write them as Markdown; $GITHUB_STEP_SUMMARY is added to."),
]

GITHUB = "GITHUB_STEP_SUMMARY"
"""The environment variable that names a step's summary, which other commands of the step may have begun."""
NO_FILE = Path("")
"""What `--summary "$GITHUB_STEP_SUMMARY"` gives elsewhere than in GitHub Actions."""


@dataclass(frozen=True)
class Measured:
    """A run that was measured.

    Attributes:
        run: Its folder.
        folder: Folder of its outcome.json.
        label: What it is called; the plan's name when None.
    """

    run: Path
    folder: Path
    label: str | None = None


@dataclass(frozen=True)
class Ending:
    """How a command ends.

    Attributes:
        gate: Whether its exit code says what became of the tolerances.
        strict: Whether what is undecided counts as broken.
        junit: Where a JUnit file goes; None for none.
        summary: Where a Markdown summary goes; None for none.
        seeds: Whether the planned mixture is judged, over all seeds that it was trained with, and not one model.
    """

    gate: bool = False
    strict: bool = False
    junit: Path | None = None
    summary: Path | None = None
    seeds: bool = False

    def __post_init__(self) -> None:
        """Refuse `--strict` by itself, which would say nothing.

        Raises:
            typer.BadParameter: it stands without `--gate`.
        """
        if self.strict and not self.gate:
            raise typer.BadParameter("--strict says what --gate does where a tolerance is undecided. Add --gate.")

    @property
    def asked(self) -> str | None:
        """The first option that asks for verdicts; None where none does."""
        given = {"--gate": self.gate, "--junit": self.junit, "--summary": self.summary}
        return next((name for name, value in given.items() if value), None)

    def expect_tolerances(self, place: Path, overrides: Sequence[str] = ()) -> None:
        """Stop before any work where verdicts are asked for and there is nothing to judge by.

        Args:
            place: A recipe's file or a run folder; a folder without a recipe is refused by the command itself.
            overrides: `key=value` texts.

        Raises:
            RunError: no domain has a tolerance.
            RecipeError: the recipe is wrong.
        """
        recipe = place / "recipe.yaml" if place.is_dir() else place
        known = recipe.is_file() if place.is_dir() else recipe.suffix.lower() in (".yaml", ".yml")
        if self.asked and known and not tolerances_of(load_recipe(recipe, overrides).recipe):
            raise RunError(f"{recipe}: {self.asked} asks for verdicts, but no domain has a tolerance. {REMEDY}")

    def end(self, measured: Sequence[Measured]) -> None:
        """Write the files that were asked for, and end as the verdicts say.

        Args:
            measured: What the command measured, or was given.

        Raises:
            RunError: a run has no verdicts, or a file cannot be written.
            typer.Exit: with 3, where a tolerance was broken.
        """
        if not self.asked:
            return
        runs = [self.gated(one) for one in measured]
        if self.junit is not None:
            written("--junit", self.junit, junit_xml(runs, strict=self.strict))
        if self.summary == NO_FILE:
            typer.echo(f"--summary names no file, so none is written; is ${GITHUB} set?", err=True)
        elif self.summary is not None:
            write_summary(self.summary, gate_markdown(runs))
        verdict = worst(run.gate.verdict for run in runs)
        if not self.gate:
            return
        for run in runs:
            typer.echo(f"{run.label}: {tolerances(run.gate)}", err=True)
        if verdict == "fail" or (verdict == "undecided" and self.strict):
            raise typer.Exit(BROKEN)
        if verdict == "undecided":
            typer.echo("Gate: what is undecided does not fail; with --strict it does.", err=True)

    def gated(self, one: Measured) -> Gated:
        """A run's verdicts.

        Raises:
            RunError: it has none, or they are of another plan.
        """
        plan, outcome = read_plan(one.run), read_outcome(one.folder)
        if outcome is None:
            raise RunError(f"{one.run}: {self.asked} asks for verdicts, but nothing is trained yet. {train(one.run)}")
        gate = gate_of(outcome, seeds=self.seeds)
        if outcome.hashes.get("plan") != plan.hashes.get("plan"):
            raise RunError(f"{one.folder}: {STALE[0].upper()}{STALE[1:]} {outcome_again(one.folder)}")
        if gate is None:
            again = outcome_again(one.folder) if plan.tolerances else REMEDY
            raise RunError(f"{one.folder}: its outcome.json holds no verdicts on tolerances. {again}")
        arm = outcome.arms.arms.get("plan") if outcome.arms and gate is not outcome.tolerances else None
        over = f", the planned mixture over {arm.seeds} seeds" if arm else ""
        return Gated(
            f"{one.label or plan.name}{over}",
            gate,
            target_line(outcome),
            outcome.created,
            tuple(changed_since(outcome)),
            arms_of(outcome) if self.seeds else (),
        )


REMEDY = (
    "Write some in the recipe, such as `tolerances: {all: 2 pp}`, and plan again; or judge a run by some that its plan "
    "does not have: `mixplan eval RUN --set 'tolerances={all: 2 pp}'`."
)


def train(run: Path) -> str:
    """The command that trains a run, as a sentence."""
    return f"Train first: `mixplan train {quoted(run)}`."


def target_line(outcome: Outcome) -> str:
    """What became of the target."""
    return next(iter(outcome.summary), "")


def arms_of(outcome: Outcome) -> tuple[tuple[str, Gate], ...]:
    """The verdicts on the other mixtures that were compared."""
    found = outcome.arms.arms if outcome.arms else {}
    return tuple((name, arm.tolerances) for name, arm in found.items() if arm.tolerances)


def write_summary(path: Path, text: str) -> None:
    """Write a summary; to that of a step of GitHub Actions it is added.

    Raises:
        RunError: the file cannot be written.
    """
    step = os.environ.get(GITHUB)
    try:
        before = path.read_bytes() if step is not None and Path(step) == path and path.is_file() else b""
    except OSError as error:
        raise RunError(f"--summary {path}: cannot be read ({error.strerror}). Name another file.") from error
    written("--summary", path, before + text.encode())


def written(option: str, path: Path, data: bytes) -> None:
    """Write a file that an option names.

    Raises:
        RunError: it cannot be written; names the option, which alone would mend it.
    """
    try:
        write_atomic(path, data)
    except RunError as error:
        why = error.__cause__.strerror if isinstance(error.__cause__, OSError) else str(error)
        raise RunError(f"{option} {path}: cannot be written ({why}). Name another file.") from error
